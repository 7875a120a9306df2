#!/usr/bin/env python3
"""Hit ratios on traces of real caches: Aspine's policies beside libCacheSim's, which is the oracle for them.

    python3 scripts/policy_numbers.py DIRECTORY [--aspine target/release/aspine] [--rooms 1,5,10]

DIRECTORY has files `NAME.csv.xz`, one access a line, `key` or `key,size`. Each is played by `aspine bench --trace` through a
server of one core, in its order, and through libCacheSim (PyPI: libcachesim) with the same room: that share of the distinct
keys, or where there are sizes of the distinct bytes as the server charges for them. Where the directory or the package is
missing the script says so and measures nothing. Exits with 1 if a policy that both have differs by more than 0.5 points in
a cache of 100 items or more where items are alike; sizes our S3-FIFO treats in its own way.
"""

import argparse
import json
import lzma
import pathlib
import struct
import subprocess
import sys
import tempfile

OURS = {"lru": "LRU", "s3fifo": "S3FIFO"}
ORACLES = ["LRU", "Sieve", "WTinyLFU", "S3FIFO"]
KEY_BYTES = 16
POINTS_MAX = 0.5
ITEMS_MIN = 100


def charged(size):
    """Bytes that the server charges for an item without TTL: see src/shard/account.rs."""
    blob = KEY_BYTES + size + (4 if KEY_BYTES + size >= 4096 else 0)
    if blob <= 128:
        step = 16
    elif blob >= 16384:
        step = 4096
    else:
        step = 1 << ((blob - 1).bit_length() - 3)
    return 33 + -(-blob // step) * step


def read(path):
    """The accesses as pairs of a number and a size, and whether the trace has sizes."""
    numbers, sizes, accesses, sized = {}, {}, [], False
    for line in lzma.open(path, "rt"):
        key, _, size = line.rstrip("\n").partition(",")
        sized = sized or bool(size)
        number = numbers.setdefault(key, len(numbers) + 1)
        accesses.append((number, sizes.setdefault(number, int(size or 0))))
    return accesses, sized


def records(accesses, cost):
    """libCacheSim's oracleGeneral."""
    return b"".join(struct.pack("<IQIq", at // 1000, key, cost(size), -1) for at, (key, size) in enumerate(accesses))


def oracle(libcachesim, path, name, room):
    reader = libcachesim.TraceReader(
        str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE, libcachesim.ReaderInitParam(ignore_obj_size=False))
    # The default table of 2^24 places would cost more time than the trace.
    return 100 * (1 - getattr(libcachesim, name)(cache_size=room, hashpower=16).process_trace(reader)[0])


def ours(aspine, path, policy, bound):
    out = subprocess.run(
        [aspine, "bench", "--trace", path, "--connections", "1", "--value-size", "0", "--json",
         "--server-args", f"--cores 1 --eviction {policy} {bound}"], check=True, capture_output=True, text=True).stdout
    return 100 * json.loads(out)["hit_ratio"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--aspine", default="target/release/aspine")
    parser.add_argument("--rooms", default="1,5,10", help="percent")
    parser.add_argument("--traces", default="", help="names; all without")
    args = parser.parse_args()
    traces = sorted(args.directory.glob("*.csv.xz"))
    if not traces:
        print(f"no traces (*.csv.xz) in {args.directory}: nothing measured")
        return 0
    try:
        import libcachesim
    except ImportError:
        print("libcachesim is missing (pip install libcachesim): nothing measured")
        return 0
    print("| trace | room |", " | ".join(ORACLES), "|", " | ".join(f"ours, {policy}" for policy in OURS), "|", flush=True)
    failed = False
    for trace in traces:
        name = trace.name.removesuffix(".csv.xz")
        if args.traces and name not in args.traces.split(","):
            continue
        accesses, sized = read(trace)
        with tempfile.TemporaryDirectory() as directory:
            costs, values = (pathlib.Path(directory, name) for name in ("costs.oracleGeneral", "values.oracleGeneral"))
            costs.write_bytes(records(accesses, charged if sized else lambda size: 1))
            values.write_bytes(records(accesses, lambda size: size))
            whole = sum((charged(size) if sized else 1) for size in dict(accesses).values())
            for percent in map(int, args.rooms.split(",")):
                room = whole * percent // 100
                bound = f"--max-memory {room}" if sized else f"--max-size {room}"
                told = {policy: oracle(libcachesim, costs, policy, room) for policy in ORACLES}
                got = {policy: ours(args.aspine, values, policy, bound) for policy in OURS}
                row = [told[policy] for policy in ORACLES] + list(got.values())
                print(f"| {name} | {percent} % |", " | ".join(f"{ratio:.2f}" for ratio in row), "|", flush=True)
                for policy, oracles in OURS.items():
                    alike = room >= ITEMS_MIN and not sized
                    failed = failed or alike and abs(got[policy] - told[oracles]) > POINTS_MAX
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
