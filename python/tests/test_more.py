"""What 2.0 did not have, by both clients."""

import asyncio
import random
import threading

import pytest

import aspine

pytestmark = pytest.mark.asyncio


async def test_numbers(client):
    assert await client.incr("n") == 1
    assert await client.incr("n", 5) == 6
    assert await client.decr("n", 2) == 4
    assert await client.get("n") == 4
    with pytest.raises(ValueError):
        client.decr("n", -(2**63))


async def test_set_if(client):
    assert await client.set("k", 1, nx=True) is True
    assert await client.set("k", 2, nx=True) is False
    assert await client.set("no", 2, xx=True) is False
    assert await client.set("k", 3, xx=True) is True
    assert await client.get("k") == 3


async def test_touch_and_persist(client):
    assert await client.touch("k", 60) is False
    await client.set("k", 1)
    assert await client.touch("k", 60) is True
    assert 0 < await client.ttl("k") <= 60
    assert await client.persist("k") is True
    assert await client.touch("k") is True
    assert await client.ttl("k") == -1


async def test_compare_and_set(client):
    assert await client.compare_and_set("k", None, {"n": 1}) is True
    assert await client.compare_and_set("k", None, 2) is False
    assert await client.compare_and_set("k", {"n": 2}, 2) is False
    assert await client.compare_and_set("k", {"n": 1}, 1, ttl=60) is True
    assert 0 < await client.ttl("k") <= 60
    assert await client.compare_and_set("k", True, 2) is False, "True is no 1"

    async def add():
        while True:
            seen = await client.get("n")
            if await client.compare_and_set("n", seen, (seen or 0) + 1):
                return

    await asyncio.gather(*[add() for _ in range(20)])
    assert await client.get("n") == 20


async def test_pipeline(client):
    pipeline = client.pipeline()
    assert pipeline.set("a", {"x": 1}).get("a").incr("n").delete("a", "no").get("a") is pipeline
    assert len(pipeline) == 5
    assert await pipeline.execute() == [True, {"x": 1}, 1, 1, None]
    assert len(pipeline) == 0
    assert await pipeline.execute() == []
    pipeline.set("t", "text").incr("t").get("t")
    results = await pipeline.execute(raise_on_error=False)
    assert results[0] is True and isinstance(results[1], aspine.ServerError) and results[2] == "text"
    pipeline.incr("t")
    with pytest.raises(aspine.ServerError):
        await pipeline.execute()
    async with client.pipeline() as pipeline:
        pipeline.set("b", 1)
        pipeline.get("b")
    assert pipeline.results == [True, 1]
    async with client.pipeline() as many:
        for number in range(5000):
            many.set(f"k{number}", number)
    assert many.results == [True] * 5000


async def test_transaction(client):
    async with client.transaction() as transaction:
        transaction.set("a", 1).incr("a").get("a").get_many("a", "no")
    assert transaction.results == [True, 2, 2, [2, None]]
    transaction = client.transaction()
    transaction.set("t", "x").command("NOSUCH")
    with pytest.raises(aspine.ServerError, match="unknown command"):
        await transaction.execute()
    assert await client.get("t") is None, "all or nothing"

    async def transfer():
        async with client.transaction() as step:
            step.decr("from").incr("to").get_many("from", "to")
        assert sum(step.results[-1]) == 0

    await asyncio.gather(*[transfer() for _ in range(200)])
    with pytest.raises(ZeroDivisionError):
        async with client.transaction() as step:
            step.set("never", 1)
            raise ZeroDivisionError
    assert await client.exists("never") is False


async def test_lock(client):
    async with client.lock("job", ttl=30) as first:
        other = client.lock("job")
        assert await other.acquire(timeout=0) is False
        assert await other.acquire(timeout=0.02) is False
        assert other.token is None
        with pytest.raises(aspine.LockError):
            async with client.lock("job", timeout=0.02):
                pass
    assert await other.acquire(timeout=5) is True
    assert other.token > first
    with pytest.raises(aspine.LockError):
        await other.acquire()
    assert await other.extend(60) is True
    assert await other.release() is True
    assert await other.release() is False
    assert await other.extend() is False


async def test_a_lock_that_has_ended_is_not_released_for_another(client):
    first = client.lock("job", ttl=0.02)
    await first.acquire()
    second = client.lock("job", ttl=30)
    assert await second.acquire(timeout=5)
    assert second.token > first.token
    assert await first.extend() is False
    assert await first.release() is False
    assert await client.lock("job").acquire(timeout=0) is False
    await second.release()


