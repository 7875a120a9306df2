"""redis-py on asyncio, with its defaults. Arguments: port, auth key or nothing."""

import asyncio
import sys

import redis.asyncio as redis


async def strings(client):
    assert await client.set("name", "value") is True
    assert await client.get("name") == b"value"
    assert await client.get("absent") is None
    assert await client.mset({"many:1": 1, "many:2": 2}) is True
    assert await client.mget("many:1", "absent", "many:2") == [b"1", None, b"2"]
    assert await client.delete("many:1", "absent") == 1


async def expiry(client):
    await client.set("brief", "v", px=100_000)
    assert 0 < await client.pttl("brief") <= 100_000
    assert await client.persist("brief") and await client.ttl("brief") == -1
    assert await client.expireat("brief", 4102444800) and await client.expiretime("brief") == 4102444800


async def pipelines(client):
    pipe = client.pipeline(transaction=False)
    for number in range(1000):
        pipe.set(f"pipe:{number}", number).get(f"pipe:{number}")
    assert (await pipe.execute())[1::2] == [b"%d" % number for number in range(1000)]
    # Many at once, each by a connection of the pool.
    keys = [f"pipe:{number}" for number in range(50)]
    assert await asyncio.gather(*map(client.get, keys)) == [b"%d" % number for number in range(50)]


async def scan(client):
    await client.flushall()
    keys = {b"walk:%d" % number for number in range(300)}
    await client.mset({key: b"" for key in keys})
    assert {key async for key in client.scan_iter(match="walk:*", count=20)} == keys


async def transactions(client):
    await client.flushall()
    pipe = client.pipeline(transaction=True).set("a", 2).expire("a", 100).get("a")
    assert await pipe.execute() == [True, True, b"2"]

    async def double(pipe):
        value = int(await pipe.get("a"))
        pipe.multi()
        pipe.set("a", value * 2)

    assert await client.transaction(double, "a") == [True] and await client.get("a") == b"4"


PARTS = [strings, expiry, pipelines, scan, transactions]


async def main():
    port, key = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    for options in ({}, {"protocol": 2}, {"protocol": 3}):
        client = redis.Redis(port=port, password=key, **options)
        await client.flushall()
        for part in PARTS:
            await part(client)
        await client.aclose()


asyncio.run(main())
