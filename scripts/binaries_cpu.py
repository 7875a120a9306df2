#!/usr/bin/env python3
"""Compares the CPU time that two builds of the server take for an operation.

Both run at the same time, each on the first CPU, and redis-benchmark on the second asks them in turn, in short runs: the
machine's drift meets both alike. A figure is the median of the ratios of neighbouring runs, with its quartiles.

    python3 scripts/binaries_cpu.py OLD NEW                      # paths of two binaries; about 5 minutes
    python3 scripts/binaries_cpu.py OLD NEW --pairs 15 --pipelines 64 -- --max-size 1000000

Needs redis-benchmark (Debian: apt-get install redis-tools) and two CPUs.
"""

import argparse
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

RUN_OPERATIONS = {1: 30_000, 16: 300_000, 64: 600_000}
KEYS = 100_000


class Server:
    """A server process."""

    def __init__(self, binary, port, options):
        self.port = port
        self.folder = tempfile.TemporaryDirectory()
        command = ["taskset", "-c", "0", binary, "server", "--cores", "1", "--port", str(port)]
        command += ["--data-dir", self.folder.name, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{binary} did not start: {' '.join(command)}")
                time.sleep(0.02)

    def cpu_ns(self):
        """CPU time of all threads so far."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()


def load(server, operation, pipeline, operations):
    """Nanoseconds of CPU an operation."""
    before = server.cpu_ns()
    command = ["taskset", "-c", "1", "redis-benchmark", "-p", str(server.port), "-q", "-t", operation, "-r", str(KEYS)]
    command += ["-n", str(operations), "-P", str(pipeline), "-d", "64"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (server.cpu_ns() - before) / operations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--pairs", type=int, default=9, help="runs of each build and load")
    parser.add_argument("--pipelines", default="1,16,64")
    parser.add_argument("--operations", default="get,set")
    parser.add_argument("--port", type=int, default=5410)
    parser.add_argument("server_options", nargs="*", help="options for both servers, after --")
    args = parser.parse_args()
    servers = [Server(binary, args.port + at, args.server_options) for at, binary in enumerate((args.old, args.new))]
    for server in servers:
        load(server, "set", 64, 4 * KEYS)
    print("operation  pipeline   old ns   new ns   new/old (quartiles)")
    for operation in args.operations.split(","):
        for pipeline in map(int, args.pipelines.split(",")):
            operations = RUN_OPERATIONS.get(pipeline, 100_000)
            runs = []
            for number in range(args.pairs):
                order = servers if number % 2 == 0 else servers[::-1]
                taken = {server.port: load(server, operation, pipeline, operations) for server in order}
                runs.append([taken[server.port] for server in servers])
            old, new = (statistics.median(column) for column in zip(*runs))
            low, ratio, high = statistics.quantiles([new / old for old, new in runs], n=4)
            print(f"{operation:9} {pipeline:9} {old:8.0f} {new:8.0f}   {ratio:.3f} ({low:.3f}-{high:.3f})", flush=True)
    for server in servers:
        server.stop()


if __name__ == "__main__":
    main()
