#!/usr/bin/env python3
"""Measures what `--spin` buys and costs: Aspine with auto and off, beside redis-server, in turn.

    cargo build --release && python3 scripts/spin_numbers.py
    python3 scripts/spin_numbers.py --only alone --repeats 9

Needs two CPUs and redis-server: the servers have CPU 0, the generator (`aspine bench`) CPU 1. Rows:

    alone       one connection, one request at a time
    few         three connections, one request at a time
    many        50 connections, one request at a time
    open5k, open20k, open50k   so many requests a second over 50 connections, whatever the server does

Figures are medians: round trip (p50 and p99) in microseconds, the server's CPU a request in microseconds, requests a second.
The last columns are the ratios of the median to redis-server's, and to that of off.
"""

import argparse
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = {
    "alone": ["--connections", "1"],
    "few": ["--connections", "3"],
    "many": ["--connections", "50"],
    "open5k": ["--connections", "50", "--rate", "5000"],
    "open20k": ["--connections", "50", "--rate", "20000"],
    "open50k": ["--connections", "50", "--rate", "50000"],
}


def start(args, name, port, folder):
    """A server on CPU 0."""
    if name == "redis":
        command = ["taskset", "-c", "0", "redis-server", "--port", str(port), "--save", "", "--dir", folder]
    else:
        command = [args.binary, "server", "--port", str(port), "--cpus", "0", "--max-memory", "1gb", "--spin", name, "--data-dir", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process
        except OSError:
            time.sleep(0.05)
    sys.exit(f"it does not serve: {' '.join(command)}")


def run(args, port, flags):
    """p50, p99, CPU a request, requests a second."""
    command = [args.binary, "bench", "--target", f"127.0.0.1:{port}", "--cpus", "1", "--json", "--preload", "--keys", "10000"]
    command += ["--duration", str(args.seconds), "--warmup", "0.5", *flags]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return report["all"]["p50_us"], report["all"]["p99_us"], report["server_cpu_us_per_op"], report["operations"] / report["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/aspine"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--port", type=int, default=7451)
    parser.add_argument("--only", default=",".join(ROWS))
    args = parser.parse_args()
    names = ["redis", "off", "auto"]
    with tempfile.TemporaryDirectory() as folder:
        ports = {name: args.port + number for number, name in enumerate(names)}
        servers = []
        try:
            for name, port in ports.items():
                pathlib.Path(folder, name).mkdir()
                servers.append(start(args, name, port, f"{folder}/{name}"))
            print(f"{'':8} {'':6} {'p50':>7} {'p99':>7} {'CPU':>7} {'a second':>9}   p50/redis  CPU/redis  p50/off  CPU/off")
            for row in args.only.split(","):
                runs = {name: [] for name in names}
                for number in range(args.repeats):
                    for name in names if number % 2 == 0 else names[::-1]:
                        runs[name].append(run(args, ports[name], ROWS[row]))
                medians = {name: [statistics.median(column) for column in zip(*runs[name])] for name in names}
                for name, (p50, p99, cpu, rate) in medians.items():
                    ratios = [figure / medians[to][at] for to in ("redis", "off") for at, figure in ((0, p50), (2, cpu))]
                    told = "   {:9.2f}  {:9.2f}  {:7.2f}  {:7.2f}".format(*ratios)
                    print(f"{row:8} {name:6} {p50:7.1f} {p99:7.1f} {cpu:7.2f} {rate:9.0f}{told}", flush=True)
        finally:
            for server in servers:
                server.terminate()
                server.wait(30)


if __name__ == "__main__":
    main()
