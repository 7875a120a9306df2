#!/usr/bin/env python3
"""Measures Aspine's snapshots beside redis-server's: latency and memory during a save, time of saving and loading.

Needs redis-server (Debian: apt-get install redis-server), two CPUs, and an open-loop generator: a build of Aspine that
has `aspine bench --rate`. The servers run on CPU 0, the generator on CPU 1. Both servers are up throughout and are measured
in turn, quiet and saving; every figure is a median of --repeats stretches, with its range.

    cargo build --release && python3 scripts/snapshot_numbers.py                       # some ten minutes
    python3 scripts/snapshot_numbers.py --only latency --items 2000000 --rate 20000

Latency counts from when a request should have been sent. Of memory counts what is resident, what Redis and its fork share
counts once; it is watched in stretches of its own, since to read it of a large process takes milliseconds of a CPU. Saves
repeat for as long as the generator runs.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PORTS = {"redis": 7811, "aspine": 7812}
VALUE_BYTES = 100


class Conn:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(600)
        self.input = b""

    def line(self):
        while b"\r\n" not in self.input:
            self.input += self.socket.recv(1 << 16)
        line, self.input = self.input.split(b"\r\n", 1)
        return line

    def call(self, *words):
        words = [str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        head = self.line()
        if head[:1] == b"$" and head != b"$-1":
            length = int(head[1:])
            while len(self.input) < length + 2:
                self.input += self.socket.recv(1 << 16)
            body, self.input = self.input[:length], self.input[length + 2 :]
            return body.decode()
        return head.decode()

    def info(self, field):
        text = self.call("INFO")
        return next(line.split(":", 1)[1] for line in text.splitlines() if line.startswith(field + ":"))


class Server:
    def __init__(self, name, directory, args):
        self.name, self.port, self.directory = name, PORTS[name], directory
        if name == "redis":
            command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", directory]
        else:
            command = [args.binary, "server", "--port", str(self.port), "--cores", "1", "--cpus", "0"]
            command += ["--max-memory", "8gb", "--data-dir", directory, "--log-level", "error"]
        self.command = ["taskset", "-c", "0"] + command if name == "redis" else command
        self.start()

    def start(self, *more):
        self.began = time.monotonic()
        self.process = subprocess.Popen(self.command + list(more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if self.name == "redis":
            self.free_child()

    def free_child(self):
        """Its fork may use the other CPU, as our writing thread may: only the server itself is pinned."""

        def unpin():
            while self.process.poll() is None:
                for child in children(self.process.pid):
                    subprocess.run(["taskset", "-apc", "0,1", str(child)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.005)

        threading.Thread(target=unpin, daemon=True).start()

    def ready(self):
        """Waits until it answers a command that needs keys."""
        while True:
            try:
                conn = Conn(self.port)
                while conn.call("GET", "x").startswith("-LOADING"):
                    time.sleep(0.005)
                return conn
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{self.name} did not start: {self.command}")
                time.sleep(0.005)

    def memory(self):
        """Bytes that would be free without it and its child."""
        return sum(private_bytes(pid) for pid in [self.process.pid, *children(self.process.pid)])

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(60)


def children(pid):
    try:
        return [int(child) for child in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def private_bytes(pid):
    """Proportional: what parent and child share counts once."""
    try:
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def fill(server, args):
    command = [args.bench, "bench", "--target", f"127.0.0.1:{server.port}", "--keys", str(args.items)]
    command += ["--value-size", str(VALUE_BYTES), "--preload", "--requests", "0", "--cpus", "1", "--connections", "4"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    conn = server.ready()
    assert conn.call("DBSIZE") == f":{args.items}", conn.call("DBSIZE")


def load(server, args, ratio):
    command = [args.bench, "bench", "--target", f"127.0.0.1:{server.port}", "--keys", str(args.items), "--json"]
    command += ["--value-size", str(VALUE_BYTES), "--rate", str(args.rate), "--duration", str(args.seconds)]
    command += ["--ratio", ratio, "--cpus", "1", "--connections", "50", "--warmup", "2"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


class Saves:
    """Saves over and over, and watches memory if it is to, until it is told to stop."""

    def __init__(self, server, watched=False):
        self.server, self.on, self.count, self.peak = server, True, 0, 0
        self.threads = [threading.Thread(target=self.save)]
        if watched:
            self.threads.append(threading.Thread(target=self.watch))
        for thread in self.threads:
            thread.start()

    def save(self):
        conn = Conn(self.server.port)
        while self.on:
            assert conn.call("BGSAVE").startswith("+"), "a save was under way"
            while conn.info("rdb_bgsave_in_progress") == "1":
                time.sleep(0.1)
            self.count += 1

    def watch(self):
        while self.on:
            self.peak = max(self.peak, self.server.memory())
            time.sleep(0.05)

    def stop(self):
        self.on = False
        for thread in self.threads:
            thread.join()


def latency(server, args, result):
    """One stretch of each kind."""
    for kind in ("quiet", "saving"):
        saves = Saves(server) if kind == "saving" else None
        measured = load(server, args, "1:1")["all"]
        for percentile in ("p50", "p99", "p999", "max"):
            result.setdefault(f"{kind}_{percentile}_us", []).append(measured[f"{percentile}_us"])
        if saves:
            saves.stop()
            result.setdefault("saves", []).append(saves.count)


def memory(server, args, result):
    load(server, args, "0:1")
    before = server.memory()
    saves = Saves(server, watched=True)
    load(server, args, "0:1")
    saves.stop()
    result.setdefault("memory_mib", []).append(before / 2**20)
    result.setdefault("growth_percent", []).append((saves.peak / before - 1) * 100)


def times(server, args, result):
    conn = server.ready()
    began = time.monotonic()
    assert conn.call("SAVE") == "+OK"
    result.setdefault("save_s", []).append(time.monotonic() - began)
    name = "dump.rdb" if server.name == "redis" else "dump.aspine"
    result.setdefault("file_mib", []).append(os.path.getsize(os.path.join(server.directory, name)) / 2**20)
    server.stop(signal.SIGKILL)
    server.start(*(["--persist"] if server.name == "aspine" else []))
    conn = server.ready()
    result.setdefault("load_s", []).append(time.monotonic() - server.began)
    assert conn.call("DBSIZE") == f":{args.items}"


def table(results):
    """A line per figure: each server's median and range."""
    names = list(results)
    print(f"{'':18}" + "".join(f"{name:>34}" for name in names))
    for figure in results[names[0]]:
        cells = [sorted(results[name][figure]) for name in names]
        print(f"{figure:18}" + "".join(f"{cell[len(cell) // 2]:12.2f} ({cell[0]:.2f} - {cell[-1]:.2f})".rjust(34) for cell in cells))
    for name in names:
        ratios = sorted(s / q for s, q in zip(results[name].get("saving_p99_us", []), results[name].get("quiet_p99_us", [])))
        if ratios:
            print(f"{name}: p99 saving over quiet, pair by pair: median {ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} - {ratios[-1]:.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/aspine", help="the server")
    parser.add_argument("--bench", default=None, help="the generator [default: the server's binary]")
    parser.add_argument("--items", type=int, default=2_000_000)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="latency,memory,times")
    parser.add_argument("--servers", default="redis,aspine")
    args = parser.parse_args()
    args.bench = args.bench or args.binary
    wanted, servers = args.only.split(","), []
    try:
        for name in args.servers.split(","):
            directory = tempfile.mkdtemp(prefix=f"snapshot-{name}-", dir=os.environ.get("TMPDIR", "/var/tmp"))
            servers.append(Server(name, directory, args))
            servers[-1].ready()
            fill(servers[-1], args)
        results = {server.name: {} for server in servers}
        for what, stretch in (("latency", latency), ("memory", memory), ("times", times)):
            for _ in range(args.repeats if what in wanted else 0):
                for server in servers:
                    stretch(server, args, results[server.name])
    finally:
        for server in servers:
            server.process.kill()
            shutil.rmtree(server.directory, ignore_errors=True)
    print(json.dumps(results))
    table(results)


if __name__ == "__main__":
    main()
