#!/usr/bin/env python3
"""Measures Aspine's messages beside redis-server: CPU per delivered message, deliveries a second, a stuck subscriber.

Needs redis-server (Debian: apt-get install redis-server) and two CPUs. The servers run in the same minutes, load by
load in turn; every figure is a median of --repeats runs, with its range. One process publishes, another reads what all
subscribers get and compares every byte with what it must be: nothing lost, nothing twice, nothing out of order.

    cargo build --release && python3 scripts/events_numbers.py            # everything, about 3 minutes
    python3 scripts/events_numbers.py --only fanout --repeats 5
"""

import argparse
import mmap
import os
import select
import socket
import statistics
import struct
import sys
import time

from serve_numbers import Server, aspine, encode, facts, redis

TEXT_BYTES = 64
CHANNEL = b"news"


def text_of(number):
    return b"%0*d" % (TEXT_BYTES, number)


def message_of(number):
    return b"*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(CHANNEL), CHANNEL, TEXT_BYTES, text_of(number))


class Subscribers:
    """A process that reads what many subscribers get."""

    def __init__(self, server, count, messages, stuck, sent_at, pipeline, cpu):
        ready, is_ready = os.pipe()
        done, is_done = os.pipe()
        self.done = done
        self.pid = os.fork()
        if self.pid == 0:
            os.sched_setaffinity(0, cpu)
            try:
                report = self.run(server, count, messages, stuck, sent_at, pipeline, is_ready)
            except Exception as error:  # the parent tells
                report = f"failed: {error}"
            os.write(is_done, report.encode())
            os._exit(0)
        os.close(is_ready)
        os.close(is_done)
        os.read(ready, 1)
        os.close(ready)

    def run(self, server, count, messages, stuck, sent_at, pipeline, is_ready):
        expected = b"".join(message_of(number) for number in range(messages))
        length = len(message_of(0))
        sockets = [server.connect() for _ in range(count)]
        for one in sockets:
            one.sendall(encode([b"SUBSCRIBE", CHANNEL]))
            confirmation = b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(CHANNEL), CHANNEL)
            while confirmation:
                confirmation = confirmation[len(one.recv(len(confirmation))) :]
            one.setblocking(False)
        epoll = select.epoll()
        reading = {one.fileno(): one for one in sockets[stuck:]}
        for number in reading:
            epoll.register(number, select.EPOLLIN)
        offsets = dict.fromkeys(reading, 0)
        watched = set(list(reading)[:: max(1, len(reading) // 20)])
        latencies = []
        left = len(reading)
        os.write(is_ready, b"x")
        buffer = memoryview(bytearray(1 << 18))
        while left:
            for number, _ in epoll.poll(30):
                try:
                    got = reading[number].recv_into(buffer)
                except BlockingIOError:
                    continue
                at = offsets[number]
                if got == 0 or buffer[:got] != memoryview(expected)[at : at + got]:
                    return f"failed: {got} bytes at {at} are not those that were published"
                offsets[number] = at + got
                if number in watched:
                    now = time.monotonic()
                    for batch in range(at // length // pipeline, (at + got) // length // pipeline):
                        latencies.append(now - struct.unpack_from("d", sent_at, batch * 8)[0])
                left -= at + got == len(expected)
        latencies.sort()
        return f"{latencies[len(latencies) // 2] * 1e6} {latencies[len(latencies) * 99 // 100] * 1e6}"

    def wait(self):
        report = b""
        while chunk := os.read(self.done, 4096):
            report += chunk
        os.close(self.done)
        os.waitpid(self.pid, 0)
        if report.startswith(b"failed"):
            sys.exit(report.decode())
        return [float(word) for word in report.split()]


def fan_out(server, subscribers, messages, pipeline, stuck=0, cpu=frozenset([1])):
    """One publisher, many subscribers. Returns CPU per delivered message, deliveries a second, latencies."""
    sent_at = mmap.mmap(-1, (messages // pipeline + 1) * 8)
    readers = Subscribers(server, subscribers, messages, stuck, sent_at, pipeline, cpu)
    os.sched_setaffinity(0, cpu)
    publisher = server.connect()
    before, began = server.cpu_s(), time.monotonic()
    for first in range(0, messages, pipeline):
        batch = b"".join(encode([b"PUBLISH", CHANNEL, text_of(number)]) for number in range(first, first + pipeline))
        struct.pack_into("d", sent_at, first // pipeline * 8, time.monotonic())
        publisher.sendall(batch)
        owed = pipeline
        while owed:
            replies = publisher.recv(65536)
            if not replies or replies.startswith(b"-"):
                sys.exit(f"PUBLISH was answered {replies!r}")
            owed -= replies.count(b"\n")
    p50_us, p99_us = readers.wait()
    seconds = time.monotonic() - began
    delivered = messages * (subscribers - stuck)
    publisher.close()
    cpu_us = (server.cpu_s() - before) * 1e6 / (messages * subscribers)
    return {"cpu_us": cpu_us, "per_s": delivered / seconds, "p50_us": p50_us, "p99_us": p99_us}


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def show(title, key, base, ours, unit, digits, scale=1):
    low, high = min(run[key] for run in ours), max(run[key] for run in ours)
    one, other = (statistics.median(run[key] for run in runs) * scale for runs in (base, ours))
    spread = f"[{low * scale:.{digits}f} .. {high * scale:.{digits}f}]"
    print(f"{title:58} {one:10.{digits}f} {other:10.{digits}f} {unit:4} ratio {other / one:5.2f}   {spread}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/aspine")
    parser.add_argument("--only", default="fanout,cores,stuck", help="of fanout, cores, stuck")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--messages", type=int, default=32_000)
    parser.add_argument("--subscribers", type=int, default=100)
    args = parser.parse_args()
    only, count = args.only.split(","), args.subscribers
    facts(args.binary)
    print(f"{'':58} {'redis':>10} {'aspine':>10}")
    reference = redis(7301, 0)
    one = aspine(args.binary, 7302, "0")
    try:
        if "fanout" in only:
            for pipeline, share in [(16, 1), (1, 8)]:
                base, ours = [], []
                for _ in range(args.repeats):
                    for server, runs in [(reference, base), (one, ours)]:
                        runs.append(fan_out(server, count, args.messages // share, pipeline))
                load = f"1 publisher (pipeline {pipeline}), {count} subscribers, 1 core"
                show(f"{load}: CPU", "cpu_us", base, ours, "us", 3)
                show(f"{load}: deliveries", "per_s", base, ours, "k/s", 0, 1e-3)
        if "stuck" in only:
            free, stuck = [], []
            for _ in range(args.repeats):
                for stuck_count, runs in [(0, free), (1, stuck)]:
                    runs.append(fan_out(one, count, args.messages, 16, stuck_count))
            show(f"1 stuck of {count} (left: none stuck): p50", "p50_us", free, stuck, "us", 0)
            show(f"1 stuck of {count} (left: none stuck): p99", "p99_us", free, stuck, "us", 0)
        if "cores" in only:
            one.stop()
            one = aspine(args.binary, 7303, "0,1")
            base, ours = [], []
            for _ in range(args.repeats):
                for server, runs in [(reference, base), (one, ours)]:
                    runs.append(fan_out(server, count, args.messages, 16, cpu=frozenset([0, 1])))
            show(f"1 publisher (pipeline 16), {count} subscribers, 2 cores: deliveries", "per_s", base, ours, "k/s", 0, 1e-3)
            show(f"1 publisher (pipeline 16), {count} subscribers, 2 cores: CPU", "cpu_us", base, ours, "us", 3)
    finally:
        reference.stop()
        one.stop()


if __name__ == "__main__":
    main()
