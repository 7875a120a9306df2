#!/usr/bin/env python3
"""Counts the system calls of a loaded server (strace -c -f), by each transport: what a request costs of them, and which they are.

    cargo build --release && python3 scripts/system_calls.py
    python3 scripts/system_calls.py --check            # fails unless io_uring_enter is nearly all there is

The server has one core and one CPU, redis-benchmark the other; strace looks on for some seconds in which nobody connects.
Needs strace and redis-benchmark (Debian: apt-get install strace redis-tools). Under strace a server is several times slower;
what it is asked for by a turn, and so the calls of a request, changes with that: the kinds of calls do not.
"""

import argparse
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRANSPORTS = ["ring", "epoll"]
# With 50 connections, so many requests at once.
PIPELINES = [1, 16]
# The share of io_uring_enter by the ring. A tick of the executor, each time that a wait has brought nothing, is the rest.
SHARE_MIN = 0.95


def requests_served(port):
    """The number of commands that the server has run."""
    info = subprocess.run(["redis-cli", "-p", port, "info", "stats"], check=True, capture_output=True, text=True).stdout
    return int(re.search(r"total_commands_processed:(\d+)", info)[1])


def count(port, pid, pipeline, seconds):
    """Requests, and calls by name, of some seconds under load."""
    load = ["taskset", "-c", "1", "redis-benchmark", "-p", port, "-q", "-t", "get", "-n", "1000000000", "-c", "50", "-P", str(pipeline)]
    client = subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        before = requests_served(port)
        while requests_served(port) < before + 10_000:
            time.sleep(0.05)
        tracer = subprocess.Popen(["strace", "-c", "-f", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
        first_line = tracer.stderr.readline()
        before = requests_served(port)
        time.sleep(seconds)
        requests = requests_served(port) - before
        tracer.send_signal(signal.SIGINT)
        table = first_line + tracer.stderr.read()
        tracer.wait()
    finally:
        client.kill()
        client.wait()
    # % time, seconds, usecs/call, calls, errors if any, name
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", table, re.M)
    calls = {name: int(number) for number, name in rows if name != "total"}
    if not calls:
        sys.exit(f"strace says nothing of calls: {table}")
    return requests, calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/aspine"))
    parser.add_argument("--port", default="7441")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--check", action="store_true", help=f"fail if less than {SHARE_MIN:.0%} of the ring's calls are io_uring_enter")
    args = parser.parse_args()
    failed = False
    print("transport  pipeline  requests  calls a request  calls")
    for transport in TRANSPORTS:
        command = [args.binary, "server", "--port", args.port, "--cpus", "0", "--transport", transport]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            if not server.stdout.readline().startswith("ready"):
                sys.exit(f"it does not serve: {' '.join(command)}")
            for pipeline in PIPELINES:
                requests, calls = count(args.port, server.pid, pipeline, args.seconds)
                total = sum(calls.values())
                shares = sorted(((number / total, name) for name, number in calls.items()), reverse=True)
                told = ", ".join(f"{name} {share:.1%}" for share, name in shares if share >= 0.001)
                print(f"{transport:9}  {pipeline:8}  {requests:8}  {total / requests:15.3f}  {told}", flush=True)
                failed |= transport == "ring" and calls.get("io_uring_enter", 0) < SHARE_MIN * total
        finally:
            server.terminate()
            server.wait(30)
    if args.check and failed:
        sys.exit(f"less than {SHARE_MIN:.0%} of the ring's system calls are io_uring_enter")


if __name__ == "__main__":
    main()
