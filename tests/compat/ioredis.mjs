// ioredis with its defaults. Arguments: port, auth key or nothing. Runs in the directory of its node_modules.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { Redis } = createRequire(process.cwd() + "/")("ioredis");
const [port, password] = process.argv.slice(2);

async function strings(client) {
    assert.equal(await client.set("name", "value"), "OK");
    assert.equal(await client.get("name"), "value");
    assert.equal(await client.get("absent"), null);
    const binary = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await client.set(binary, binary);
    assert.deepEqual(await client.getBuffer(binary), binary);
    assert.equal(await client.set("name", "other", "NX"), null);
    assert.equal(await client.mset({ "many:1": 1, "many:2": 2 }), "OK");
    assert.deepEqual(await client.mget("many:1", "absent", "many:2"), ["1", null, "2"]);
    assert.equal(await client.del("many:1", "absent"), 1);
    assert.equal(await client.getdel("name"), "value");
}

async function expiry(client) {
    await client.set("brief", "v", "EX", 1000);
    const ttl = await client.ttl("brief");
    assert.ok(0 < ttl && ttl <= 1000, ttl);
    assert.equal(await client.persist("brief"), 1);
    assert.equal(await client.ttl("brief"), -1);
    assert.equal(await client.expireat("brief", 4102444800), 1);
    assert.equal(await client.expiretime("brief"), 4102444800);
}

async function pipelines(client) {
    const pipe = client.pipeline();
    const expected = [];
    for (let number = 0; number < 1000; number++) {
        pipe.set(`pipe:${number}`, number).get(`pipe:${number}`);
        expected.push([null, "OK"], [null, String(number)]);
    }
    assert.deepEqual(await pipe.exec(), expected);
    const [[, first], [refused], [, last]] = await client.pipeline().get("pipe:1").call("BOGUS", "x").get("pipe:2").exec();
    assert.deepEqual([first, last], ["1", "2"]);
    assert.match(refused.message, /unknown command/);
}

async function scan(client) {
    await client.flushall();
    const keys = new Set(Array.from({ length: 1000 }, (_, number) => `walk:${number}`));
    await client.mset([...keys].flatMap((key) => [key, ""]));
    const found = new Set();
    for await (const some of client.scanStream({ match: "walk:*", count: 50 })) {
        some.forEach((key) => found.add(key));
    }
    assert.deepEqual(found, keys);
    assert.equal(await client.dbsize(), 1000);
}

async function server(client) {
    assert.equal(await client.ping(), "PONG");
    assert.match(await client.info("server"), /redis_version:8\./);
    assert.equal(await client.client("SETNAME", "me"), "OK");
    assert.equal(await client.client("GETNAME"), "me");
    await assert.rejects(client.call("BOGUS", "x"), /unknown command/);
}

async function transactions(client) {
    await client.flushall();
    const replies = await client.multi().set("a", 2).expire("a", 100).get("a").exec();
    assert.deepEqual(replies, [[null, "OK"], [null, 1], [null, "2"]]);
    await client.watch("a");
    const other = client.duplicate();
    await other.set("a", "changed");
    await other.quit();
    assert.equal(await client.multi().set("a", "lost").exec(), null);
    assert.equal(await client.get("a"), "changed");
}

async function messages(client) {
    const subscriber = client.duplicate();
    assert.equal(await subscriber.subscribe("news", "other"), 2);
    assert.equal(await subscriber.psubscribe("new*"), 3);
    const both = Promise.all([
        new Promise((resolve) => subscriber.once("message", (channel, text) => resolve([channel, text]))),
        new Promise((resolve) => subscriber.once("pmessage", (pattern, channel, text) => resolve([pattern, channel, text]))),
    ]);
    assert.equal(await client.publish("news", "one"), 2);
    assert.deepEqual(await both, [["news", "one"], ["new*", "news", "one"]]);
    assert.deepEqual(await client.pubsub("NUMSUB", "news"), ["news", 1]);
    assert.equal(await subscriber.unsubscribe("news", "other"), 1);
    assert.equal(await subscriber.punsubscribe("new*"), 0);
    assert.equal(await subscriber.ping(), "PONG");
    await subscriber.quit();
}

async function databases(client) {
    const other = client.duplicate({ db: 1 });
    await client.set("of", "zero");
    assert.equal(await other.get("of"), null);
    await other.set("of:1", "one");
    assert.equal(await client.move("of", 1), 1);
    assert.equal(await other.get("of"), "zero");
    assert.equal(await other.copy("of", "back", "DB", 0), 1);
    assert.equal(await other.dbsize(), 2);
    assert.equal(await other.flushdb(), "OK");
    assert.equal(await other.dbsize(), 0);
    assert.equal(await client.get("back"), "zero");
    await other.quit();
    const one = new Redis(`redis://${password ? `:${password}@` : ""}127.0.0.1:${port}/1`);
    await client.set("of", "zero");
    await one.set("of", "one");
    // A connection made again is to the same database.
    await client.client("KILL", "ID", await one.client("ID"));
    assert.deepEqual([await client.get("of"), await one.get("of")], ["zero", "one"]);
    assert.equal(await client.flushdb(), "OK");
    assert.deepEqual([await client.get("of"), await one.get("of")], [null, "one"]);
    await one.quit();
}

const PARTS = [strings, expiry, pipelines, scan, server, transactions, messages, databases];

const client = new Redis({ port, password });
client.on("error", (error) => assert.fail(error));
await client.flushall();
for (const part of PARTS) {
    await part(client);
}
assert.equal(await client.quit(), "OK");
