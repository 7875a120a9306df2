"""A program as users write it, for mypy and pyright: never run."""

import asyncio
from datetime import timedelta

import aspine
from aspine import AspineClient, blocking


async def main() -> int:
    async with AspineClient(max_memory="64mb", serializer="auto") as client:
        stored: bool = await client.set("k", {"a": 1}, ttl=timedelta(minutes=1))
        count: int = await client.incr("n") + await client.delete("a", "b")
        there: bool = await client.exists("k")
        both: int = await client.exists("k", "l")
        task: asyncio.Task[int] = asyncio.create_task(client.incr("n"))
        first, second = await asyncio.gather(client.ttl("k"), client.get("k"))
        async for value in client.mget("a", "b"):
            print(value)
        values: list[object] = await client.mget("a")
        names: list[str] = await client.list("user:*")
        async for event in client.subscribe("k"):
            print(event["key"])
        async with client.lock("job", ttl=5) as token:
            fenced: int = token
        async with client.pipeline() as pipeline:
            pipeline.set("a", 1).incr("a")
        limited = await client.rate_limit("api", 10, per=1)

        @client.cached(ttl=60)
        async def double(number: int) -> int:
            return number * 2

        doubled: int = await double(2)
        await double.forget(2)
        print(stored, there, both, await task, second, values, names, fenced, limited.remaining, doubled)
        return count + first


def waits() -> None:
    with aspine.Server(max_size=10) as server, blocking.AspineClient(server.url) as client:
        stored: bool = client.set("k", 1)
        found: bool = client.compare_and_set("k", 1, 2)
        try:
            client.fetch("no")
        except aspine.CacheMiss as error:
            print(error, stored, found)

        @client.cached(ttl=60)
        def double(number: int) -> int:
            return number * 2

        doubled: int = double(2)
        print(doubled, list(client.mget("a", "b")))


if __name__ == "__main__":
    asyncio.run(main())
