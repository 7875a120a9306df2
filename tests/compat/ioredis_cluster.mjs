// ioredis's Cluster with its defaults; each core is a node. Arguments: port, auth key or nothing. Runs in the directory of
// its node_modules. What it routes by the slots of keys reaches its core directly, so nothing is forwarded.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { Cluster, Redis } = createRequire(process.cwd() + "/")("ioredis");
const [port, password] = process.argv.slice(2);
const keys = Array.from({ length: 500 }, (_, number) => `key:${number}`);

async function singleKeys(cluster) {
    for (const [number, key] of keys.entries()) {
        assert.equal(await cluster.set(key, number), "OK");
        assert.equal(await cluster.get(key), String(number));
    }
    // Many at once, as they are under way together.
    assert.deepEqual(await Promise.all(keys.map((key) => cluster.incr(key))), keys.map((_, number) => number + 1));
}

async function slots(cluster) {
    assert.equal(await cluster.mset("{tag}a", 1, "{tag}b", 2), "OK");
    assert.deepEqual(await cluster.mget("{tag}a", "{tag}b"), ["1", "2"]);
    assert.deepEqual(await cluster.pipeline().incr("{tag}a").get("{tag}b").exec(), [[null, 2], [null, "2"]]);
    assert.deepEqual(await cluster.multi().incr("{tag}a").del("{tag}b").exec(), [[null, 3], [null, 1]]);
    assert.equal(await cluster.del("{tag}a"), 1);
}

async function nodes(cluster, cores) {
    const masters = cluster.nodes("master");
    assert.equal(masters.length, cores);
    const sizes = await Promise.all(masters.map((node) => node.dbsize()));
    assert.equal(sizes.reduce((sum, size) => sum + size), keys.length);
    const found = (await Promise.all(masters.map((node) => node.keys("key:*")))).flat();
    assert.deepEqual(found.sort(), [...keys].sort());
    // Several slots are several nodes to it; each of them takes them all.
    for (const node of masters) {
        assert.equal((await node.mget(...keys)).filter((value) => value !== null).length, keys.length);
    }
}

async function messages(cluster) {
    await cluster.subscribe("news");
    const heard = new Promise((resolve) => cluster.once("message", (channel, text) => resolve([channel, text])));
    const publisher = new Redis({ port, password });
    assert.equal(await publisher.publish("news", "one"), 1);
    assert.deepEqual(await heard, ["news", "one"]);
    await publisher.quit();
    await cluster.unsubscribe("news");
}

const info = new Redis({ port, password });
const forwarded = async () => Number((await info.info("aspine")).match(/^forwarded:(\d+)/m)[1]);
const cores = Number((await info.info("aspine")).match(/^cores:(\d+)/m)[1]);
await info.flushall();
const cluster = new Cluster([{ host: "127.0.0.1", port }], { redisOptions: { password } });
cluster.on("error", (error) => assert.fail(error));
await singleKeys(cluster);
await slots(cluster);
assert.equal(await forwarded(), 0);
await nodes(cluster, cores);
await messages(cluster);
for (const key of keys) {
    assert.equal(await cluster.del(key), 1);
}
assert.equal(await info.dbsize(), 0);
await cluster.quit();
await info.quit();
