// keyv on @keyv/redis, by a URL without a database and by /1. Arguments: port, auth key or nothing.
// Runs in the directory of its node_modules.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { Keyv } = require("keyv");
const { default: KeyvRedis } = require("@keyv/redis");
const [port, password] = process.argv.slice(2);

const url = (path) => `redis://${password ? `:${password}@` : ""}127.0.0.1:${port}${path}`;

function cache(path, options = {}, own = {}) {
    const made = new Keyv({ store: new KeyvRedis(url(path), own), ...options });
    // What goes wrong is told in this way alone.
    made.on("error", (error) => assert.fail(error));
    return made;
}

async function basics(keyv) {
    const value = { name: "alice", roles: [1, 2, 3], nested: { none: null } };
    assert.equal(await keyv.get("absent"), undefined);
    assert.equal(await keyv.set("user:1", value, 60_000), true);
    assert.deepEqual(await keyv.get("user:1"), value);
    assert.equal(await keyv.has("user:1"), true);
    await keyv.setMany([
        { key: "a", value: 1 },
        { key: "b", value: "two", ttl: 60_000 },
    ]);
    assert.deepEqual(await keyv.getMany(["a", "absent", "b"]), [1, undefined, "two"]);
    assert.equal(await keyv.delete("a"), true);
    assert.equal(await keyv.delete("a"), false);
    assert.equal(await keyv.deleteMany(["b", "absent"]), true);
    assert.equal(await keyv.get("b"), undefined);
}

async function expiry(keyv, client) {
    await keyv.set("brief", "v", 60_000);
    const ttl = await client.pTTL("brief");
    assert.ok(0 < ttl && ttl <= 60_000, ttl);
    assert.equal(await client.pExpire("brief", 0), 1);
    assert.equal(await keyv.get("brief"), undefined);
}

async function namespaces(client) {
    const plain = cache("/1");
    await plain.set("of", "keyv", 60_000);
    assert.ok((await client.ttl("keyv::keyv:of")) > 0);
    const people = cache("/1", { namespace: "people" });
    const places = cache("/1", { namespace: "places" });
    await Promise.all(Array.from({ length: 500 }, (_, number) => people.set(`walk:${number}`, number)));
    await places.set("walk:1", "a place");
    const found = new Set();
    for await (const [, value] of people.iterator()) {
        found.add(value);
    }
    assert.equal(found.size, 500);
    await people.clear();
    assert.equal(await people.get("walk:1"), undefined);
    assert.equal(await places.get("walk:1"), "a place");
    assert.equal(await plain.get("of"), "keyv");
    await plain.disconnect();
    await people.disconnect();
    await places.disconnect();
}

async function databases(zero, one, of_zero, of_one) {
    await of_zero.flushAll();
    await zero.set("of", "zero");
    await zero.set("more", "v");
    await one.set("of", "one", 60_000);
    assert.deepEqual([await zero.get("of"), await one.get("of"), await one.get("more")], ["zero", "one", undefined]);
    assert.deepEqual([await of_zero.dbSize(), await of_one.dbSize()], [2, 1]);
    await one.clear();
    assert.deepEqual([await of_zero.dbSize(), await of_one.dbSize()], [2, 0]);
    assert.equal(await zero.get("of"), "zero");
    await one.set("of", "one");
    await zero.clear();
    assert.deepEqual([await zero.get("of"), await one.get("of")], [undefined, "one"]);
}

// With its defaults, all keys have the namespace "keyv". The clear of a cache without one is FLUSHDB, if that is wanted.
const [zero, one] = ["", "/1"].map((path) => cache(path, { namespace: "" }, { noNamespaceAffectsAll: true }));
const [of_zero, of_one] = await Promise.all([zero, one].map((keyv) => keyv.store.getClient()));
await of_zero.flushAll();
await basics(one);
await expiry(one, of_one);
await namespaces(of_one);
await databases(zero, one, of_zero, of_one);
await zero.disconnect();
await one.disconnect();
