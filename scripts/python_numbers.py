#!/usr/bin/env python3
"""Measures the Python package beside redis-py (with hiredis), coredis and valkey-glide, in turn.

Needs two CPUs, and a Python whose environment has the package and whichever of the others can be had:

    scripts/python_package.sh                                            # builds the wheel
    python3 -m venv /tmp/numbers
    /tmp/numbers/bin/pip install target/python/dist/*.whl 'redis[hiredis]' coredis valkey-glide
    /tmp/numbers/bin/python scripts/python_numbers.py                    # about three minutes

One server of one core on CPU 0; each run is a process of its own on CPU 1, and runs take turns. Figures are medians.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time

VALUE = "v" * 64
KEYS = [f"key:{number}" for number in range(100)]
TASKS = 64
CLIENTS = ["aspine", "redis-py", "coredis", "valkey-glide"]
LOADS = {"get": 20_000, "set": 20_000, "get 64": 100_000, "mget": 2_000, "mset": 2_000}


async def connect(name, port):
    """A client by its library's own defaults: its `get`, `set`, `mget` and `mset` of many."""
    if name == "aspine":
        import aspine

        client = aspine.AspineClient(port=port)
        await client.connect()

        async def mget(keys):
            return [value async for value in client.mget(*keys)]

        return client.get, client.set, mget, client.mset
    if name == "redis-py":
        import hiredis  # noqa: F401 - so that it is no comparison without
        import redis.asyncio

        client = redis.asyncio.Redis(port=port)
        return client.get, client.set, client.mget, client.mset
    if name == "coredis":
        import coredis

        client = coredis.Redis(port=port)
        if hasattr(client, "__aenter__") and hasattr(coredis, "__version__"):
            # From version 6 on a client is a context.
            await client.__aenter__()
        return client.get, client.set, client.mget, client.mset
    import glide

    addresses = [glide.NodeAddress("127.0.0.1", port)]
    client = await glide.GlideClient.create(glide.GlideClientConfiguration(addresses))
    return client.get, client.set, client.mget, client.mset


async def run(name, port, load, requests):
    """Requests a second, microseconds of CPU each, and the times of each in the order they came."""
    get, set_, mget, mset = await connect(name, port)
    pairs = dict.fromkeys(KEYS, VALUE)
    await mset(pairs)
    times = []

    async def one(count, call, *args):
        for _ in range(count):
            begin = time.perf_counter()
            await call(*args)
            times.append(time.perf_counter() - begin)

    work = {
        "get": lambda count: one(count, get, KEYS[0]),
        "set": lambda count: one(count, set_, KEYS[0], VALUE),
        "get 64": lambda count: asyncio.gather(*[one(count // TASKS, get, KEYS[at]) for at in range(TASKS)]),
        "mget": lambda count: one(count, mget, KEYS),
        "mset": lambda count: one(count, mset, pairs),
    }[load]
    await work(requests // 10)
    times.clear()
    cpu, begin = cpu_seconds(), time.perf_counter()
    await work(requests)
    took, used = time.perf_counter() - begin, cpu_seconds() - cpu
    times.sort()
    quantile = lambda part: times[min(len(times) - 1, int(len(times) * part))] * 1e3  # noqa: E731
    return {"rate": len(times) / took, "cpu_us": used / len(times) * 1e6, "p50": quantile(0.5), "p99": quantile(0.99)}


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def child(args):
    print(json.dumps(asyncio.run(run(args.child, args.port, args.load, args.requests))), flush=True)
    # Some of the libraries leave tasks behind that complain at the end.
    os._exit(0)


def measure(name, port, load, requests):
    command = ["taskset", "-c", "1", sys.executable, __file__, "--child", name, "--port", str(port), "--load", load]
    done = subprocess.run([*command, "--requests", str(requests)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0 or not done.stdout:
        print(f"{name}, {load}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def versions():
    from importlib.metadata import PackageNotFoundError, version

    for package in ("aspine", "redis", "hiredis", "coredis", "valkey-glide"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package}: not installed"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
    import aspine.server

    command = [aspine.server.program(), "server", "--port", "0", "--cpus", "0", "--max-size", "0", "--log-level", "error"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().split(" on ")[1].split()[0].rsplit(":", 1)[1])
        results = {}
        for _ in range(args.repeats):
            for load, requests in LOADS.items():
                for name in CLIENTS:
                    if (result := measure(name, port, load, int(requests * args.scale))) is not None:
                        results.setdefault(load, {}).setdefault(name, []).append(result)
    finally:
        server.terminate()
        server.wait()
    report(args, results)


def report(args, results):
    print(f"Python {sys.version.split()[0]}; {', '.join(versions())}. Medians of {args.repeats} runs in turn.\n")
    print("| load | " + " | ".join(CLIENTS) + " | aspine / best other | aspine / redis-py |")
    print("|---|" + "---|" * (len(CLIENTS) + 2))
    for load, clients in results.items():
        for field, unit in (("rate", "requests/s"), ("cpu_us", "µs of CPU each")):
            medians = {name: statistics.median(run[field] for run in runs) for name, runs in clients.items()}
            others = [medians[name] for name in medians if name != "aspine"]
            best = (max if field == "rate" else min)(others, default=float("nan"))
            shape = "{:,.0f}" if field == "rate" else "{:.1f}"
            cells = [shape.format(medians[name]) if name in medians else "-" for name in CLIENTS]
            ratios = [f"{medians['aspine'] / best:.2f}", f"{medians['aspine'] / medians.get('redis-py', float('nan')):.2f}"]
            print(f"| {load}, {unit} | {' | '.join(cells + ratios)} |")
    print("\n| aspine, ms | p50 | p99 |\n|---|---|---|")
    for load, clients in results.items():
        p50, p99 = (statistics.median(run[field] for run in clients["aspine"]) for field in ("p50", "p99"))
        print(f"| {load} | {p50:.3f} | {p99:.3f} |")


if __name__ == "__main__":
    main()
