"""Sections: what is measured. Each returns its tables; the servers take turns (A B C A B C), run by run.

A table is {"title", "unit", "better": "more" or "less", "digits", "rows": [{"name", "cells": {server: cell}}]}, a cell
{"runs": [...]}, or {"why": text} where a server can't do what the row asks for. `report` renders them; a table with
"detail" is left out of docs/performance.md.
"""

import shlex
import subprocess
import threading
import time

from load import bulk_load
from servers import Failed, Lacks, Server

KEYS = 100_000
MIB = 1 << 20
KEY_BYTES = 16


class Plan:
    """How much is measured."""

    def __init__(self, quick, repeats):
        self.quick = quick
        self.repeats = repeats or (3 if quick else 5)
        self.seconds, self.warmup = (0.3, 0.1) if quick else (0.6, 0.15)
        self.pipelines = (1, 16) if quick else (1, 16, 64)
        self.connections = (50,) if quick else (1, 50, 200)
        self.rates = (50_000,) if quick else (20_000, 50_000, 75_000)
        self.open_seconds = 0.7 if quick else 2
        self.value_sizes = (65_536,) if quick else (16, 256, 4096, 65_536, MIB)
        self.item_sizes = (64,) if quick else (16, 64, 1024)
        self.items = 100_000 if quick else 500_000
        self.exponents = (0.99,) if quick else (0.99, 1.1)
        self.shares = (5,) if quick else (1, 5, 20)
        self.evicted_keys = 100_000 if quick else 500_000
        self.evicting_warmup = 0.5 if quick else 2
        # Events on many keys: once in a quick run.
        self.event_repeats = 1 if quick else self.repeats
        self.event_keys = 200_000 if quick else 1_000_000
        self.flushed_keys = 300_000 if quick else 5_000_000
        self.event_seconds = 1.5 if quick else 2.5


class Context:
    """What every section needs: the servers, the generator, ports, and where to put files."""

    def __init__(self, kinds, generator, plan, folder, port_base):
        self.kinds, self.generator, self.plan, self.folder = kinds, generator, plan, folder
        self.next_port = port_base

    def start(self, kind, **how):
        self.next_port += 1
        # What an earlier one has saved is not to be loaded.
        for file in (self.folder / "data").iterdir():
            file.unlink()
        return Server(kind, self.next_port - 1, self.folder / "logs" / f"{kind.name}.log", **how)

    def start_all(self, **how):
        """A server of each kind, in order; what one lacks stands in its place."""
        found = {}
        for kind in self.kinds:
            try:
                found[kind.name] = self.start(kind, **how)
            except Lacks as lacks:
                found[kind.name] = str(lacks)
        return found


def stop(servers):
    for server in servers.values():
        if isinstance(server, Server):
            server.stop()


def take_turns(servers, repeats, run):
    """`run(server, repeat)` on every server in turn, `repeats` times; the results, or why there are none."""
    cells = {name: {"why": server} if isinstance(server, str) else {"runs": []} for name, server in servers.items()}
    for repeat in range(repeats):
        for name, server in servers.items():
            if "runs" in cells[name]:
                try:
                    cells[name]["runs"].append(run(server, repeat))
                except Lacks as lacks:
                    cells[name] = {"why": str(lacks)}
    return cells


def column(cells, value):
    """The same cells with one number of each run."""
    return {name: {"runs": [value(run) for run in cell["runs"]]} if "runs" in cell else cell
            for name, cell in cells.items()}


def table(title, unit, better, digits):
    return {"title": title, "unit": unit, "better": better, "digits": digits, "rows": []}


def add(to, name, cells, value):
    to["rows"].append({"name": name, "cells": column(cells, value)})


def preload(context, server, keys, value_bytes=64):
    context.generator.run(server, connections=10, pipeline=64, keys=keys, preload=keys, requests=0,
                          value_size=value_bytes)


def throughput(run):
    return run["throughput_per_s"]


def server_cpu(run):
    return run["server_cpu_us_per_op"]


def loads(plan, cores):
    """GET and SET by pipeline and connections: name and flags."""
    for command, ratio in (("GET", "1:0"), ("SET", "0:1")):
        for pipeline in plan.pipelines[-1:] if plan.quick and cores > 1 else plan.pipelines:
            for connections in plan.connections:
                name = f"{command}, pipeline {pipeline}, {connections} connection{'s' * (connections > 1)}"
                yield name, {"ratio": ratio, "pipeline": pipeline, "connections": connections}


def closed_loop(context, servers, tables, cores, suffix="", **more):
    """Every load on every server; rows of throughput, CPU and p99."""
    plan = context.plan
    for name, flags in loads(plan, cores):
        cells = take_turns(servers, plan.repeats, lambda server, _: context.generator.run(
            server, **flags, **more, keys=KEYS, duration=plan.seconds, warmup=plan.warmup, verify="values"))
        for each, value in zip(tables, (throughput, server_cpu, lambda run: run["all"]["p99_us"])):
            add(each, name + suffix, cells, value)


