#!/usr/bin/env python3
"""Measures what the load generator itself costs: CPU time per operation of `aspine bench` beside redis-benchmark.

Both send the same load (GETs of 64-byte values over 100k keys) to one redis-server, in turn (A B A B ...), pinned alike:
the server on the first CPU, the client on the second. CPU time is that of the client's whole process, from its start to
its end, as the kernel counts it (wait4). Medians of --repeats runs with their range.

Needs redis-server and redis-benchmark (Debian: apt-get install redis-server) and two CPUs.

    cargo build --release && python3 scripts/bench_cost.py          # about a minute
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time

KEYS = 100_000


def start_redis(port, cpu):
    command = ["taskset", "-c", str(cpu), "redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server
        except OSError:
            if time.monotonic() > deadline or server.poll() is not None:
                sys.exit("redis-server did not start")
            time.sleep(0.02)


def cpu_s(command):
    """User and system time of a command, seconds."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/aspine")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--port", type=int, default=7399)
    parser.add_argument("--scale", type=float, default=1.0, help="scales the number of requests")
    args = parser.parse_args()
    server = start_redis(args.port, 0)
    try:
        target = f"127.0.0.1:{args.port}"
        aspine = ["taskset", "-c", "1", args.binary, "bench", "--target", target, "--keys", str(KEYS)]
        subprocess.run(aspine + ["--preload", "--requests", "0"], stdout=subprocess.DEVNULL, check=True)
        redis = ["taskset", "-c", "1", "redis-benchmark", "-p", str(args.port), "-d", "64", "-r", str(KEYS), "-q"]
        print(f"{'load':36}{'redis-benchmark':>22}{'aspine bench':>22}{'ratio':>8}")
        for kind, ratio in (("get", "1:0"), ("set", "0:1")):
            for connections, pipeline, count in ((50, 1, 200_000), (50, 16, 2_000_000), (1, 1, 50_000)):
                count = int(count * args.scale)
                shape = ["-c", str(connections), "-P", str(pipeline), "-n", str(count), "-t", kind]
                ours = ["--connections", str(connections), "--pipeline", str(pipeline), "--requests", str(count)]
                runs = [[], []]
                for _ in range(args.repeats):
                    runs[0].append(cpu_s(redis + shape) / count * 1e6)
                    runs[1].append(cpu_s(aspine + ours + ["--ratio", ratio]) / count * 1e6)
                cells = [f"{statistics.median(r):.2f} [{min(r):.2f}-{max(r):.2f}] µs" for r in runs]
                name = f"{kind.upper()}, {connections} connections, pipeline {pipeline}"
                factor = statistics.median(runs[1]) / statistics.median(runs[0])
                print(f"{name:36}{cells[0]:>22}{cells[1]:>22}{factor:>8.2f}", flush=True)
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
