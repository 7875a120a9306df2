#!/usr/bin/env python3
"""Measures the clients of benches/client.rs, ours beside the `redis` crate's multiplexed one and `fred`, in turn.

Needs two CPUs. One server of one core on CPU 0, the clients on CPU 1, one after the other in each of --repeats rounds; every
figure is a median with its range. Needs cargo, which builds both first.

    python3 scripts/client_numbers.py                   # about two minutes after the build
    python3 scripts/client_numbers.py --binary target/release/aspine --bench PATH      # without a build
"""

import argparse
import json
import re
import statistics
import subprocess
import sys

from serve_numbers import aspine, facts

LINE = re.compile(r"(\w+), ([\w ]+), (\w+): (\d+) requests/s, ([\d.]+) us CPU each")
AIMS = {"Get": 1.2, "Mget": 1.0}


def build():
    """Builds server and clients; the path of the clients."""
    subprocess.run(["cargo", "build", "--release"], check=True)
    command = ["cargo", "bench", "--bench", "client", "--no-run", "--message-format", "json"]
    messages = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for message in map(json.loads, messages):
        if message.get("target", {}).get("name") == "client" and message.get("executable"):
            return message["executable"]
    sys.exit("cargo built no clients")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/aspine")
    parser.add_argument("--bench", help="the built benches/client.rs; cargo builds it unless given")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400_000)
    parser.add_argument("--port", type=int, default=7391)
    args = parser.parse_args()
    bench = args.bench or build()
    server = aspine(args.binary, args.port, "0")
    try:
        command = ["taskset", "-c", "1", bench, "--bench", "--address", f"127.0.0.1:{args.port}"]
        command += ["--repeats", str(args.repeats), "--requests", str(args.requests)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    finally:
        server.stop()
    report(args, output)
    core_ports(args, bench)


def report(args, output):
    """The clients beside each other."""
    runs = {}
    for load, runtime, client, rate, cpu_us in LINE.findall(output):
        runs.setdefault((load, runtime), {}).setdefault(client, []).append((float(rate), float(cpu_us)))
    facts(args.binary)
    print(f"Medians of {args.repeats} runs in turn, with their ranges.\n")
    print("| load | runtime | aspine | redis | fred | aspine / better | aim |")
    print("|---|---|---|---|---|---|---|")
    for (load, runtime), clients in runs.items():
        rates = {client: [rate for rate, _ in runs] for client, runs in clients.items()}
        medians = {client: statistics.median(rates[client]) for client in rates}
        ratio = medians["aspine"] / max(medians["redis"], medians["fred"])
        cells = [f"{medians[name]:,.0f} ({min(rates[name]):,.0f}-{max(rates[name]):,.0f})" for name in ("aspine", "redis", "fred")]
        missed = "" if ratio >= AIMS[load] else ", missed"
        print(f"| {load} | {runtime} | {' | '.join(cells)} | {ratio:.2f} | ≥ {AIMS[load]}{missed} |")
        cpu = {client: statistics.median(cpu_us for _, cpu_us in runs) for client, runs in clients.items()}
        print(f"| the same, µs of CPU each | | {cpu['aspine']:.2f} | {cpu['redis']:.2f} | {cpu['fred']:.2f} | | |")


def core_ports(args, bench):
    """The server's CPU per GET by one port and by core ports: two cores on CPUs 0 and 1, which the clients share."""
    print(f"\n| µs of server CPU per GET, two cores | one port | core ports | less | forwarded |")
    print("|---|---|---|---|---|")
    for clients, what in ((64, "64 clients, pipeline 1"), (1, "64 tasks of one client")):
        taken = {"": [], "--core-ports": []}
        crossed = 0
        for _ in range(args.repeats):
            for flag, runs in taken.items():
                server = aspine(args.binary, args.port, "0,1", *([flag, str(args.port + 1)] if flag else []))
                try:
                    command = [bench, "--bench", "--address", f"127.0.0.1:{args.port}", "--clients", str(clients)]
                    command += ["--requests", str(args.requests)]
                    before = server.cpu_s()
                    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                    runs.append((server.cpu_s() - before) / args.requests * 1e6)
                    if flag:
                        crossed = max(crossed, int(re.search(rb"\nforwarded:(\d+)", server.ask("INFO", "aspine")).group(1)))
                finally:
                    server.stop()
        one, own = (statistics.median(runs) for runs in taken.values())
        print(f"| {what} | {one:.2f} | {own:.2f} | {100 * (1 - own / one):.0f} % | {crossed} |")


if __name__ == "__main__":
    main()