def closed_loop_tables():
    return [table("Throughput", "operations/s", "more", 0), table("Server CPU per operation", "µs", "less", 2),
            {**table("p99 at that throughput", "µs", "less", 0), "detail": True}]


def one_core(context):
    servers = context.start_all()
    tables = closed_loop_tables()
    for server in servers.values():
        preload(context, server, KEYS)
    closed_loop(context, servers, tables, 1)
    stop(servers)
    return {"title": "GET and SET of 64 bytes, one core",
            "note": f"Server on CPU 0, generator on CPU 1; {KEYS} keys, drawn uniformly; every value is checked. memcached "
                    "sends the reply to each `get` by itself (one `sendmsg` a reply, by strace), so pipelining GETs "
                    "spares it little; its own way is several keys in one `get`.",
            "tables": tables}


def two_cores(context):
    context.generator.cpus = [0, 1]
    servers = context.start_all(cores=2)
    tables = closed_loop_tables()
    for server in servers.values():
        if isinstance(server, Server):
            preload(context, server, KEYS)
    closed_loop(context, servers, tables, 2)
    stop(servers)
    core_ports(context, tables)
    context.generator.cpus = [1]
    return {"title": "GET and SET of 64 bytes, two cores",
            "note": "Server and generator share CPUs 0 and 1, so the machine is full: CPU per operation tells more than "
                    "throughput. redis with two I/O threads, memcached with two workers.",
            "tables": tables}


def core_ports(context, tables):
    """The same straight to the owning core, where a server has a port for each."""
    lacking = {kind.name: "has one port for all cores" for kind in context.kinds}
    ours = next((kind for kind in context.kinds if kind.name == "aspine"), None)
    if ours is not None and "--core-ports" not in help_of(ours, "server"):
        lacking["aspine"] = "this build's server has no --core-ports"
        ours = None
    if ours is None:
        for each in tables:
            add(each, "all of the above, by core ports", {name: {"why": why} for name, why in lacking.items()}, None)
        return
    # The ports of the cores; the next is that of all.
    base = context.next_port
    context.next_port += 2
    server = context.start(ours, cores=2, extra=f"--core-ports {base}")
    preload(context, server, KEYS)
    closed_loop(context, {**lacking, "aspine": server}, tables, 2, suffix=", by core ports",
                core_ports=True)
    server.stop()


def help_of(kind, subcommand):
    words = [shlex.split(kind.command)[0], subcommand, "--help"]
    return subprocess.run(words, capture_output=True, text=True, timeout=10).stdout


def open_loop(context):
    plan = context.plan
    servers = context.start_all()
    for server in servers.values():
        preload(context, server, KEYS)
    latencies = table("Latency from the intended send time", "µs", "less", 0)
    answered = table("Answered", "operations/s", "more", 0)
    plots = []
    for rate in plan.rates:
        curves = {}

        def run(server, repeat):
            curves[server.name] = context.folder / "percentiles" / f"open-{rate}-{server.name}.hgrm"
            return context.generator.run(server, rate=rate, connections=50, keys=KEYS, ratio="9:1",
                                         duration=plan.open_seconds, warmup=0.3, verify="values",
                                         hgrm=curves[server.name])

        cells = take_turns(servers, plan.repeats, run)
        for name, key in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")):
            add(latencies, f"{rate // 1000}k/s, {name}", cells, lambda run: run["all"][key])
        add(answered, f"{rate // 1000}k/s", cells, throughput)
        path = context.folder / "plots" / f"open-{rate // 1000}k.svg"
        context.generator.plot(path, curves.items())
        plots.append({"file": f"plots/{path.name}", "title": f"{rate // 1000}k operations/s, the last run of each"})
    stop(servers)
    return {"title": "Open loop",
            "note": "Nine GETs to a SET of 64 bytes over 50 connections, sent when they are due, whatever the server "
                    "does; latency counts from then.",
            "tables": [latencies, answered], "plots": plots}


