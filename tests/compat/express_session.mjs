// Sessions of Express (express-session on connect-redis and node-redis), in database 1. Arguments: port, auth key or nothing.
// Runs in the directory of its node_modules.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");
const [port, password] = process.argv.slice(2);

const LIFETIME_S = 1800;

async function connect(database) {
    const client = createClient({ password, database, socket: { port } });
    client.on("error", (error) => assert.fail(error));
    return client.connect();
}

// Counts the visits of each who comes with a cookie.
function pages(store) {
    const read = session({
        store,
        secret: "of this program",
        resave: false,
        saveUninitialized: false,
        cookie: { maxAge: LIFETIME_S * 1000 },
    });
    return http.createServer((request, response) =>
        read(request, response, (error) => {
            assert.ifError(error);
            if (request.url === "/end") {
                request.session.destroy(() => response.end("ended"));
                return;
            }
            request.session.visits = (request.session.visits ?? 0) + 1;
            response.end(String(request.session.visits));
        }),
    );
}

const [zero, one] = [await connect(0), await connect(1)];
await zero.flushAll();
const store = new RedisStore({ client: one });
const server = pages(store).listen(0, "127.0.0.1");
await once(server, "listening");

async function visit(cookie, path = "/") {
    const headers = cookie ? { cookie } : {};
    const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers });
    return [await response.text(), response.headers.get("set-cookie")?.split(";")[0]];
}

await zero.set("of", "zero");
const [first, cookie] = await visit();
assert.equal(first, "1");
assert.equal((await visit(cookie))[0], "2");
const [other, another] = await visit();
assert.equal(other, "1");
assert.equal((await visit(cookie))[0], "3");
assert.equal(await store.length(), 2);
const [key] = await one.keys("sess:*");
const ttl = await one.ttl(key);
assert.ok(0 < ttl && ttl <= LIFETIME_S, ttl);
assert.deepEqual((await store.all()).map((content) => content.visits).sort(), [1, 3]);

assert.equal((await visit(another, "/end"))[0], "ended");
assert.equal(await store.length(), 1);
const [id] = await store.ids();
assert.equal(await one.pExpire(`sess:${id}`, 0), 1);
assert.equal((await visit(cookie))[0], "1", "a session that expired");

const [, last] = await visit();
await zero.flushDb();
assert.equal((await visit(last))[0], "2", "a flush of database 0");
await zero.set("of", "zero");
await one.flushDb();
assert.equal((await visit(last))[0], "1", "a flush of the sessions");
assert.equal(await zero.get("of"), "zero");
await store.clear();
assert.equal(await one.dbSize(), 0);

server.closeAllConnections();
server.close();
await zero.close();
await one.close();
