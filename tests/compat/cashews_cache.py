"""cashews, by /0 and by /1. Arguments: port, auth key or nothing."""

import asyncio
import logging
import sys

import redis
from cashews import Cache, CacheBackendInteractionError

PORT, KEY = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None


class Complaints(logging.Handler):
    """By default cashews logs what is refused, and caches nothing."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.getMessage()}: {record.exc_info and record.exc_info[1]}")


def cache(database, **options):
    made = Cache()
    user = f":{KEY}@" if KEY else ""
    made.setup(f"redis://{user}127.0.0.1:{PORT}/{database}", socket_timeout=60, **options)
    return made


async def basics(some):
    value = {"name": "alice", "roles": [1, 2, 3], "binary": b"\0\r\n\xff"}
    assert await some.get("absent") is None and await some.get("absent", default="d") == "d"
    assert await some.set("user:1", value, expire="1m") and await some.get("user:1") == value
    assert 0 < await some.get_expire("user:1") <= 60
    await some.set_many({"a": 1, "b": "two"}, expire=60)
    assert await some.get_many("a", "b", "absent") == (1, "two", None)
    assert not await some.set("a", 2, exist=False) and await some.set("a", 2, exist=True)
    assert await some.incr("count") == 1 and await some.incr("count", value=41) == 42
    assert await some.exists("user:1") and await some.delete("user:1") and not await some.exists("user:1")
    await some.set_many({f"walk:{number}": number for number in range(500)})
    assert len([key async for key in some.scan("walk:*")]) == 500
    assert {value async for _, value in some.get_match("walk:49?")} == set(range(490, 500))
    await some.delete_match("walk:*")
    assert [key async for key in some.scan("walk:*")] == []
    assert await some.get_size("a") > 0 and await some.ping() == b"PONG"
    # A Bloom filter and other counts in few bits.
    assert await some.incr_bits("bits", 0, 5, size=4, by=3) == (3, 3)
    assert await some.get_bits("bits", 0, 1, 5, size=4) == (3, 0, 3)


async def decorators(some):
    calls = []

    @some(ttl="1m", key="square:{number}")
    async def square(number):
        calls.append(number)
        return number * number

    assert [await square(3), await square(3), await square(4)] == [9, 9, 16] and calls == [3, 4]
    await some.delete("square:3")
    assert await square(3) == 9 and calls == [3, 4, 3]

    @some.early(ttl="1m", early_ttl="30s", key="early:{number}")
    async def early(number):
        calls.append(number)
        return number

    assert [await early(7), await early(7)] == [7, 7] and calls.count(7) == 1

    @some.bloom(capacity=100, false_positives=1, name="seen:{number}")
    async def seen(number):
        calls.append(number)
        return number % 2 == 0

    await seen.set(8)
    assert await seen(8)


async def expiry(some):
    await some.set("brief", "v", expire=60)
    await some.expire("brief", 0.001)
    async with asyncio.timeout(60):
        while await some.get("brief") is not None:
            pass


async def databases(zero, one):
    await zero.clear()
    await one.clear()
    await zero.set_many({"of": "zero", "more": "v"})
    await one.set("of", "one", expire=60)
    assert (await zero.get("of"), await one.get("of"), await one.get("more")) == ("zero", "one", None)
    assert (await zero.get_keys_count(), await one.get_keys_count()) == (2, 1)
    await one.clear()
    assert await one.get("of") is None and await zero.get_many("of", "more") == ("zero", "v")
    await one.set("of", "one")
    await zero.clear()
    assert (await zero.get_keys_count(), await one.get("of")) == (0, "one")


async def refusals(some):
    """What needs scripts, sets or sorted sets."""
    async def refused(call, command):
        try:
            await call
        except CacheBackendInteractionError as error:
            assert f"unknown command '{command}'" in str(error.__cause__), error.__cause__
        else:
            raise AssertionError(f"not refused: {command}")

    await some.set_lock("lock", "owner", expire=60)
    await refused(some.unlock("lock", "owner"), "EVALSHA")
    await refused(some.incr("limited", expire=60), "EVALSHA")
    await refused(some.slice_incr("window", 0, 10, maxvalue=5, expire=60), "EVALSHA")
    await refused(some.set_add("tag", "a"), "SADD")


async def main():
    complaints = Complaints()
    logging.getLogger("cashews").addHandler(complaints)
    zero, one = cache(0), cache(1)
    await zero.clear()
    await one.clear()
    await basics(one)
    await decorators(one)
    await expiry(one)
    await databases(zero, one)
    assert complaints.lines == [], complaints.lines
    loud = cache(1, suppress=False)
    if "aspine_version" in redis.Redis(port=int(PORT), password=KEY).info():
        await refusals(loud)
    for used in (zero, one, loud):
        await used.close()


asyncio.run(main())