def values(context):
    plan = context.plan
    servers = {kind.name: context.start(kind, extra=kind.large_values) for kind in context.kinds}
    each = table("Throughput", "operations/s", "more", 0)
    for size in plan.value_sizes:
        keys = max(64, min(KEYS, 64 * MIB // size))
        for server in servers.values():
            preload(context, server, keys, size)
        for command, ratio in (("GET", "1:0"), ("SET", "0:1")):
            cells = take_turns(servers, plan.repeats, lambda server, _: context.generator.run(
                server, ratio=ratio, connections=50, keys=keys, value_size=size, duration=plan.seconds,
                warmup=plan.warmup, verify="values"))
            add(each, f"{command} of {bytes_name(size)}", cells, throughput)
    stop(servers)
    return {"title": "Sizes of values", "note": "50 connections, pipeline 1; at most 64 MiB of values.",
            "tables": [each]}


def bytes_name(size):
    for unit, bytes_ in (("MiB", MIB), ("KiB", 1 << 10)):
        if size >= bytes_:
            return f"{size // bytes_} {unit}"
    return f"{size} B"


def memory(context):
    plan = context.plan
    each = table("Resident memory over key and value", "bytes/item", "less", 1)
    for size in plan.item_sizes:
        def run(name, _):
            server = context.start(next(kind for kind in context.kinds if kind.name == name))
            before = server.rss_bytes()
            preload(context, server, plan.items, size)
            # memcached grows its table in the background.
            time.sleep(0.5)
            grown = server.rss_bytes() - before
            server.stop()
            return grown / plan.items - KEY_BYTES - size

        add(each, f"values of {bytes_name(size)}", by_name(context, plan.repeats, run), lambda value: value)
    return {"title": "Memory",
            "note": f"Growth of the process when {plan.items} keys of {KEY_BYTES} bytes are stored in a new server.",
            "tables": [each]}


def by_name(context, repeats, run):
    """As `take_turns`, for runs that start their own server."""
    cells = {kind.name: {"runs": []} for kind in context.kinds}
    for repeat in range(repeats):
        for name, cell in cells.items():
            if "runs" in cell:
                try:
                    cell["runs"].append(run(name, repeat))
                except Lacks as lacks:
                    cells[name] = {"why": str(lacks)}
    return cells


def eviction(context):
    plan = context.plan
    size = 1024
    hits, rate = table("Hit ratio", "%", "more", 2), table("Throughput of GET", "operations/s", "more", 0)
    for exponent in plan.exponents:
        for share in plan.shares:
            bound = -(-plan.evicted_keys * share * (KEY_BYTES + size) // 100 // MIB) * MIB
            servers = context.start_all(memory=bound)
            flags = {"connections": 50, "pipeline": 16, "keys": plan.evicted_keys, "key_dist": f"zipf:{exponent}",
                     "value_size": size, "ratio": "1:0", "fill_on_miss": True, "verify": "values"}
            for server in servers.values():
                if isinstance(server, Server):
                    preload(context, server, plan.evicted_keys, size)
                    context.generator.run(server, **flags, seed=1000, duration=plan.evicting_warmup, warmup=0)
            # Other draws in each repeat, the same for all servers.
            cells = take_turns(servers, plan.repeats, lambda server, repeat: context.generator.run(
                server, **flags, seed=1 + repeat, duration=plan.seconds, warmup=0))
            stop(servers)
            name = f"zipf {exponent}, {share} % of the keys ({bound // MIB} MiB)"
            add(hits, name, cells, lambda run: 100 * run["hits"] / (run["hits"] + run["misses"]))
            add(rate, name, cells, lambda run: run["kinds"]["get"]["count"] / run["seconds"])
    return {"title": "Eviction",
            "note": f"{plan.evicted_keys} keys with values of 1 KiB; the bound is that share of the bytes of all keys and "
                    "values, the same for each server, which has to pay its overhead out of it. A GET that misses is "
                    "followed by a SET. 50 connections, pipeline 16.",
            "tables": [hits, rate]}


def event(context, name, happen, prepare, tables, seconds=None):
    """The rest's latencies while something happens: a new server each time, prepared; the event comes in the middle."""
    plan = context.plan
    seconds = seconds or plan.event_seconds

    def run(kind_name, _):
        server = context.start(next(kind for kind in context.kinds if kind.name == kind_name))
        try:
            begin = prepare(server)
            preload(context, server, 10_000)
            if begin is not None:
                if begin < time.time():
                    raise Failed(f"{server.name}: loading took longer than the time until its keys expire")
                time.sleep(begin - time.time())
            generator = context.generator.start(server, rate=20_000, connections=50, keys=10_000, ratio="9:1",
                                                duration=seconds, warmup=0.2, verify="values")
            failures = []
            timer = threading.Timer(0.2 + seconds / 3, collected, (failures, happen, server))
            timer.start()
            report = context.generator.finish(server, generator)
            timer.join()
            if failures:
                raise failures[0]
            return report
        finally:
            server.stop()

    cells = by_name(context, plan.event_repeats, run)
    for each, key in zip(tables, ("p99_us", "max_us")):
        add(each, name, cells, lambda run: run["all"][key])


def collected(failures, happen, server):
    try:
        happen(server)
    except (Failed, Lacks, OSError) as failure:
        failures.append(failure)


def event_tables():
    return [table("p99 of the rest", "µs", "less", 0), table("Longest of the rest", "µs", "less", 0)]


EVENT_NOTE = ("The rest is 20k operations/s in an open loop (nine GETs to a SET, 10k keys, 50 connections) while it "
              "happens; a new server for each run.")


def expiry(context):
    plan = context.plan
    tables = event_tables()
    event(context, "nothing happens", lambda server: None, lambda server: None, tables)
    # Long enough for the slowest loading; whole seconds, as memcached has no finer ones.
    ahead_s = 2 if plan.quick else 6

    def prepare(server):
        at_s = int(time.time()) + 1 + ahead_s
        bulk_load(server, plan.event_keys, b"v" * 64, at_s * 1000)
        return at_s - 0.2 - plan.event_seconds / 3

    event(context, f"{plan.event_keys} keys expire at once", lambda server: None, prepare, tables)
    return {"title": "Mass expiry", "note": EVENT_NOTE, "tables": tables}


def save(context):
    plan = context.plan
    tables = event_tables()

    def prepare(server):
        if server.kind.protocol == "memcached":
            raise Lacks("saves nothing")
        if not server.has_command("BGSAVE"):
            raise Lacks("this build has no BGSAVE")
        bulk_load(server, plan.event_keys, b"v" * 64)

    def happen(server):
        reply = server.ask("BGSAVE")
        if reply.startswith("-"):
            raise Failed(f"{server.name}: BGSAVE: {reply}")

    event(context, f"BGSAVE of {plan.event_keys} keys", happen, prepare, tables, 4)
    return {"title": "Save under load",
            "note": EVENT_NOTE + " What a server starts to save, a child or threads, stays on the server's CPU.",
            "tables": tables}


def flush(context):
    plan = context.plan
    tables = event_tables()
    took = table("FLUSHALL answered after", "ms", "less", 1)
    times = {kind.name: {"runs": []} for kind in context.kinds}

    def prepare(server):
        bulk_load(server, plan.flushed_keys, b"v" * 16)

    def happen(server):
        began = time.monotonic()
        reply = server.ask("flush_all" if server.kind.protocol == "memcached" else "FLUSHALL")
        if reply not in ("+OK", "OK"):
            raise Failed(f"{server.name}: FLUSHALL: {reply}")
        times[server.name]["runs"].append((time.monotonic() - began) * 1000)

    name = f"FLUSHALL of {plan.flushed_keys} keys"
    # Long enough for the whole of a stall.
    event(context, name, happen, prepare, tables, 1.5 if plan.quick else 4)
    add(took, name, times, lambda value: value)
    return {"title": "FLUSHALL",
            "note": EVENT_NOTE + " redis frees all keys before it goes on, unless asked to do so in the background "
                                 "(ASYNC); memcached marks them and frees nothing.",
            "tables": [*tables, took]}


def targets(context):
    """What Aspine was begun for, as rows."""
    plan = context.plan
    servers = context.start_all()
    for server in servers.values():
        preload(context, server, 10_000)
    memory_cells = take_turns(servers, 1, lambda server, _: server.rss_bytes() / 1e6)
    cells = take_turns(servers, plan.repeats, lambda server, _: context.generator.run(
        server, rate=75_000, connections=50, keys=10_000, ratio="1:1", duration=plan.open_seconds, warmup=0.3,
        verify="values"))
    closed = take_turns(servers, plan.repeats, lambda server, _: context.generator.run(
        server, connections=50, keys=10_000, ratio="1:1", duration=plan.seconds, warmup=plan.warmup,
        verify="values"))
    stop(servers)
    each = table("Targets", None, None, None)
    for name, unit, better, digits, aim, source, value in (
            ("GET p50 at 75k/s", "ms", "less", 3, 0.5, cells, lambda run: run["kinds"]["get"]["p50_us"] / 1e3),
            ("GET p99 at 75k/s", "ms", "less", 3, 2, cells, lambda run: run["kinds"]["get"]["p99_us"] / 1e3),
            ("SET p50 at 75k/s", "ms", "less", 3, 1, cells, lambda run: run["kinds"]["set"]["p50_us"] / 1e3),
            ("operations a second, pipeline 1", "/s", "more", 0, 75_000, closed, throughput),
            ("memory with 10k items", "MB", "less", 1, 150, memory_cells, lambda value: value)):
        add(each, name, source, value)
        each["rows"][-1].update(unit=unit, better=better, digits=digits, aim=aim)
    return {"title": "Targets",
            "note": "One core, 50 connections, pipeline 1, as many GETs as SETs of 64 bytes, 10k items.",
            "tables": [each]}


SECTIONS = {
    "targets": targets,
    "one-core": one_core,
    "two-cores": two_cores,
    "open": open_loop,
    "values": values,
    "memory": memory,
    "eviction": eviction,
    "expiry": expiry,
    "save": save,
    "flush": flush,
}
