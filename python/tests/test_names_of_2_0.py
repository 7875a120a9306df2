"""The API of 2.0, names and meaning: what its README showed and its tests called."""

import asyncio
import inspect

import pytest

import aspine
from aspine import AspineClient, create_client

pytestmark = pytest.mark.asyncio


async def test_readme_example(server):
    async with AspineClient(host=server.host, port=server.port, authkey=server.authkey) as client:
        await client.set("user:1", {"name": "Alice", "age": 30}, ttl=60)
        user = await client.get("user:1")
        assert user == {"name": "Alice", "age": 30}


async def test_constructor_has_the_names_of_2_0():
    names = list(inspect.signature(AspineClient).parameters)
    assert names[:6] == ["host", "port", "authkey", "max_size", "persist_path", "timeout"]
    client = create_client(host="127.0.0.1", port=5116, timeout=5.0)
    assert isinstance(client, AspineClient)


async def test_connect_and_disconnect(server):
    client = create_client(server.host, server.port, server.authkey)
    await client.connect()
    assert client.connected
    assert await client.set("k", "v") is True
    await client.disconnect()
    assert not client.connected
    with pytest.raises(aspine.ConnectionError):
        await client.get("k")
    await client.connect()
    assert await client.get("k") == "v"
    await client.disconnect()


async def test_set_and_get(client):
    assert await client.set("k", "v") is True
    assert await client.set("k", "w", invalidate=True) is True
    assert await client.get("k") == "w"
    assert await client.get("missing") is None


async def test_ttl_and_expiry(client):
    await client.set("short", 1, ttl=0.05)
    await client.set("long", 1, ttl=60)
    await client.set("forever", 1)
    assert 58 <= await client.ttl("long") <= 60
    assert await client.ttl("forever") == -1
    assert await client.ttl("missing") == -2
    async with asyncio.timeout(5) if hasattr(asyncio, "timeout") else _Nothing():
        while await client.exists("short"):
            await asyncio.sleep(0.01)
    assert await client.get("short") is None
    # As in 2.0: 0 is no end, and what is past is gone.
    await client.set("zero", 1, ttl=0)
    assert await client.ttl("zero") == -1
    await client.set("past", 1, ttl=-1)
    assert await client.get("past") is None


class _Nothing:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None


async def test_delete_and_exists(client):
    await client.mset({"a": 1, "b": 2})
    assert await client.exists("a") is True
    assert await client.exists("no") is False
    assert await client.delete("a") == 1
    assert await client.delete("a") == 0
    await client.set("a", 1)
    assert await client.exists("a", "b", "no") == 2
    assert await client.delete("a", "b", "no") == 2


async def test_list(client):
    await client.mset({"user:1": 1, "user:2": 2, "other": 3})
    assert sorted(await client.list()) == ["other", "user:1", "user:2"]
    assert sorted(await client.list("user:*")) == ["user:1", "user:2"]
    assert await client.list("none*") == []


async def test_clear(client):
    await client.set("a", 1)
    assert await client.clear() is True
    assert await client.list() == []


async def test_mset_and_mget(client):
    assert await client.mset({"a": 1, "b": "two", "c": [3]}, ttl=30) is True
    assert [value async for value in client.mget("a", "b", "missing", "c")] == [1, "two", None, [3]]
    assert await client.mget("a", "c") == [1, [3]]
    assert 0 < await client.ttl("b") <= 30
    assert [value async for value in client.mget()] == []
    assert await client.mget("a").__anext__() == 1


async def test_save_and_load(client, tmp_path):
    await client.set("a", {"kept": True})
    path = str(tmp_path / "snapshot")
    assert await client.save(path) is True
    await client.clear()
    assert await client.load(path) is True
    assert await client.get("a") == {"kept": True}
    assert await client.load(str(tmp_path / "none")) is False
    assert await client.save("named") is True
    assert await client.load("named") is True
    assert await client.load("nobody-saved-this") is False
    assert await client.save() is True
    assert await client.load() is True


async def test_subscribe(client):
    events = client.subscribe("k")
    await events.ready()
    await client.set("other", 1)
    await client.set("k", 1)
    await client.delete("k")
    await client.set("k", 2, ttl=0.02)
    seen = []
    async for event in events:
        seen.append(event)
        if event["event"] == "expired":
            break
    assert [event["event"] for event in seen] == ["set", "del", "set", "expire", "expired"]
    assert {event["key"] for event in seen} == {"k"}
    assert all(isinstance(event["timestamp"], float) for event in seen)
    await events.aclose()


async def test_subscribe_as_2_0_was_used(client):
    seen = asyncio.Queue()

    async def watch():
        async for event in client.subscribe("k"):
            seen.put_nowait(event)

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0)
    await client.set("k", 1)
    event = await asyncio.wait_for(seen.get(), 5)
    assert (event["key"], event["event"]) == ("k", "set")
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_info(client):
    await client.mset({"a": 1, "b": 2})
    info = await client.info()
    assert info["keys"] == 2
    assert info["memory_usage"] > 0
    assert info["uptime"] >= 0
    assert {"max_size", "aspine_version", "keyspace_hits"} <= info.keys()


async def test_max_size_is_an_embedded_server():
    async with AspineClient(max_size=5) as client:
        for number in range(20):
            await client.set(f"k{number}", number)
        assert (await client.info())["keys"] == 5
        assert await client.get("k19") == 19
        assert await client.get("k0") is None
    with pytest.raises(ValueError, match="embedded"):
        AspineClient("192.0.2.1", max_size=5)


async def test_persist_path_keeps_what_there_was(tmp_path):
    for expected in (None, "kept"):
        async with AspineClient(persist_path=tmp_path / "data") as client:
            assert await client.get("k") == expected
            await client.set("k", "kept")


async def test_exceptions():
    assert issubclass(aspine.ConnectionError, aspine.AspineError)
    assert issubclass(aspine.TimeoutError, aspine.AspineError)
    assert issubclass(aspine.AuthError, aspine.AspineError)
    assert issubclass(aspine.CacheMiss, aspine.AspineError)
    assert issubclass(aspine.ConnectionError, ConnectionError)
    assert issubclass(aspine.TimeoutError, TimeoutError)
    with pytest.raises(aspine.ConnectionError):
        async with AspineClient(port=1):
            pass


async def test_wrong_key(server):
    for key in (None, "wrong"):
        with pytest.raises(aspine.AuthError):
            async with AspineClient(server.host, server.port, key) as client:
                await client.get("k")


async def test_cache_miss(client):
    await client.set("none", None)
    assert await client.fetch("none") is None
    with pytest.raises(aspine.CacheMiss, match="missing"):
        await client.fetch("missing")