async def test_fencing_tokens_rise_in_the_order_of_the_holders(client):
    tokens = []

    async def hold():
        async with client.lock("job") as token:
            tokens.append(token)

    await asyncio.gather(*[hold() for _ in range(20)])
    assert tokens == sorted(set(tokens)) and len(tokens) == 20
    await client.delete("aspine:fence:{job}")
    await hold()
    assert tokens[-1] > tokens[-2], "also after the counter was evicted"


async def test_rate_limit(client):
    results = [await client.rate_limit("api", 3, per=60) for _ in range(5)]
    assert [result.allowed for result in results] == [True, True, True, False, False]
    assert [result.remaining for result in results] == [2, 1, 0, 0, 0]
    assert all(0 < result.reset_after <= 60 for result in results)
    assert bool(results[0]) and not results[4]
    short = client.rate_limit
    assert await short("s", 1, per=0.02)
    while not await short("s", 1, per=0.02):
        await asyncio.sleep(0.005)


async def test_namespaces(client):
    users = client.namespace("users")
    deep = users.namespace("eu")
    await users.set("1", "alice")
    await deep.set("1", "bob")
    await client.set("1", "root")
    await client.set("us*rs:1", "other")
    assert await client.get("users:1") == "alice"
    assert await client.get("users:eu:1") == "bob"
    assert sorted(await users.list()) == ["1", "eu:1"]
    assert await users.list("e*") == ["eu:1"]
    assert await deep.get_many("1", "2") == ["bob", None]
    events = users.subscribe("1")
    await events.ready()
    await users.delete("1")
    assert (await events.__anext__())["key"] == "1"
    await events.aclose()
    pattern = client.namespace("us*rs")
    assert await pattern.list() == ["1"]
    assert await pattern.clear() is True
    assert await users.clear() is True
    assert await client.list() == ["1"]
    async with users.lock("l") as token, users.pipeline() as pipeline:
        pipeline.set("p", token).get("p")
    assert pipeline.results == [True, token]
    assert "users:p" in await client.list()


async def test_patterns_and_messages(client):
    events = client.namespace("ns").subscribe_pattern("u:*")
    await events.ready()
    await client.namespace("ns").set("u:1", 1)
    event = await events.__anext__()
    assert (event["key"], event["event"]) == ("u:1", "set")
    await events.aclose()
    async with client.messages("channel") as messages:
        assert await client.publish("channel", {"hello": [1]}) == 1
        message = await messages.__anext__()
        assert (message["channel"], message["message"]) == ("channel", {"hello": [1]})
    assert await client.publish("channel", 1) == 0
    first, second = client.messages("c"), client.messages("c")
    await asyncio.gather(first.ready(), second.ready())
    await first.aclose()
    await client.publish("c", "x")
    assert (await second.__anext__())["message"] == "x"
    with pytest.raises(StopAsyncIteration):
        await first.__anext__()
    await second.aclose()


async def test_cached(client):
    calls = []

    @client.cached(ttl=60)
    async def double(number, *, plus=0):
        calls.append(number)
        await asyncio.sleep(0.01)
        return None if number == 0 else number * 2 + plus

    assert await asyncio.gather(*[double(2) for _ in range(50)]) == [4] * 50
    assert calls == [2]
    assert await double(2, plus=1) == 5
    assert await double(0) is None and await double(0) is None
    assert calls == [2, 2, 0]
    assert await double.forget(2) is True
    assert await double(2) == 4 and calls == [2, 2, 0, 2]

    @client.cached(key="fails")
    async def fails():
        calls.append("fails")
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await fails()
    assert calls[-2:] == ["fails", "fails"], "errors are not kept, and the lock is given up"


async def test_cached_over_several_clients(server, client):
    calls = []

    async def slow(number):
        calls.append(number)
        await asyncio.sleep(0.05)
        return number

    async def one():
        async with server.client() as other:
            return await other.cached(ttl=60, key="slow")(slow)(7)

    assert await asyncio.gather(*[one() for _ in range(10)]) == [7] * 10
    assert calls == [7]


async def test_cached_without_a_server():
    client = aspine.AspineClient(port=1)

    @client.cached(ttl=60)
    async def answer():
        return 42

    assert await answer() == 42
    await client.disconnect()


