"""redis-py's client-side cache, on RESP3. Arguments: port, auth key or nothing."""

import sys

import redis
from redis.cache import CacheConfig


def wait_until(done, what):
    for _ in range(100_000):
        if done():
            return
    raise AssertionError(what)


def main():
    port, key = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    plain = redis.Redis(port=port, password=key)
    plain.flushall()
    near = redis.Redis(port=port, password=key, protocol=3, cache_config=CacheConfig())
    names = [f"near:{number}" for number in range(50)]
    plain.mset({name: "old" for name in names})
    for name in names:
        assert near.get(name) == b"old"
    assert near.get_cache().size == len(names)
    gets = plain.info("commandstats")["cmdstat_get"]["calls"]
    for name in names:
        assert near.get(name) == b"old"
    assert plain.info("commandstats")["cmdstat_get"]["calls"] == gets, "the copies are not used"
    for name in names:
        plain.set(name, "new")
    for name in names:
        wait_until(lambda: near.get(name) == b"new", f"{name} stays old")
    plain.delete(names[0])
    wait_until(lambda: near.get(names[0]) is None, "a deleted key stays")
    plain.pexpire(names[1], 1)
    wait_until(lambda: near.get(names[1]) is None, "an expired key stays")
    assert near.mget(names[2], names[3]) == [b"new", b"new"]
    plain.flushall()
    for name in names:
        wait_until(lambda: near.get(name) is None, "FLUSHALL was not told")
    near.close()
    plain.close()


main()
