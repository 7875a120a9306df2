// Valkey GLIDE for Node, with a database 0 and a database 1. Arguments: port, auth key or nothing.
// Runs in the directory of its node_modules.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const glide = createRequire(process.cwd() + "/")("@valkey/valkey-glide");
const { Batch, ConnectionError, GlideClient, ProtocolVersion, RequestError, Script, TimeUnit } = glide;
const [port, password] = process.argv.slice(2);

const REQUEST_TIMEOUT_MS = 60_000;

function connect(databaseId, protocol) {
    return GlideClient.createClient({
        addresses: [{ host: "127.0.0.1", port: Number(port) }],
        credentials: password ? { password } : undefined,
        requestTimeout: REQUEST_TIMEOUT_MS,
        databaseId,
        protocol,
    });
}

async function strings(client) {
    assert.equal(await client.set("name", "value"), "OK");
    assert.equal(await client.get("name"), "value");
    assert.equal(await client.get("absent"), null);
    assert.equal(await client.set("name", "other", { conditionalSet: "onlyIfDoesNotExist" }), null);
    assert.equal(await client.mset({ "many:1": "1", "many:2": "2" }), "OK");
    assert.deepEqual(await client.mget(["many:1", "absent", "many:2"]), ["1", null, "2"]);
    assert.equal(await client.del(["many:1", "absent"]), 1);
    assert.equal(await client.incrBy("count", 42), 42);
    assert.equal(await client.append("name", "!"), 6);
    assert.equal(await client.getdel("name"), "value!");
    assert.equal(await client.exists(["name", "many:2"]), 1);
}

async function expiry(client) {
    await client.set("brief", "v", { expiry: { type: TimeUnit.Seconds, count: 60 } });
    const ttl = await client.ttl("brief");
    assert.ok(0 < ttl && ttl <= 60, ttl);
    assert.equal(await client.persist("brief"), true);
    assert.equal(await client.expireAt("brief", 4102444800), true);
    assert.equal(await client.expiretime("brief"), 4102444800);
    assert.equal(await client.getex("brief", { expiry: { type: TimeUnit.Milliseconds, duration: 60_000 } }), "v");
    assert.equal(await client.pexpire("brief", 0), true);
    assert.equal(await client.get("brief"), null);
}

async function scan(client) {
    await client.flushdb();
    const keys = Array.from({ length: 500 }, (_, number) => `walk:${number}`);
    await Promise.all(keys.map((key) => client.set(key, "")));
    const found = new Set();
    for (let cursor = "0", some; ; ) {
        [cursor, some] = await client.scan(cursor, { match: "walk:*", count: 50 });
        some.forEach((key) => found.add(key));
        if (cursor === "0") break;
    }
    assert.deepEqual(found, new Set(keys));
    assert.equal(await client.dbsize(), 500);
}

async function batches(client) {
    for (const atomic of [true, false]) {
        const batch = new Batch(atomic).set("a", "1").incr("a").get("a");
        assert.deepEqual(await client.exec(batch, true), ["OK", 2, "2"]);
    }
    const failing = await client.exec(new Batch(true).set("a", "word").incr("a").get("a"), false);
    assert.ok(failing[1] instanceof RequestError, failing[1]);
    assert.deepEqual([failing[0], failing[2]], ["OK", "word"]);
}

async function databases(zero, one) {
    await zero.flushall();
    await zero.set("of", "zero");
    await one.set("of", "one");
    assert.deepEqual([await zero.get("of"), await one.get("of")], ["zero", "one"]);
    await zero.set("moved", "v");
    assert.equal(await zero.move("moved", 1), true);
    assert.equal(await one.copy("moved", "back", { destinationDB: 0 }), true);
    assert.deepEqual([await zero.dbsize(), await one.dbsize()], [2, 2]);
    assert.equal(await one.flushdb(), "OK");
    assert.deepEqual([await zero.dbsize(), await one.dbsize()], [2, 0]);
    assert.equal(await zero.get("of"), "zero");
    await one.set("of", "one");
    await zero.flushdb();
    assert.deepEqual([await zero.get("of"), await one.get("of")], [null, "one"]);
    // A connection made again is to the same database. The request that finds the old one gone may fail.
    await zero.customCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    const again = (error) => {
        assert.ok(error instanceof ConnectionError, error);
        return one.get("of").catch(again);
    };
    assert.equal(await one.get("of").catch(again), "one");
    assert.equal(await one.select(2), "OK");
    assert.equal(await one.get("of"), null);
}

// The first says nothing of a protocol: RESP3 then.
for (const protocol of [undefined, ProtocolVersion.RESP2]) {
    const [zero, one] = [await connect(undefined, protocol), await connect(1, protocol)];
    await zero.flushall();
    for (const part of [strings, expiry, scan, batches]) {
        await part(one);
    }
    await databases(zero, one);
    if ((await zero.info()).includes("aspine_version")) {
        await assert.rejects(zero.invokeScript(new Script("return 1")), /unknown command/);
        await assert.rejects(zero.hset("hash", { field: "value" }), /unknown command/);
    }
    zero.close();
    one.close();
}