async def test_core_ports():
    async with aspine.Server(cores=1, core_ports=0) as server:
        # One core has nothing to choose among; two need two CPUs.
        async with aspine.AspineClient(server.host, server.port, server.authkey) as client:
            assert client._links.cores == []
    import os

    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    async with aspine.Server(cores=2, core_ports=0) as server:
        async with aspine.AspineClient(server.host, server.port, server.authkey) as client:
            while not all(end.link.open for end in client._links.cores):
                await asyncio.sleep(0)
            assert len(client._links.cores) == 2
            before = (await client.info())["forwarded"]
            for number in range(100):
                await client.set(f"k{number}", number)
                assert await client.get(f"k{number}") == number
            assert (await client.info())["forwarded"] == before, "no key crossed the cores"
            assert await client.get_many(*[f"k{number}" for number in range(100)]) == list(range(100))


async def test_any_command(client):
    assert await client.command("SET", "k", "v") == "OK"
    assert await client.command("GETRANGE", "k", 0, 0) == b"v"
    assert await client.command("MGET", "k", "no") == [b"v", None]
    with pytest.raises(aspine.ServerError, match="unknown command"):
        await client.command("NOSUCH")


async def test_wrong_arguments(client):
    for wrong in (
        lambda: client.delete(),
        lambda: client.set("k", 1, ttl="soon"),
        lambda: client.set("k", 1, ttl=True),
        lambda: client.command(),
        lambda: client.get(5),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError):
        client.mset({})
    with pytest.raises(ValueError):
        client.set("k", 1, ttl=1e30)
    import datetime

    assert await client.set("k", 1, ttl=datetime.timedelta(minutes=1))
    assert 0 < await client.ttl("k") <= 60
    assert await client.mset([("a", 1), ("b", 2)])


# -- the client that waits --


async def test_blocking_has_the_same(server):
    await asyncio.get_running_loop().run_in_executor(None, use_blocking, server)


def use_blocking(server):
    with server.blocking_client() as client:
        client.clear()
        assert client.set("a", {"x": 1}, ttl=60) is True
        assert client.get("a") == {"x": 1}
        assert 0 < client.ttl("a") <= 60
        assert client.mset({"b": 1, "c": 2}) is True
        assert list(client.mget("b", "no", "c")) == [1, None, 2]
        assert sorted(client.list()) == ["a", "b", "c"]
        assert client.compare_and_set("b", 1, 5) is True
        assert client.compare_and_set("b", 1, 5) is False
        assert client.rate_limit("r", 1, 60).allowed and not client.rate_limit("r", 1, 60)
        with client.lock("l") as token:
            assert client.lock("l").acquire(timeout=0) is False
        with client.lock("l") as later:
            assert later > token
        with client.pipeline() as pipeline:
            pipeline.set("p", 1).incr("p")
        assert pipeline.results == [True, 2]
        with client.transaction() as transaction:
            transaction.incr("p").get("p")
        assert transaction.results == [3, 3]
        assert client.namespace("n").set("k", 1) and client.get("n:k") == 1
        with client.subscribe("s") as events:
            client.set("s", 1)
            event = next(events)
            assert (event["key"], event["event"]) == ("s", "set")
            assert events.get(timeout=0.01) is None
        assert client.info()["keys"] > 3
        assert client.save("blocking") and client.load("blocking") and not client.load("none")
        with pytest.raises(aspine.CacheMiss):
            client.fetch("missing")
        with pytest.raises(aspine.ServerError):
            client.incr("a")
        assert client.delete("a", "b") == 2 and client.exists("a") is False
        calls = []

        @client.cached(ttl=60)
        def slow(number):
            calls.append(number)
            return number * 2

        threads = [threading.Thread(target=slow, args=(3,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert slow(3) == 6 and calls == [3]
    with pytest.raises(aspine.ConnectionError):
        client.get("k")


async def test_blocking_threads_share_a_client(server):
    with server.blocking_client() as client:
        client.clear()

        def work():
            for _ in range(200):
                client.incr("n")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.get("n") == 1600


async def test_random_use_beside_a_model(client):
    """Random commands, several at once on keys of their own, beside a dict."""

    async def one(name):
        source, model = random.Random(name), {}
        for _ in range(300):
            key = f"{name}:{source.randint(0, 5)}"
            action = source.randint(0, 4)
            if action == 0:
                value = source.choice([1, "text", [1, 2], {"a": None}, b"\xff", 2.5, None, True])
                await client.set(key, value)
                model[key] = value
            elif action == 1:
                assert await client.get(key) == model.get(key)
            elif action == 2:
                assert await client.delete(key) == (key in model)
                model.pop(key, None)
            elif action == 3:
                assert await client.exists(key) is (key in model)
            else:
                keys = [f"{name}:{at}" for at in range(6)]
                assert await client.get_many(*keys) == [model.get(key) for key in keys]

    await asyncio.gather(*[one(f"model{number}") for number in range(20)])
