#!/usr/bin/env python3
"""Measures what core ports save: the server's CPU per operation on two cores, by the one port and by core ports.

Needs two CPUs, which the server's cores and the client (`aspine bench`) share, so CPU per operation tells and throughput
does not. What crosses cores travels in batches, so the fuller the machine, the less a forwarded operation costs. Both ways run in the same minutes, in turn, on one server; every figure is a median of --repeats runs, with its
range. Nothing may be forwarded by core ports; by the one port about half is. The same is asked of redis-py's RedisCluster,
if Python has it.

    cargo build --release && python3 scripts/core_ports_numbers.py
"""

import argparse
import json
import re
import statistics
import subprocess
import sys

from serve_numbers import aspine, facts

KEYS = 100_000
TARGET = 0.75


def forwarded(server):
    """Operations run, and those that have crossed cores, so far."""
    text = server.ask("INFO", "aspine").decode()
    return [int(re.search(rf"^{field}:(\d+)", text, re.MULTILINE)[1]) for field in ("operations", "forwarded")]


def bench(binary, server, *flags):
    line = [binary, "bench", f"--target=127.0.0.1:{server.port}", f"--server-pid={server.process.pid}",
            f"--keys={KEYS}", "--verify", "--json", *flags]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"{' '.join(line)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def measure(binary, server, load, ports, seconds):
    """One run: server CPU in µs an operation, operations a second, the share of operations that was forwarded."""
    before = forwarded(server)
    flags = [f"--{name}={value}" for name, value in load.items()]
    report = bench(binary, server, f"--duration={seconds}", "--warmup=0.2", *flags, *ports)
    operations, crossed = (now - then for now, then in zip(forwarded(server), before))
    return {"cpu_us": report["server_cpu_us_per_op"], "rps": report["throughput_per_s"],
            "p50_us": report["all"]["p50_us"], "forwarded": crossed, "share": crossed / max(1, operations)}


def loads():
    """Closed loops, as many operations as there is CPU for; and open ones, which leave some of it."""
    for command, ratio in (("GET", "1:0"), ("SET", "0:1")):
        for connections, pipeline, threads in ((1, 1, 1), (8, 1, 1), (50, 1, 1), (50, 1, 2), (200, 1, 2), (50, 16, 1)):
            name = (f"{command}, pipeline {pipeline}, {connections} connection{'s' * (connections > 1)}, "
                    f"{threads} client thread{'s' * (threads > 1)}")
            load = {"ratio": ratio, "connections": connections, "pipeline": pipeline}
            # One thread is not pinned.
            yield name, load if threads == 1 else {**load, "cpus": "0,1"}
        for rate in (10_000, 30_000):
            yield f"{command}, {rate // 1000}k/s over 50 connections", {"ratio": ratio, "connections": 50, "rate": rate}


def spread(runs, key, digits):
    values = [run[key] for run in runs]
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def compare(args, server):
    """Every load both ways. Returns how many operations of core ports were forwarded, and the loads at pipeline 1 that
    miss the target."""
    crossed, missed = 0, []
    print("| load | one port, µs | core ports, µs | ratio | p50, µs, of each | forwarded, of each |\n|---|---|---|---|---|---|")
    for name, load in loads():
        runs = {"one": [], "own": []}
        for _ in range(args.repeats):
            for way, flags in (("one", []), ("own", ["--core-ports"])):
                runs[way].append(measure(args.binary, server, load, flags, args.seconds))
        median = {way: {key: statistics.median(run[key] for run in each) for key in each[0]}
                  for way, each in runs.items()}
        ratio = median["own"]["cpu_us"] / median["one"]["cpu_us"]
        crossed += sum(run["forwarded"] for run in runs["own"])
        if load.get("pipeline", 1) == 1 and ratio > TARGET:
            missed.append(f"{name} ({ratio:.2f})")
        print(f"| {name} | {spread(runs['one'], 'cpu_us', 2)} | {spread(runs['own'], 'cpu_us', 2)} | {ratio:.2f} | "
              f"{median['one']['p50_us']:.0f}, {median['own']['p50_us']:.0f} | "
              f"{100 * median['one']['share']:.0f} %, {100 * median['own']['share']:.0f} % |", flush=True)
    return crossed, missed


def redis_py(server):
    """Operations of redis-py's RedisCluster that were forwarded; None if there is no redis-py."""
    try:
        from redis.cluster import ClusterNode, RedisCluster
    except ImportError:
        return None
    cluster = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", server.port)])
    before = forwarded(server)
    for number in range(2000):
        cluster.set(f"key:{number}", number)
        assert cluster.get(f"key:{number}") == b"%d" % number
    cluster.mget_nonatomic(f"key:{number}" for number in range(2000))
    pipe = cluster.pipeline()
    for number in range(2000):
        pipe.incr(f"key:{number}")
    pipe.execute()
    cluster.delete(*(f"key:{number}" for number in range(2000)))
    operations, crossed = (now - then for now, then in zip(forwarded(server), before))
    assert operations >= 6000, operations
    cluster.close()
    return crossed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/aspine")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--port", type=int, default=7350)
    args = parser.parse_args()
    facts(args.binary)
    server = aspine(args.binary, args.port, "0,1", "--core-ports", str(args.port + 1))
    try:
        bench(args.binary, server, f"--preload={KEYS}", "--requests=0", "--connections=10", "--pipeline=64")
        print("server CPU per operation on two cores, values of 64 bytes, medians and ranges", flush=True)
        crossed, missed = compare(args, server)
        print(f"forwarded by core ports, in all: {crossed}")
        crossed = redis_py(server)
        print("redis-py's RedisCluster: " + ("left out, Python has no redis" if crossed is None else f"{crossed} forwarded"))
        print("25 % less at pipeline 1 is missed by: " + (", ".join(missed) or "none"))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
