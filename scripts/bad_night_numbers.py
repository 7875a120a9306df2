#!/usr/bin/env python3
"""Measures what one client of bad manners costs the others of its core: the p99 of an open loop beside it, over that alone.

    python3 scripts/bad_night_numbers.py                                        # target/release/aspine; about 2 minutes
    python3 scripts/bad_night_numbers.py aspine=PATH redis --clients none,unread

One server of one core on CPU 0; the load of GETs and SETs (`aspine bench --rate`) on CPU 1, and the client of bad manners with it,
at the lowest priority. Runs take turns, and a figure is the median of its runs. The clients:

    unread      writes 150,000 GETs of 64 bytes before it reads a reply, reads them all, and again
    class       KEYS with a class of 40,000 letters, over a key of 60,000 letters, without pause
    questions   KEYS with 4,000 question marks between a star and a letter, the same
    every       KEYS with a class of 1,000 letters over 2,000 keys of 208 bytes, the same

redis-server answers nobody for seconds while it compares with `class`, so leave that one out where it is measured.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNREAD = 150_000
BIND = ["taskset", "-c"]


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def request(*words):
    """A command as clients send it."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Server:
    """A server process on CPU 0, in a folder of its own."""

    def __init__(self, name, binary):
        self.name, self.port = name, free_port()
        self.folder = tempfile.TemporaryDirectory()
        if name == "redis":
            command = [binary, "--port", str(self.port), "--save", "", "--dir", self.folder.name]
        else:
            command = [binary, "server", "--port", str(self.port), "--cores", "1", "--cpus", "0", "--max-memory", "1gb"]
            command += ["--data-dir", self.folder.name]
        self.process = subprocess.Popen(BIND + ["0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{binary} did not start: {' '.join(command)}")
                time.sleep(0.02)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()


def read_replies(client):
    """Reads replies up to that of a PING."""
    tail = b""
    while not tail.endswith(b"+PONG\r\n"):
        got = client.recv(1 << 20)
        if not got:
            raise ConnectionError("closed by the server")
        tail = (tail + got)[-16:]


def unread(server, ended):
    """Writes everything before it reads."""
    with server.connect() as client:
        client.sendall(request("SET", "unread", "v" * 64))
        client.recv(64)
        all_requests = request("GET", "unread") * UNREAD + request("PING")
        while not ended.is_set():
            client.sendall(all_requests)
            read_replies(client)


def patterns(pattern, keys):
    def run(server, ended):
        with server.connect() as client:
            for key in keys:
                client.sendall(request("SET", key, "v"))
                client.recv(64)
            while not ended.is_set():
                client.sendall(request("KEYS", pattern) + request("PING"))
                read_replies(client)
    return run


CLIENTS = {
    "none": None,
    "unread": unread,
    "class": patterns("*[" + "abcdefgh" * 5_000 + "]", ["x" * 60_000]),
    "questions": patterns("*" + "?" * 4_000 + "b", ["x" * 60_000]),
    "every": patterns("*[" + "abcdefgh" * 125 + "]", [f"{number:04}" + "x" * 204 for number in range(2_000)]),
}


def measure(server, name, args):
    """The p50 and p99, in milliseconds, of the load beside a client."""
    ended, client = threading.Event(), CLIENTS[name]
    beside = None
    if client:
        beside = os.fork()
        if beside == 0:
            # What it does to the server counts, not what it takes from the generator.
            os.sched_setaffinity(0, {1})
            os.nice(19)
            try:
                client(server, ended)
            except OSError as error:
                print(f"{name}: {error}", file=sys.stderr)
            os._exit(1)
        time.sleep(0.5)
    try:
        command = [args.bench, "bench", "--target", f"127.0.0.1:{server.port}", "--cpus", "1", "--json"]
        command += ["--rate", str(args.rate), "--duration", str(args.seconds), "--keys", "10000", "--preload"]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if beside and os.waitpid(beside, os.WNOHANG)[0]:
            sys.exit(f"the client {name} of {server.name} ended")
        return told["all"]["p50_us"] / 1000, told["all"]["p99_us"] / 1000
    finally:
        if beside:
            os.kill(beside, 9)
            os.waitpid(beside, 0)
            with server.connect() as connection:
                connection.sendall(request("FLUSHALL"))
                connection.recv(64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", help="NAME=BINARY, or redis")
    parser.add_argument("--clients", default=",".join(CLIENTS))
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bench", default=str(ROOT / "target/release/aspine"))
    args = parser.parse_args()
    named = args.servers or [f"aspine={ROOT / 'target/release/aspine'}"]
    named = ["redis=redis-server" if name == "redis" else name for name in named]
    servers = [Server(*name.split("=", 1)) for name in named]
    clients = args.clients.split(",")
    runs = {(server.name, client): [] for server in servers for client in clients}
    for _ in range(args.repeats):
        for server in servers:
            for client in clients:
                runs[server.name, client].append(measure(server, client, args))
    print("server     client       p50 ms   p99 ms   of none")
    for server in servers:
        alone = None
        for client in clients:
            p50, p99 = (statistics.median(column) for column in zip(*runs[server.name, client]))
            alone = alone or p99
            print(f"{server.name:9}  {client:10} {p50:8.3f} {p99:8.3f} {p99 / alone:9.2f}")
    for server in servers:
        server.stop()


if __name__ == "__main__":
    main()
