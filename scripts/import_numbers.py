#!/usr/bin/env python3
"""Measures `aspine import`: items a second from a dump file of redis-server, and from a redis-server that runs.

    python3 scripts/import_numbers.py                        # target/release/aspine; 2M items of 100 bytes, about a minute
    python3 scripts/import_numbers.py PATH --items 500000 --repeats 5

The redis-server, the server that takes the items, and the importer share the machine. Every run fills an empty server. A figure
is the median of its runs. Needs redis-server (Debian: apt-get install redis-server).
"""

import argparse
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def wait_for(port):
    """Waits until a server listens."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                sys.exit(f"nobody listens on port {port}")
            time.sleep(0.05)


def fill(port, items, bytes_each):
    """Stores so many strings in a server; one in ten has a time to live."""
    with socket.create_connection(("127.0.0.1", port)) as conn:
        replies = conn.makefile("rb")
        for begin in range(0, items, 10_000):
            count = min(10_000, items - begin)
            lines = []
            for number in range(begin, begin + count):
                key, value = b"user:session:%d" % number, (b"%d:" % number).ljust(bytes_each, b"v")
                words = [b"SET", key, value] + ([b"EX", b"100000"] if number % 10 == 0 else [])
                lines.append(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
            conn.sendall(b"".join(lines))
            for _ in range(count):
                replies.readline()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?", default=str(ROOT / "target/release/aspine"))
    parser.add_argument("--items", type=int, default=2_000_000)
    parser.add_argument("--bytes", type=int, default=100, help="of a value")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    if not shutil.which("redis-server"):
        sys.exit("redis-server is missing: apt-get install redis-server")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        redis = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            wait_for(port)
            fill(port, args.items, args.bytes)
            subprocess.run(["redis-cli", "-p", str(port), "SAVE"], check=True, stdout=subprocess.DEVNULL)
            ways = {"file": [f"{folder}/dump.rdb"], "running Redis": ["--from", f"redis://127.0.0.1:{port}"]}
            rates = {way: [] for way in ways}
            for _ in range(args.repeats):
                for way, words in ways.items():
                    rates[way].append(measure(args, words, folder))
            print(f"{args.items} items with values of {args.bytes} bytes, {args.cores} cores, medians of {args.repeats}")
            for way, found in rates.items():
                print(f"{way:14} {statistics.median(found):>10,.0f} items/s   ({', '.join(f'{rate:,.0f}' for rate in found)})")
        finally:
            redis.kill()
            redis.wait()


def measure(args, words, folder):
    """Items a second of one import into an empty server."""
    port = free_port()
    command = [args.binary, "server", "--port", str(port), "--cores", args.cores, "--max-memory", "8gb", "--data-dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        done = subprocess.run([args.binary, "import", *words, "--port", str(port)], check=True, capture_output=True, text=True)
        items, seconds = re.match(r"imported (\d+) items in ([0-9.]+) s", done.stdout).groups()
        if int(items) != args.items:
            sys.exit(f"not all were imported: {done.stdout}")
        return int(items) / float(seconds)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
