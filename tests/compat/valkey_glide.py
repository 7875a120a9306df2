"""Valkey GLIDE for Python, on asyncio, with a database 0 and a database 1. Arguments: port, auth key or nothing."""

import asyncio
import sys

from glide import (
    Batch,
    ConditionalChange,
    ConnectionError as GlideConnectionError,
    ExpirySet,
    ExpiryType,
    GlideClient,
    GlideClientConfiguration,
    NodeAddress,
    ProtocolVersion,
    RequestError,
    Script,
    ServerCredentials,
)

PORT, KEY = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
REQUEST_TIMEOUT_MS = 60_000


async def connect(database, **options):
    credentials = ServerCredentials(password=KEY) if KEY else None
    addresses = [NodeAddress("127.0.0.1", PORT)]
    configuration = GlideClientConfiguration(
        addresses, credentials=credentials, database_id=database, request_timeout=REQUEST_TIMEOUT_MS, **options
    )
    return await GlideClient.create(configuration)


async def strings(client):
    binary = bytes(range(256))
    assert await client.set("name", binary) == "OK" and await client.get("name") == binary
    assert await client.get("absent") is None
    assert await client.set("name", "other", ConditionalChange.ONLY_IF_DOES_NOT_EXIST) is None
    assert await client.mset({"many:1": "1", "many:2": "2"}) == "OK"
    assert await client.mget(["many:1", "absent", "many:2"]) == [b"1", None, b"2"]
    assert await client.delete(["many:1", "absent"]) == 1 and await client.exists(["many:2"]) == 1
    assert await client.incrby("count", 42) == 42 and await client.getdel("count") == b"42"


async def expiry(client):
    await client.set("brief", "v", expiry=ExpirySet(ExpiryType.SEC, 60))
    assert 0 < await client.ttl("brief") <= 60 and await client.persist("brief") and await client.ttl("brief") == -1
    assert await client.expireat("brief", 4102444800) and await client.expiretime("brief") == 4102444800
    assert await client.pexpire("brief", 0) and await client.get("brief") is None


async def scan(client):
    await client.flushdb()
    keys = {b"walk:%d" % number for number in range(500)}
    await asyncio.gather(*(client.set(key, "") for key in keys))
    found, cursor = set(), b"0"
    while True:
        cursor, some = await client.scan(cursor, match="walk:*", count=50)
        found.update(some)
        if cursor == b"0":
            break
    assert found == keys and await client.dbsize() == 500


async def batches(client):
    for atomic in (True, False):
        batch = Batch(is_atomic=atomic).set("a", "1").incr("a").get("a")
        assert await client.exec(batch, raise_on_error=True) == ["OK", 2, b"2"]
    stored, refused, got = await client.exec(Batch(is_atomic=True).set("a", "word").incr("a").get("a"), raise_on_error=False)
    assert (stored, got) == ("OK", b"word") and isinstance(refused, RequestError), refused


async def databases(zero, one):
    await zero.flushall()
    await zero.set("of", "zero")
    await one.set("of", "one")
    assert (await zero.get("of"), await one.get("of")) == (b"zero", b"one")
    await zero.set("moved", "v")
    assert await zero.move("moved", 1) and await one.copy("moved", "back", 0)
    assert (await zero.dbsize(), await one.dbsize()) == (2, 2)
    assert await one.flushdb() == "OK" and (await zero.dbsize(), await one.dbsize()) == (2, 0)
    await one.set("of", "one")
    assert await zero.get("of") == b"zero" and await zero.flushdb() == "OK"
    assert (await zero.get("of"), await one.get("of")) == (None, b"one")
    # A connection made again is to the same database. The request that finds the old one gone may fail.
    await zero.custom_command(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
    got = None
    while got is None:
        try:
            got = await one.get("of")
            assert got == b"one", got
        except GlideConnectionError:
            continue


async def refused(call):
    try:
        await call
    except RequestError as error:
        assert "unknown command" in str(error), error
    else:
        raise AssertionError("not refused")


async def main():
    for options in ({}, {"protocol": ProtocolVersion.RESP2}):
        zero, one = await connect(None, **options), await connect(1, **options)
        await zero.flushall()
        for part in (strings, expiry, scan, batches):
            await part(one)
        await databases(zero, one)
        if b"aspine_version" in await zero.info():
            await refused(zero.invoke_script(Script("return 1")))
            await refused(zero.hset("hash", {"field": "value"}))
        await zero.close()
        await one.close()


asyncio.run(main())
