// node-redis with its defaults. Arguments: port, auth key or nothing. Runs in the directory of its node_modules.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { createClient, WatchError } = createRequire(process.cwd() + "/")("redis");
const [port, password] = process.argv.slice(2);

async function strings(client) {
    assert.equal(await client.set("name", "value"), "OK");
    assert.equal(await client.get("name"), "value");
    assert.equal(await client.get("absent"), null);
    assert.equal(await client.set("name", "other", { condition: "NX" }), null);
    assert.equal(await client.mSet({ "many:1": "1", "many:2": "2" }), "OK");
    assert.deepEqual(await client.mGet(["many:1", "absent", "many:2"]), ["1", null, "2"]);
    assert.equal(await client.del(["many:1", "absent"]), 1);
    assert.equal(await client.getDel("name"), "value");
}

async function expiry(client) {
    await client.set("brief", "v", { expiration: { type: "EX", value: 1000 } });
    const ttl = await client.ttl("brief");
    assert.ok(0 < ttl && ttl <= 1000, ttl);
    assert.equal(await client.persist("brief"), 1);
    assert.equal(await client.ttl("brief"), -1);
    assert.equal(await client.expireAt("brief", 4102444800), 1);
    assert.equal(await client.expireTime("brief"), 4102444800);
}

async function pipelines(client) {
    // What is asked in one tick of the event loop goes out as one pipeline.
    const numbers = Array.from({ length: 1000 }, (_, number) => number);
    await Promise.all(numbers.map((number) => client.set(`pipe:${number}`, String(number))));
    assert.deepEqual(await Promise.all(numbers.map((number) => client.get(`pipe:${number}`))), numbers.map(String));
    const replies = await client.multi().set("a", "1").get("a").execAsPipeline();
    assert.deepEqual(replies, ["OK", "1"]);
}

async function scan(client) {
    await client.flushAll();
    const keys = new Set(Array.from({ length: 1000 }, (_, number) => `walk:${number}`));
    await client.mSet([...keys].map((key) => [key, ""]));
    const found = new Set();
    for await (const some of client.scanIterator({ MATCH: "walk:*", COUNT: 50 })) {
        some.forEach((key) => found.add(key));
    }
    assert.deepEqual(found, keys);
    assert.equal(await client.dbSize(), 1000);
}

async function server(client) {
    assert.equal(await client.ping(), "PONG");
    assert.match(await client.info("server"), /redis_version:8\./);
    assert.equal(await client.clientSetName("me"), "OK");
    assert.equal(await client.clientGetName(), "me");
    assert.equal((await client.configGet("timeout")).timeout, "0");
    assert.ok((await client.commandCount()) > 20);
    await assert.rejects(client.sendCommand(["BOGUS", "x"]), /unknown command/);
}

async function transactions(client) {
    await client.flushAll();
    assert.deepEqual(await client.multi().set("a", "2").expire("a", 100).get("a").exec(), ["OK", 1, "2"]);
    await client.watch("a");
    const other = await client.duplicate().connect();
    await other.set("a", "changed");
    await other.close();
    await assert.rejects(client.multi().set("a", "lost").exec(), WatchError);
    assert.equal(await client.get("a"), "changed");
}

async function messages(client) {
    const subscriber = await client.duplicate().connect();
    const heard = [];
    let both;
    const all = new Promise((resolve) => (both = resolve));
    const hear = (text, channel) => heard.push([channel, text]) === 2 && both();
    await subscriber.subscribe("news", hear);
    await subscriber.pSubscribe("new*", hear);
    assert.equal(await client.publish("news", "one"), 2);
    await all;
    assert.deepEqual(heard, [["news", "one"], ["news", "one"]]);
    await subscriber.unsubscribe("news");
    await subscriber.pUnsubscribe("new*");
    assert.equal(await client.publish("news", "two"), 0);
    await subscriber.close();
}

async function databases(client) {
    const other = await client.duplicate({ database: 1 }).connect();
    await client.set("of", "zero");
    assert.equal(await other.get("of"), null);
    await other.set("of:1", "one");
    assert.equal(await client.move("of", 1), 1);
    assert.equal(await other.get("of"), "zero");
    assert.equal(await other.dbSize(), 2);
    assert.equal(await other.flushDb(), "OK");
    assert.equal(await other.dbSize(), 0);
    await other.close();
    const url = `redis://${password ? `:${password}@` : ""}127.0.0.1:${port}/1`;
    const one = createClient({ url });
    // The end of its connection is told in this way.
    one.on("error", () => {});
    await one.connect();
    await client.set("of", "zero");
    await one.set("of", "one");
    // A connection made again is to the same database.
    const again = new Promise((resolve) => one.once("ready", resolve));
    await client.sendCommand(["CLIENT", "KILL", "ID", String(await one.clientId())]);
    await again;
    assert.deepEqual([await client.get("of"), await one.get("of")], ["zero", "one"]);
    assert.equal(await client.flushDb(), "OK");
    assert.deepEqual([await client.get("of"), await one.get("of")], [null, "one"]);
    await one.close();
}

const PARTS = [strings, expiry, pipelines, scan, server, transactions, messages, databases];

for (const options of [{}, { RESP: 2 }, { RESP: 3 }]) {
    const client = createClient({ password, socket: { port }, ...options });
    client.on("error", (error) => assert.fail(error));
    await client.connect();
    await client.flushAll();
    for (const part of PARTS) {
        await part(client);
    }
    await client.close();
}
