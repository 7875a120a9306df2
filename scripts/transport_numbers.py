#!/usr/bin/env python3
"""Measures the server's CPU time an operation by one transport and by the other, of one binary, in turn (A B A B ...).

    cargo build --release && python3 scripts/transport_numbers.py
    cargo build --release && python3 scripts/transport_numbers.py --repeats 15 --only p1,conns1000

Needs two CPUs and redis-benchmark: the server has CPU 0, the clients CPU 1. Rows:

    p1, p16, p64   50 connections, so many requests at once: GET and SET of 64 bytes
    conns1000      1,000 connections, one request at a time
    alone          one connection, one request at a time
    mb             SET and GET of 1 MB, 8 connections
    cores2         50 connections, 16 requests at once, to two cores (the clients share CPU 1 with one of them)

A figure is the median of the ratios ring/epoll of runs that followed each other, with its quartiles and the medians of
both, in microseconds of CPU an operation. On a busy machine only the ratio means something.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRANSPORTS = ["epoll", "ring"]
# Name: CPUs of the server, requests, and what redis-benchmark is told besides.
ROWS = {
    "p1": ("0", 60_000, ["-c", "50", "-P", "1", "-d", "64"]),
    "p16": ("0", 600_000, ["-c", "50", "-P", "16", "-d", "64"]),
    "p64": ("0", 1_200_000, ["-c", "50", "-P", "64", "-d", "64"]),
    "conns1000": ("0", 60_000, ["-c", "1000", "-P", "1", "-d", "64"]),
    "alone": ("0", 15_000, ["-c", "1", "-P", "1", "-d", "64"]),
    "mb": ("0", 1_000, ["-c", "8", "-P", "1", "-d", "1000000"]),
    "cores2": ("0,1", 300_000, ["-c", "50", "-P", "16", "-d", "64"]),
}


class Server:
    """A server on a port of its own."""

    def __init__(self, args, transport, cpus, port):
        self.port = str(port)
        command = [args.binary, "server", "--port", self.port, "--cpus", cpus, "--max-memory", "1gb", "--transport", transport]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if not self.process.stdout.readline().startswith("ready"):
            sys.exit(f"it does not serve: {' '.join(command)}")

    def cpu_ns(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def run(server, what, requests, flags):
    """Microseconds of the server's CPU for an operation."""
    before = server.cpu_ns()
    command = ["taskset", "-c", "1", "redis-benchmark", "-p", server.port, "-q", "-t", what, "-n", str(requests), "-r", "1000", *flags]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (server.cpu_ns() - before) / requests / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/aspine"))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--port", type=int, default=7421)
    parser.add_argument("--only", help="rows, by commas")
    args = parser.parse_args()
    print(f"{'':16}{'epoll':>9}{'ring':>9}   ring/epoll [quartiles]")
    for name, (cpus, requests, flags) in ROWS.items():
        if args.only and name not in args.only.split(","):
            continue
        servers = [Server(args, transport, cpus, args.port + i) for i, transport in enumerate(TRANSPORTS)]
        try:
            for what in ["set", "get"]:
                runs = [[run(server, what, requests, flags) for server in servers] for _ in range(args.repeats)]
                epoll, ring = (statistics.median(column) for column in zip(*runs))
                low, ratio, high = statistics.quantiles([b / a for a, b in runs], n=4)
                print(f"{name + ' ' + what.upper():16}{epoll:9.3f}{ring:9.3f}   {ratio:.3f} [{low:.3f}-{high:.3f}]", flush=True)
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
