"""Smaller caches for Python: aiocache and Flask-Caching. Arguments: port, auth key or nothing."""

import asyncio
import sys

import flask
import redis
from aiocache import RedisCache, cached
from aiocache.lock import OptimisticLock, RedLock
from aiocache.serializers import PickleSerializer
from flask_caching import Cache

PORT, KEY = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
VALUE = {"name": "alice", "roles": [1, 2, 3], "binary": b"\0\r\n\xff"}


async def refused(call):
    try:
        await call
    except redis.ResponseError as error:
        assert "unknown command 'EVAL'" in str(error), error
    else:
        raise AssertionError("not refused: EVAL")


async def locks(cache):
    """They need scripts."""
    held = RedLock(cache, "job", 60)
    await held.__aenter__()
    await refused(held.__aexit__(None, None, None))
    await cache.set("of", "zero")
    async with OptimisticLock(cache, "of") as lock:
        await refused(lock.cas("changed"))
    await cache.close()


def aiocache_of(database):
    return RedisCache(endpoint="127.0.0.1", port=PORT, password=KEY, db=database, serializer=PickleSerializer())


async def with_aiocache():
    zero, one = aiocache_of(0), aiocache_of(1)
    client = redis.Redis(port=PORT, password=KEY, db=1)
    await zero.clear()
    await one.clear()
    assert await one.get("absent") is None and await one.set("user:1", VALUE, ttl=60)
    assert await one.get("user:1") == VALUE and 0 < client.ttl("user:1") <= 60
    assert await one.add("new", "v") and await one.exists("new")
    try:
        await one.add("new", "w")
    except ValueError:
        pass
    else:
        raise AssertionError("what is there was added")
    assert await one.multi_set([("a", 1), ("b", "two")], ttl=60)
    assert await one.multi_get(["a", "b", "absent"]) == [1, "two", None] and 0 < client.ttl("a") <= 60
    assert await one.expire("a", 100) and 60 < client.ttl("a") <= 100
    assert await one.delete("a") == 1 and await one.delete("a") == 0
    assert await one.increment("count") == 1 and await one.increment("count", delta=41) == 42
    client.pexpire("b", 0)
    assert await one.get("b") is None
    calls = []

    @cached(ttl=60, cache=RedisCache, endpoint="127.0.0.1", port=PORT, password=KEY, db=1, key="square")
    async def square():
        calls.append(3)
        return 9

    assert [await square(), await square()] == [9, 9] and calls == [3]
    await zero.set("of", "zero")
    await one.set("of", "one")
    assert (await zero.get("of"), await one.get("of")) == ("zero", "one")
    assert await one.clear() and await one.get("of") is None and await zero.get("of") == "zero"
    if "aspine_version" in client.info():
        await locks(RedisCache(endpoint="127.0.0.1", port=PORT, password=KEY))
    await zero.close()
    await one.close()


def flask_caching_of(database):
    app = flask.Flask(__name__)
    config = {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_HOST": "127.0.0.1", "CACHE_REDIS_PORT": PORT}
    app.config |= config | {"CACHE_REDIS_PASSWORD": KEY, "CACHE_REDIS_DB": database, "CACHE_DEFAULT_TIMEOUT": 60}
    return app, Cache(app)


def with_flask_caching():
    client = redis.Redis(port=PORT, password=KEY, db=1)
    (_, zero), (app, one) = flask_caching_of(0), flask_caching_of(1)
    zero.clear()
    one.clear()
    calls = []

    @app.route("/")
    @one.cached(timeout=60)
    def page():
        calls.append("page")
        return "shown"

    @one.memoize(60)
    def square(number):
        calls.append(number)
        return number * number

    with app.test_client() as browser:
        assert [browser.get("/").text, browser.get("/").text] == ["shown", "shown"] and calls == ["page"]
    assert [square(3), square(3), square(4)] == [9, 9, 16] and calls == ["page", 3, 4]
    one.delete_memoized(square, 3)
    assert square(3) == 9 and calls[3:] == [3]
    assert one.set("user:1", VALUE) and one.get("user:1") == VALUE and one.has("user:1")
    assert 0 < client.ttl("flask_cache_user:1") <= 60
    assert one.add("user:1", "other") is False and one.set_many({"a": 1, "b": "two"})
    assert one.get_many("a", "b", "absent") == [1, "two", None] and one.get_dict("a") == {"a": 1}
    assert one.delete("a") and one.delete_many("b", "user:1") is not False and not one.has("b")
    assert one.cache.inc("count") == 1 and one.cache.inc("count", 41) == 42 and one.cache.dec("count", 2) == 40
    one.set("brief", "v")
    client.pexpire("flask_cache_brief", 0)
    assert one.get("brief") is None
    zero.set("of", "zero")
    one.set("of", "one")
    assert (zero.get("of"), one.get("of")) == ("zero", "one")
    one.clear()
    assert (zero.get("of"), one.get("of"), client.dbsize()) == ("zero", None, 0)


asyncio.run(with_aiocache())
with_flask_caching()
