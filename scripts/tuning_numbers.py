#!/usr/bin/env python3
"""Measures what the settings of tuning/ buy on this machine, each without and with it, in turn (A B A B ...).

    cargo build --release && sudo python3 scripts/tuning_numbers.py                     # everything, about 12 minutes
    cargo build --release && sudo python3 scripts/tuning_numbers.py --only neighbour

Needs two CPUs and root: the generator runs at the highest priority, so that nothing but the server is disturbed. Sections:

    neighbour   another program on the server's CPU, and on the other one: what cpus.sh and CPUAffinity keep away
    system      a core on every CPU, and one CPU left to all else
    spin        --spin
    sandbox     seccomp.json, by CPU time an operation
    unit        all that confines aspine.service, likewise, with a systemd of its own
    backlog     net.core.somaxconn, when two thousand clients connect at once
    thp         transparent huge pages always, and never: put back afterwards

Every figure is the median of --repeats runs, with its range.
"""

import argparse
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFINE = [sys.executable, "-B", str(ROOT / "tests/scripts/confine.py")]
THP = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
STORM = 2000
PAUSE_S = 0.1
STORM_S_MAX = 30


class Server:
    """A server on a port of its own, until the end of a `with`."""

    def __init__(self, args, cpus, *flags, before=()):
        self.target = f"127.0.0.1:{args.port}"
        self.command = [*before, args.binary, "server", "--port", str(args.port), "--cpus", cpus, "--max-memory", "4gb", *flags]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if not self.process.stdout.readline().startswith("ready"):
            sys.exit(f"it does not serve: {' '.join(self.command)}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


def bench(args, server, *flags, nice=-20):
    """A report of `aspine bench` from CPU 1, unless told otherwise ahead of whatever else wants that."""
    command = ["nice", "-n", str(nice), args.binary, "bench", "--target", server.target, "--cpus", "1", "--json"]
    command += ["--duration", str(args.seconds), *flags]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    report = json.loads(out)
    if report["errors"] or report["unanswered"] or report["unsent"] > report["operations"] / 100:
        sys.exit(f"not to be trusted: {report['errors']} errors, {report['unanswered']} unanswered, {report['unsent']} unsent")
    return report


def short(figure):
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"


def table(title, unit, rows, variants):
    """Prints medians and ranges: rows {name: {variant: [figures]}}, and the ratio of the last variant to the first."""
    print(f"\n{title}\n{'':34}" + "".join(f"{name:>28}" for name in variants) + "   last/first")
    for name, runs in rows.items():
        cells = [f"{short(statistics.median(runs[v]))} [{short(min(runs[v]))}-{short(max(runs[v]))}]" for v in variants]
        first, last = statistics.median(runs[variants[0]]), statistics.median(runs[variants[-1]])
        ratio = f"{last / first:.2f}" if first else "-"
        print(f"{name + ', ' + unit.get(name, ''):34}" + "".join(f"{cell:>28}" for cell in cells) + f"{ratio:>13}", flush=True)


def in_turn(args, variants, measure):
    """Runs `measure(variant)`, which answers {name: figure}, for each variant in turn; {name: {variant: [figures]}}."""
    rows = {}
    for _ in range(args.repeats):
        for variant in variants:
            for name, figure in measure(variant).items():
                rows.setdefault(name, {v: [] for v in variants})[variant].append(figure)
    return rows


OPEN = ("--rate", "20000", "--preload")
LATENCY = {"p50": "p50_us", "p99": "p99_us", "p99.9": "p999_us"}
MICROSECONDS = {name: "µs" for name in (*LATENCY, "CPU per GET or SET", "round trip")}


def latencies(report):
    return {name: report["all"][key] for name, key in LATENCY.items()}


def neighbour(args):
    """Twenty thousand requests a second to a core on CPU 0, and a program that computes without end."""

    def measure(variant):
        with Server(args, "0") as server:
            cpu = {"none": None, "on the server's CPU": "0", "on the other CPU": "1"}[variant]
            noise = subprocess.Popen(["taskset", "-c", cpu, sys.executable, "-c", "while True: pass"]) if cpu else None
            try:
                return latencies(bench(args, server, *OPEN))
            finally:
                if noise:
                    noise.kill()
                    noise.wait()

    variants = ["none", "on the server's CPU", "on the other CPU"]
    table("neighbour: a busy program, 20k requests/s", MICROSECONDS, in_turn(args, variants, measure), variants)


def system(args):
    """The same load to cores on both CPUs, one shared with the generator, its equal, and to one core alone on its CPU."""

    def measure(variant):
        with Server(args, {"a core on every CPU": "0,1", "one CPU left": "0"}[variant]) as server:
            report = bench(args, server, *OPEN, nice=0)
            return latencies(report) | {"CPU per GET or SET": report["server_cpu_us_per_op"]}

    variants = ["a core on every CPU", "one CPU left"]
    table("system: the generator and the system have CPU 1, 20k requests/s", MICROSECONDS, in_turn(args, variants, measure),
          variants)


def spin(args):
    def measure(variant):
        with Server(args, "0", "--spin", variant.split()[-1]) as server:
            report = bench(args, server, "--connections", "1", "--preload")
            return {"round trip": report["all"]["p50_us"], "p99": report["all"]["p99_us"],
                    "CPU per GET or SET": report["server_cpu_us_per_op"]}

    variants = ["--spin off", "--spin 100"]
    table("spin: one client, one request at a time", MICROSECONDS, in_turn(args, variants, measure), variants)


def sandbox(args):
    before = {"no filter": [], "seccomp.json": [*CONFINE, str(ROOT / "tuning/seccomp.json")]}

    def measure(variant):
        with Server(args, "0", before=before[variant]) as server:
            return closed_loop(lambda *flags: bench(args, server, *flags))

    table("sandbox: 50 connections in a closed loop", SANDBOX_UNITS, in_turn(args, before, measure), list(before))


SANDBOX_UNITS = {"CPU per GET or SET": "µs", "the same, pipeline 16": "µs"}


def closed_loop(load):
    """CPU of the server for an operation, with one and with sixteen requests under way on each connection."""
    return {"CPU per GET or SET": load("--preload", "--ratio", "1:1")["server_cpu_us_per_op"],
            "the same, pipeline 16": load("--ratio", "1:1", "--pipeline", "16")["server_cpu_us_per_op"]}


# What runs on the machine of `unit`: a request is a file with a command line, its answer one with what that printed.
TURNS = """#!/usr/bin/env bash
set -e
useradd --system --user-group --no-create-home aspine 2>/dev/null || true
for turn in turn-*; do
    cp "$turn" /run/systemd/system/aspine.service
    systemctl daemon-reload
    systemctl start aspine
    until (exec 3<>/dev/tcp/127.0.0.1/5116) 2>/dev/null; do sleep 0.05; done
    for load in "--preload --ratio 1:1" "--ratio 1:1 --pipeline 16"; do
        # shellcheck disable=SC2086
        /machine/aspine bench --target 127.0.0.1:5116 --cpus 1 --json --duration SECONDS $load >>"answer-$turn"
    done
    systemctl stop aspine
done
"""


def unit(args):
    """aspine.service as it is, and without all that confines it, by the systemd of a machine of its own."""
    text = (ROOT / "tuning/aspine.service").read_text()
    text = re.sub(r"(?m)^(Type|WatchdogSec|NotifyAccess)=.*$", "", text)
    text = re.sub(r"(?m)^ExecStart=.*$", "Type=exec\nExecStart=/machine/aspine server --cores 1 --max-memory 4gb", text)
    text = text.replace("#CPUAffinity=2-5", "CPUAffinity=0")
    confined = r"(?m)^(Protect|Private|Restrict|System|NoNew|Capability|Ambient|Lock|MemoryDeny|Device|Keyring|Remove)[A-Za-z]*=.*$"
    units = {"without a sandbox": re.sub(confined, "", text), "the unit's": text}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copy(args.binary, f"{folder}/aspine")
        script = pathlib.Path(folder, "run")
        script.write_text(TURNS.replace("SECONDS", str(args.seconds)))
        script.chmod(0o755)
        for turn in range(args.repeats):
            for at, name in enumerate(units):
                pathlib.Path(folder, f"turn-{turn:02}-{at}").write_text(units[name])
        made = subprocess.run([str(ROOT / "tests/scripts/machine.sh"), folder], capture_output=True, text=True)
        if made.returncode != 0:
            sys.exit(f"no machine: {made.stdout}{pathlib.Path(folder, 'output').read_text()}")

        def measure(variant, turns={name: iter(range(args.repeats)) for name in units}):
            answer = pathlib.Path(folder, f"answer-turn-{next(turns[variant]):02}-{list(units).index(variant)}")
            reports = iter(answer.read_text().splitlines())
            return closed_loop(lambda *_: json.loads(next(reports)))

        table("unit: the same, by systemd", SANDBOX_UNITS, in_turn(args, units, measure), list(units))


def storm(port, process):
    """STORM clients connect while the server is held up for a moment; how many need a second or more, and the slowest."""
    process.send_signal(signal.SIGSTOP)
    poll, clients, took = select.poll(), {}, []
    began = time.monotonic()
    for _ in range(STORM):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        clients[client.fileno()] = client
        poll.register(client, select.POLLOUT)
    time.sleep(max(0, PAUSE_S - (time.monotonic() - began)))
    process.send_signal(signal.SIGCONT)
    while len(took) < STORM and time.monotonic() - began < STORM_S_MAX:
        for fd, event in poll.poll(1000):
            if event & select.POLLOUT:
                # Connected by the kernel is not yet accepted: the server has it when it answers.
                clients[fd].send(b"PING\r\n")
                poll.modify(fd, select.POLLIN)
            else:
                poll.unregister(fd)
                took.append(time.monotonic() - began)
    for client in clients.values():
        client.close()
    took += [STORM_S_MAX] * (STORM - len(took))
    return {"waited a second or more": sum(seconds > 0.9 for seconds in took), "the slowest": max(took) * 1000}


def backlog(args):
    """In a network namespace of its own, for the setting is one of the namespace."""
    if os.environ.get("ASPINE_STORM") is None:
        subprocess.run(["unshare", "--net", sys.executable, "-B", *sys.argv, "--only", "backlog"], check=True,
                       env=os.environ | {"ASPINE_STORM": "1"})
        return
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def measure(variant):
        pathlib.Path("/proc/sys/net/core/somaxconn").write_text(variant.split()[-1])
        with Server(args, "0") as server:
            return storm(args.port, server.process)

    variants = ["somaxconn 128", "somaxconn 4096"]
    units = {"waited a second or more": f"of {STORM}", "the slowest": "ms"}
    table(f"backlog: {STORM} clients connect while the server is held up for {PAUSE_S * 1000:.0f} ms", units,
          in_turn(args, variants, measure), variants)


def thp(args):
    before = THP.read_text().split("[")[1].split("]")[0]
    try:
        def measure(variant):
            THP.write_text(variant)
            with Server(args, "0") as server:
                report = bench(args, server, "--keys", "1000000", "--rate", "20000", "--preload")
                return latencies(report) | {"memory": report["server_rss_bytes"] / 1e6}

        variants = ["always", "never"]
        table("thp: a million items, 20k requests/s", MICROSECONDS | {"memory": "MB"}, in_turn(args, variants, measure), variants)
    finally:
        THP.write_text(before)


SECTIONS = {name.__name__: name for name in (neighbour, system, spin, sandbox, unit, backlog, thp)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/aspine"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--port", type=int, default=7516)
    parser.add_argument("--only", default=",".join(SECTIONS))
    args = parser.parse_args()
    if os.geteuid() != 0 or len(os.sched_getaffinity(0)) < 2:
        sys.exit("it takes root and two CPUs")
    for name in args.only.split(","):
        SECTIONS[name](args)


if __name__ == "__main__":
    main()
