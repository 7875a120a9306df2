#!/usr/bin/env python3
"""Measures Aspine beside redis-server: CPU per operation, throughput, round trip, memory per item, turn times.

Needs redis-server and redis-benchmark (Debian: apt-get install redis-server) and two CPUs. Both servers run in the
same minutes, load by load in turn (A B A B ...); every figure is a median of --repeats runs, with its range.

    cargo build --release && python3 scripts/serve_numbers.py            # everything, about 15 minutes
    python3 scripts/serve_numbers.py --only cpu,rtt --repeats 5
"""

import argparse
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import threading
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
VALUE = b"x" * 64


class Server:
    """A server process and its port."""

    def __init__(self, name, command, port):
        self.name, self.port = name, port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{name} did not start: {' '.join(command)}")
                time.sleep(0.02)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def cpu_s(self):
        """User and system time of the whole process so far, seconds."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def rss_bytes(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    def ask(self, *words):
        """One command, its raw reply (up to a pause); for INFO and the like."""
        with self.connect() as connection:
            connection.sendall(encode(words))
            connection.settimeout(0.3)
            reply = b""
            try:
                while chunk := connection.recv(1 << 20):
                    reply += chunk
            except TimeoutError:
                pass
            return reply

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def encode(words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


def redis(port, cpu):
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--daemonize", "no"]
    return Server("redis", ["taskset", "-c", str(cpu)] + command if cpu is not None else command, port)


def aspine(binary, port, cpus, *flags, max_memory="2gb"):
    cores = str(len(cpus.split(",")))
    command = [binary, "server", "--port", str(port), "--cores", cores, "--cpus", cpus, "--max-memory", max_memory, *flags]
    return Server("aspine", command, port)


def benchmark(server, command, connections, pipeline, count, pin):
    """One redis-benchmark run: operations a second, p50 in ms, the server's CPU in µs an operation."""
    line = ["redis-benchmark", "-p", str(server.port), "-t", command, "-d", "64", "-r", "100000", "--csv"]
    line += ["-c", str(connections), "-P", str(pipeline), "-n", str(count)]
    line = ["taskset", "-c", pin] + line if pin else line
    before = server.cpu_s()
    out = subprocess.run(line, capture_output=True, text=True, timeout=300, check=True).stdout
    cpu_us = (server.cpu_s() - before) / count * 1e6
    fields = out.strip().splitlines()[-1].replace('"', "").split(",")
    return {"rps": float(fields[1]), "p50_ms": float(fields[4]), "p99_ms": float(fields[6]), "cpu_us": cpu_us}


def preload(server):
    benchmark(server, "set", 10, 64, 400_000, None)


def compare(servers, loads, repeats, pin):
    """Every load on every server, in turn, `repeats` times; rows of medians."""
    rows = []
    for command, connections, pipeline, count in loads:
        runs = {server.name: [] for server in servers}
        for _ in range(repeats):
            for server in servers:
                runs[server.name].append(benchmark(server, command, connections, pipeline, count, pin))
        rows.append(((command, connections, pipeline), runs))
    return rows


def spread(runs, key):
    values = [run[key] for run in runs]
    return statistics.median(values), min(values), max(values)


def print_rows(title, rows, keys, base):
    print(f"\n{title}")
    for (command, connections, pipeline), runs in rows:
        for key in keys:
            cells = []
            for name, results in runs.items():
                median, low, high = spread(results, key)
                ratio = median / spread(runs[base], key)[0] if spread(runs[base], key)[0] else 0
                cells.append(f"{name} {median:.2f} [{low:.2f}-{high:.2f}] ({ratio:.2f} x)")
            print(f"  {command} c={connections} P={pipeline} {key}: " + "   ".join(cells), flush=True)


def load_items(server, count, key_format, value, chunk=2000):
    """Sets `count` distinct keys over one connection, pipelined; a thread counts the replies."""
    connection = server.connect()
    expected = count * len(b"+OK\r\n")

    def drain():
        seen = 0
        while seen < expected:
            data = connection.recv(1 << 20)
            if not data or data.count(b"-"):
                sys.exit(f"{server.name}: a SET failed: {data[:200]!r}")
            seen += len(data)

    reader = threading.Thread(target=drain)
    reader.start()
    tail = b"\r\n$%d\r\n%s\r\n" % (len(value), value)
    head = b"*3\r\n$3\r\nSET\r\n$%d\r\n" % len(key_format % 0)
    for start in range(0, count, chunk):
        connection.sendall(b"".join(head + key_format % at + tail for at in range(start, min(start + chunk, count))))
    reader.join()
    connection.close()


def measure_rss(server):
    before = server.rss_bytes()
    load_items(server, 1_000_000, b"key:%012d", VALUE)
    time.sleep(1)
    return (server.rss_bytes() - before) / 1_000_000 - 16 - 64


