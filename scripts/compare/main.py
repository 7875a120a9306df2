"""Compares Aspine with its peers on this machine; scripts/compare.sh installs what this needs and starts it.

The report and its pictures are written to target/compare, every run's own report to runs.jsonl there. A section that
is run again takes the place of its earlier numbers; the others stay, so the whole can be run in stretches.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

import report
from load import Generator
from sections import SECTIONS, Context, Plan
from servers import Failed, Kind, builtin_kinds, stop_all

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/performance.md"
MARKS = ("<!-- compare -->\n", "<!-- /compare -->")


def arguments():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(prog="scripts/compare.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows, fewer and shorter runs: under two minutes")
    parser.add_argument("--only", default=",".join(SECTIONS), metavar="SECTION,...",
                        help="of " + ", ".join(SECTIONS))
    parser.add_argument("--repeats", type=int, help="runs of each row and server [default: 5, with --quick 3]")
    parser.add_argument("--server", action="append", default=[], metavar="NAME=COMMAND",
                        help="a further server; in its command line {port} is filled in, and {cores}, {cpus}, {memory} "
                             "(bytes), {memory_mb} where they stand; may be repeated")
    parser.add_argument("--protocol", action="append", default=[], metavar="NAME=PROTOCOL",
                        help="what a further server speaks: resp (the default) or memcached")
    parser.add_argument("--without", action="append", default=[], metavar="NAME",
                        help="leave out one of redis, memcached, aspine; may be repeated")
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release/aspine", help="the Aspine to measure")
    parser.add_argument("--bench-binary", type=pathlib.Path, help="the Aspine whose `bench` loads [default: --binary]")
    parser.add_argument("--out", type=pathlib.Path, default=target / "compare", help="where the report goes")
    parser.add_argument("--port-base", type=int, default=7400, help="ports from here on are used")
    parser.add_argument("--report-only", action="store_true", help="only write the report of earlier runs again")
    parser.add_argument("--docs", action="store_true",
                        help="write the part of docs/performance.md between its marks, and its pictures to docs/plots")
    args = parser.parse_args()
    args.only = args.only.split(",")
    unknown = [name for name in args.only if name not in SECTIONS]
    if unknown:
        parser.error(f"no section is called {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return args


def extra_kinds(args):
    protocols = dict(pair.split("=", 1) for pair in args.protocol)
    kinds = []
    for text in args.server:
        name, equals, command = text.partition("=")
        if not equals or "{port}" not in command or not re.fullmatch(r"[\w.-]+", name):
            raise Failed(f"--server {text}: give NAME=COMMAND with a {{port}} in the command")
        kinds.append(Kind(name, command, protocols.pop(name, "resp")))
    if protocols:
        raise Failed(f"--protocol {', '.join(protocols)}: there is no --server of that name")
    return kinds


def facts(args):
    """What a reader has to know of the machine."""
    def first(path, start):
        try:
            with open(path) as lines:
                return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(start)), "?")
        except OSError:
            return "?"

    def git(*words):
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    virtual = " (a virtual machine)" if " hypervisor" in first("/proc/cpuinfo", "flags") + " " else ""
    kibibytes = int(first("/proc/meminfo", "MemTotal").split()[0])
    commit = (git("rev-parse", "--short", "HEAD") or "?") + (" with changes" if git("status", "--porcelain") else "")
    return {
        "processor": f"{first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} CPUs{virtual}",
        "memory": f"{kibibytes / (1 << 20):.0f} GiB",
        "system": f"Linux {platform.release()}",
        "load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Aspine": f"commit {commit}, `{args.binary}`",
        "load": "`aspine bench` of the same build" if not args.bench_binary else f"`{args.bench_binary} bench`",
    }


class Steal:
    """How much of the CPUs' time the host of a virtual machine kept for itself since this was made."""

    def __init__(self):
        self.before = self.read()

    @staticmethod
    def read():
        with open("/proc/stat") as stat:
            # user nice system idle iowait irq softirq steal
            ticks = [int(word) for word in stat.readline().split()[1:9]]
        return sum(ticks), ticks[7]

    def percent(self):
        (total, stolen), (total_before, stolen_before) = self.read(), self.before
        return 100 * (stolen - stolen_before) / max(1, total - total_before)


def load_results(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {"facts": {}, "servers": [], "sections": {}}


def measure(args, results):
    kinds = [kind for kind in builtin_kinds(args.binary.absolute(), args.out.absolute() / "data")
             if kind.name not in args.without] + extra_kinds(args)
    if os.cpu_count() < 2:
        raise Failed("needs two CPUs: one for the server, one for the load")
    if not args.binary.exists():
        raise Failed(f"{args.binary} is not there; `cargo build --release`, or name one with --binary")
    for folder in ("data", "logs", "percentiles", "plots"):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    servers = [{"name": kind.name, "version": kind.version(), "command": kind.command} for kind in kinds]
    if [server["name"] for server in results["servers"]] != [server["name"] for server in servers]:
        # Numbers beside other servers are another report.
        results["sections"] = {}
    results["facts"], results["servers"] = facts(args), servers
    generator = Generator((args.bench_binary or args.binary).absolute(), [1], args.out / "runs.jsonl")
    plan = Plan(args.quick, args.repeats)
    # Everything that is not pinned otherwise, this process too, stays off the servers' CPU.
    os.sched_setaffinity(0, {1})
    context = Context(kinds, generator, plan, args.out, args.port_base)
    for name in args.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        began, steal = time.monotonic(), Steal()
        section = SECTIONS[name](context)
        section.update(took_s=time.monotonic() - began, repeats=plan.repeats, quick=args.quick, stolen=steal.percent(),
                       finished=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"))
        print(f"{name} took {section['took_s']:.0f} s", file=sys.stderr, flush=True)
        results["sections"][name] = section
        results["sections"] = {name: results["sections"][name] for name in SECTIONS if name in results["sections"]}
        write(args, results)


def write(args, results):
    """After every section, so that an interrupted run leaves what it has."""
    (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.out / "report.md").write_text(report.render(results))


def write_page(page, out, results):
    """Writes the report between the marks of a page, and its pictures to the folder `plots` beside it."""
    head, found, rest = page.read_text().partition(MARKS[0])
    _, ended, tail = rest.partition(MARKS[1])
    if not found or not ended:
        raise Failed(f"{page}: keep {MARKS} around the comparison")
    pictures = page.parent / "plots"
    pictures.mkdir(exist_ok=True)
    for section in results["sections"].values():
        for plot in section.get("plots", []):
            shutil.copy(out / plot["file"], pictures)
    page.write_text(head + MARKS[0] + report.page(results, "plots") + MARKS[1] + tail)


def main():
    args = arguments()
    # So that servers are stopped however this ends.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    args.out.mkdir(parents=True, exist_ok=True)
    results = load_results(args.out / "results.json")
    try:
        if not args.report_only:
            measure(args, results)
        write(args, results)
        if args.docs:
            write_page(PAGE, args.out, results)
    except Failed as failure:
        sys.exit(f"compare: {failure}")
    finally:
        stop_all()
    print(args.out / "report.md")


if __name__ == "__main__":
    main()
