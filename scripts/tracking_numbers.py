#!/usr/bin/env python3
"""Measures what client-side caching costs writers: a client reads KEYS keys and tracks them, then each is written once.

Needs redis-server (Debian: apt-get install redis-server) and two CPUs. Each server runs the same writes without and with
a tracking client, in turn; every figure is a median of --repeats runs. The client must be told of every key, once.

    cargo build --release && python3 scripts/tracking_numbers.py
"""

import argparse
import os
import re
import statistics
import sys
import time

from serve_numbers import Server, aspine, encode, facts, redis

KEYS = 100_000
STALE = re.compile(rb">2\r\n\$10\r\ninvalidate\r\n\*1\r\n\$\d+\r\n(key:\d+)\r\n")


def exchange(connection, requests, replies, end):
    """Sends requests and waits for so many replies, each of which ends with `end`."""
    connection.sendall(requests)
    seen, rest = 0, b""
    while seen < replies:
        chunk = rest + connection.recv(1 << 20)
        seen += chunk.count(end)
        cut = chunk.rfind(end)
        rest = chunk[cut + len(end):] if cut >= 0 else chunk


def write_all(server, pipeline, value):
    """Sets every key; seconds and the server's CPU in µs a SET."""
    requests = [encode(("SET", f"key:{at}", value)) for at in range(KEYS)]
    batches = [b"".join(requests[at:at + pipeline]) for at in range(0, KEYS, pipeline)]
    with server.connect() as connection:
        before, began = server.cpu_s(), time.monotonic()
        for batch in batches:
            exchange(connection, batch, pipeline, b"+OK\r\n")
        return time.monotonic() - began, (server.cpu_s() - before) / KEYS * 1e6


def track_all(server):
    """A client that has read every key, and is told of each."""
    connection = server.connect()
    exchange(connection, encode(("HELLO", "3")), 1, b"modules\r\n*0\r\n")
    exchange(connection, encode(("CLIENT", "TRACKING", "ON")), 1, b"+OK\r\n")
    for at in range(0, KEYS, 100):
        exchange(connection, b"".join(encode(("GET", f"key:{key}")) for key in range(at, at + 100)), 100, b"old-value\r\n")
    return connection


def listen(connection, cpu):
    """A process that reads what the client is told; the pipe it answers on."""
    answer, question = os.pipe()
    if os.fork() == 0:
        os.sched_setaffinity(0, cpu)
        connection.settimeout(2)
        told = []
        try:
            while chunk := connection.recv(1 << 20):
                told.append(chunk)
                # It shares its CPU with the writer, which is what is measured: few large reads take little of that.
                time.sleep(0.005)
        except TimeoutError:
            pass
        keys = STALE.findall(b"".join(told))
        os.write(question, b"%d %d" % (len(keys), len(set(keys))))
        os._exit(0)
    os.close(question)
    return answer


def run(server, pipeline, cpu):
    """Seconds and CPU without, and with a client that tracks."""
    write_all(server, pipeline, "warm-value")
    without = write_all(server, pipeline, "old-value")
    connection = track_all(server)
    answer = listen(connection, cpu)
    tracked = write_all(server, pipeline, "new-value")
    count, distinct = map(int, os.read(answer, 100).split())
    os.wait()
    connection.close()
    if (count, distinct) != (KEYS, KEYS):
        sys.exit(f"{server.name}: told of {distinct} keys of {KEYS}, {count} times")
    return without, tracked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/aspine")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pipelines", default="1,16")
    options = parser.parse_args()
    facts(options.binary)
    client_cpus, all_cpus = {1}, os.sched_getaffinity(0)
    servers = [("redis", lambda port: redis(port, 0)), ("aspine, 1 core", lambda port: aspine(options.binary, port, "0")),
               ("aspine, 2 cores", lambda port: aspine(options.binary, port, "0,1"))]
    for pipeline in map(int, options.pipelines.split(",")):
        for at, (name, start) in enumerate(servers):
            os.sched_setaffinity(0, all_cpus)
            server: Server = start(7480 + at)
            os.sched_setaffinity(0, client_cpus)
            try:
                runs = [run(server, pipeline, client_cpus) for _ in range(options.repeats)]
            finally:
                server.stop()
            ratios = [without[0] / tracked[0] for without, tracked in runs]
            median = lambda pick: statistics.median(pick(one) for one in runs)
            print(f"{name}, pipeline {pipeline}: {KEYS / median(lambda one: one[0][0]):,.0f} SET/s without, "
                  f"{KEYS / median(lambda one: one[1][0]):,.0f} with {KEYS} tracked keys: {statistics.median(ratios):.2f} x; "
                  f"CPU {median(lambda one: one[0][1]):.2f} and {median(lambda one: one[1][1]):.2f} µs a SET; all told",
                  flush=True)


if __name__ == "__main__":
    main()