def check_under_load(server, seconds, connections=200, pipeline=16, seed=1):
    """Every reply right: own keys per connection, GET after SET, MGET over all shards. Returns operations done."""
    rng = random.Random(seed)
    sockets = [server.connect() for _ in range(connections)]
    readers = [connection.makefile("rb", 1 << 16) for connection in sockets]
    values = [{} for _ in sockets]
    done = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        expectations = []
        for at, connection in enumerate(sockets):
            commands, expected = [], []
            for _ in range(pipeline):
                key = b"c%d:%d" % (at, rng.randrange(50))
                draw = rng.random()
                if draw < 0.4:
                    value = b"%d" % rng.randrange(1 << 40)
                    values[at][key] = value
                    commands.append(encode((b"SET", key, value)))
                    expected.append(b"+OK\r\n")
                elif draw < 0.9:
                    value = values[at].get(key)
                    commands.append(encode((b"GET", key)))
                    expected.append(b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value))
                elif draw < 0.95:
                    keys = [b"c%d:%d" % (at, rng.randrange(50)) for _ in range(4)]
                    commands.append(encode((b"MGET", *keys)))
                    parts = [values[at].get(key) for key in keys]
                    parts = [b"$-1\r\n" if p is None else b"$%d\r\n%s\r\n" % (len(p), p) for p in parts]
                    expected.append(b"*4\r\n" + b"".join(parts))
                else:
                    existed = values[at].pop(key, None) is not None
                    commands.append(encode((b"DEL", key)))
                    expected.append(b":%d\r\n" % existed)
            connection.sendall(b"".join(commands))
            expectations.append(b"".join(expected))
        for at, expected in enumerate(expectations):
            got = readers[at].read(len(expected))
            if got != expected:
                sys.exit(f"wrong reply on connection {at}: expected {expected!r}, got {got!r}")
        done += connections * pipeline
    for connection in sockets:
        connection.close()
    return done


def turn_times(server):
    text = server.ask("INFO", "aspine").decode()
    return [line for line in text.splitlines() if line.startswith("core")]


def facts(binary):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout.split()[2]
    print(f"machine: {cpu}, {os.cpu_count()} CPUs, Linux {platform.release()}; redis-server {version}; "
          f"load average {os.getloadavg()[0]:.2f}; {binary}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/aspine")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="cpu,rtt,rss,load,cores,check", help="parts to run, separated by commas")
    parser.add_argument("--items", type=int, default=20_000_000, help="items of the part `load`")
    parser.add_argument("--seconds", type=int, default=30, help="length of the part `check`")
    parser.add_argument("--scale", type=float, default=1.0, help="scales the number of requests")
    parser.add_argument("--json", help="write the raw runs here")
    args = parser.parse_args()
    parts = args.only.split(",")
    count = lambda n: int(n * args.scale)
    facts(args.binary)
    raw = {}

    if "cpu" in parts:
        servers = [redis(7301, 0), aspine(args.binary, 7302, "0")]
        for server in servers:
            preload(server)
        loads = [(c, 50, 1, count(200_000)) for c in ("get", "set")]
        loads += [(c, 50, 16, count(1_500_000)) for c in ("get", "set")]
        loads += [(c, 50, 64, count(3_000_000)) for c in ("get", "set")]
        rows = compare(servers, loads, args.repeats, "1")
        print_rows("one core on CPU 0, client on CPU 1, 64-byte values, 100k keys", rows, ["cpu_us", "rps"], "redis")
        raw["cpu"] = [(str(k), v) for k, v in rows]
        for server in servers:
            server.stop()

    if "rtt" in parts:
        servers = [redis(7303, 0), aspine(args.binary, 7304, "0"), aspine(args.binary, 7305, "0", "--spin", "100")]
        servers[2].name = "aspine --spin 100"
        for server in servers[:2]:
            preload(server)
        rows = compare(servers, [("get", 1, 1, count(40_000))], args.repeats, "1")
        print_rows("one connection, round trip", rows, ["p50_ms", "p99_ms"], "redis")
        raw["rtt"] = [(str(k), v) for k, v in rows]
        for server in servers:
            server.stop()

    if "rss" in parts:
        print("\nRSS growth over keys and values, bytes an item (1M items, 16-byte keys, 64-byte values)")
        for make in (lambda: redis(7306, None), lambda: aspine(args.binary, 7307, "0")):
            server = make()
            print(f"  {server.name} {measure_rss(server):.1f}", flush=True)
            server.stop()

    if "load" in parts:
        server = aspine(args.binary, 7308, "0", max_memory="8gb")
        # Turns are wall time: the loader must not take the server's CPU.
        os.sched_setaffinity(0, {1})
        load_items(server, args.items, b"k:%09d", b"12345678", chunk=4000)
        print(f"\nloading {args.items} items over one connection: turns of the core")
        print("  " + "\n  ".join(turn_times(server)), flush=True)
        server.stop()
        os.sched_setaffinity(0, range(os.cpu_count()))

    if "cores" in parts:
        servers = [aspine(args.binary, 7309, "0"), aspine(args.binary, 7310, "0,1")]
        servers[0].name, servers[1].name = "1 core", "2 cores"
        for server in servers:
            preload(server)
        loads = [(c, 50, 1, count(200_000)) for c in ("get", "set")]
        loads += [(c, 50, 16, count(1_500_000)) for c in ("get", "set")]
        rows = compare(servers, loads, args.repeats, None)
        print_rows("two cores against one, client anywhere", rows, ["cpu_us", "rps"], "1 core")
        raw["cores"] = [(str(k), v) for k, v in rows]
        for server in servers:
            server.stop()

    if "check" in parts:
        server = aspine(args.binary, 7311, "0,1")
        done = check_under_load(server, args.seconds)
        print(f"\n2 cores, 200 connections x pipeline 16 for {args.seconds} s: {done} replies, every one right")
        server.stop()

    if args.json:
        with open(args.json, "w") as out:
            json.dump(raw, out, indent=1)


if __name__ == "__main__":
    main()
