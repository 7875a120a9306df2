#!/usr/bin/env python3
"""Measures what strangers on the same CPUs cost a server: its throughput beside each kind of them, over that without any.

Servers, strangers and runs take turns, so that the machine's drift meets all alike. A figure is the median of its runs. The
server has two cores (or threads, where it has any), and redis-benchmark asks it on the same two CPUs, unpinned.

    python3 scripts/neighbours.py                                    # target/release/aspine; about 4 minutes
    python3 scripts/neighbours.py aspine=PATH old=OTHER redis --repeats 7
    python3 scripts/neighbours.py --strangers none,unpinned --pipelines 16

`redis` is redis-server, `memcached` is left out: redis-benchmark does not speak its protocol. Any other name is a binary of
Aspine. Needs redis-benchmark (Debian: apt-get install redis-tools) and two CPUs.
"""

import argparse
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONNECTIONS = 50
KEYS = 100_000
# Requests of a run: about two seconds without a stranger.
REQUESTS = {1: 100_000, 16: 1_000_000}
SPIN = ["sh", "-c", "while :; do :; done"]
STRANGERS = {
    "none": [],
    "first": [["taskset", "-c", "0", *SPIN]],
    "second": [["taskset", "-c", "1", *SPIN]],
    "unpinned": [SPIN],
    "each": [["taskset", "-c", "0", *SPIN], ["taskset", "-c", "1", *SPIN]],
}


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


class Server:
    """A server process in a folder of its own."""

    def __init__(self, name, binary):
        self.name, self.port = name, free_port()
        self.folder = tempfile.TemporaryDirectory()
        if name == "redis":
            command = [binary, "--port", str(self.port), "--save", "", "--dir", self.folder.name]
        else:
            command = [binary, "server", "--port", str(self.port), "--cores", "2", "--max-memory", "1gb"]
            command += ["--data-dir", self.folder.name]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{binary} did not start: {' '.join(command)}")
                time.sleep(0.02)

    def cpu_ns(self):
        """CPU time of all threads so far."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def load(self, operation, pipeline, requests):
        """Requests a second, nanoseconds of the server's CPU a request, and p99 in milliseconds."""
        before = self.cpu_ns()
        command = ["redis-benchmark", "-p", str(self.port), "--csv", "-t", operation, "-r", str(KEYS), "-d", "64"]
        command += ["-c", str(CONNECTIONS), "-P", str(pipeline), "-n", str(requests)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        head, row = (line.replace('"', "").split(",") for line in told.strip().splitlines()[-2:])
        told = dict(zip(head, row))
        cpu_ns = (self.cpu_ns() - before) / requests
        return float(told["rps"]), cpu_ns, float(told["p99_latency_ms"])

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()


def measure(server, pipeline, stranger):
    """One run of a server beside strangers."""
    strangers = [subprocess.Popen(command) for command in STRANGERS[stranger]]
    try:
        return server.load("get", pipeline, REQUESTS[pipeline] // (2 if strangers else 1))
    finally:
        for process in strangers:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", help="NAME=BINARY, or redis")
    parser.add_argument("--strangers", default=",".join(STRANGERS))
    parser.add_argument("--pipelines", default="1,16")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    named = args.servers or [f"aspine={ROOT / 'target/release/aspine'}", "redis"]
    named = ["redis=redis-server" if name == "redis" else name for name in named]
    servers = [Server(*name.split("=", 1)) for name in named]
    for server in servers:
        server.load("set", 16, 4 * KEYS)
    print("pipeline  strangers  server      GET/s   of none   CPU ns   p99 ms")
    for pipeline in map(int, args.pipelines.split(",")):
        alone = {}
        for stranger in args.strangers.split(","):
            runs = {server.name: [] for server in servers}
            for number in range(args.repeats):
                for server in servers if number % 2 == 0 else servers[::-1]:
                    runs[server.name].append(measure(server, pipeline, stranger))
            for name, figures in runs.items():
                rate, cpu_ns, p99_ms = (statistics.median(column) for column in zip(*figures))
                share = rate / alone.setdefault(name, rate)
                print(f"{pipeline:8}  {stranger:9}  {name:9} {rate:8.0f}   {share:7.2f}  {cpu_ns:7.0f}  {p99_ms:7.2f}", flush=True)
    for server in servers:
        server.stop()


if __name__ == "__main__":
    main()
