#!/usr/bin/env python3
"""Lists the files and functions of src/ that one operation of a hot path runs, counted by valgrind's callgrind.

The paths are those of `benches/instructions.rs`. A path runs for N and for 2 N operations; a line belongs to an operation
if it runs at least N times more in the second run, so that start and set-up do not count. Functions that the compiler has
inlined count as what they are: the debug information has file and line of each instruction. A function's lines are those
from its `fn` to its closing brace; "run" are those of them that have instructions.

Needs valgrind.

    python3 scripts/path_lines.py                        # a local GET, the files
    python3 scripts/path_lines.py --functions "engine: SET"
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPERATIONS = 1_000
# A getter or setter: its file is named, and nothing in it has to be followed.
ACCESSOR_LINES = 3


def bench():
    """The bench's program, built from the sources as they are."""
    command = ["cargo", "bench", "--no-run", "--bench", "instructions", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "instructions":
            return message["executable"]
    sys.exit("cargo has built no bench")


def counted(program, path, operations):
    """Instructions of each (file, line) of a run."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind"
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]
        valgrind += [f"--callgrind-out-file={out}", program, "--run", path, str(operations)]
        subprocess.run(valgrind, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        lines, file, is_call = collections.Counter(), "", False
        for line in out.read_text().splitlines():
            if line.startswith(("fl=", "fi=", "fe=")):
                file = line[3:]
            elif line.startswith("calls="):
                is_call = True
            elif line[:1].isdigit():
                # The line after a call has the costs of the function that is called.
                number, cost = (line.split() + ["0"])[:2]
                lines[file, int(number)] += 0 if is_call else int(cost)
                is_call = False
        return lines


def functions(text):
    """Name, first and last line of each function that has a body. Comments and texts are masked as far as needed."""
    text = re.sub(r"//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|b?'(?:\\.|[^'\\])'", lambda found: "_" * len(found.group()), text)
    found = []
    for function in re.finditer(r"\bfn (\w+)", text):
        depth, at = 0, function.end()
        while text[at] not in "{;" or depth > 0:
            depth += (text[at] in "([") - (text[at] in ")]")
            at += 1
        if text[at] == ";":
            continue
        first = text.count("\n", 0, function.start()) + 1
        while True:
            depth += (text[at] == "{") - (text[at] == "}")
            if depth == 0:
                break
            at += 1
        found.append((function.group(1), first, text.count("\n", 0, at) + 1))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", default="engine: GET hit")
    parser.add_argument("--functions", action="store_true", help="list the functions of each file")
    args = parser.parse_args()
    program = bench()
    once, twice = (counted(program, args.path, operations) for operations in (OPERATIONS, 2 * OPERATIONS))
    files = collections.defaultdict(dict)
    for (file, number), count in twice.items():
        grown = count - once[file, number]
        inside = pathlib.Path(file).resolve() if file.startswith("/") else ROOT / file
        if grown >= OPERATIONS and inside.is_relative_to(ROOT / "src"):
            files[inside.relative_to(ROOT)][number] = grown / OPERATIONS
    sums = collections.Counter()
    print(f"{'file':34} {'functions':>9} {'lines':>6} {'run':>5} {'instructions':>12}")
    for file in sorted(files):
        all_functions, of_function = functions((ROOT / file).read_text()), collections.defaultdict(dict)
        for number, count in files[file].items():
            around = [function for function in all_functions if function[1] <= number <= function[2]]
            # An attribute or a derive has instructions as well.
            of_function[max(around, key=lambda function: function[1], default=("", 1, 0))][number] = count
        lengths = {function: function[2] - function[1] + 1 for function in of_function}
        row = (sum(1 for length in lengths.values() if length), sum(lengths.values()), len(files[file]))
        print(f"{str(file):34} {row[0]:9} {row[1]:6} {row[2]:5} {sum(files[file].values()):12.1f}")
        if args.functions:
            for function in sorted((function for function in of_function if function[0]), key=lambda one: one[1]):
                run = of_function[function]
                print(f"    {function[0]:30} {'':9} {lengths[function]:6} {len(run):5} {sum(run.values()):12.1f}")
        longer = [length for length in lengths.values() if length > ACCESSOR_LINES]
        sums.update(files=1, functions=row[0], lines=row[1], run=row[2], instructions=sum(files[file].values()))
        sums.update(long_files=bool(longer), long_functions=len(longer), long_lines=sum(longer))
    print(
        f"\n{sums['files']} files, {sums['functions']} functions of {sums['lines']} lines, of which {sums['run']} run; "
        f"{sums['instructions']:.0f} of {sum((twice - once).values()) / OPERATIONS:.0f} instructions\n"
        f"without functions of {ACCESSOR_LINES} lines or fewer: {sums['long_files']} files, "
        f"{sums['long_functions']} functions of {sums['long_lines']} lines"
    )


if __name__ == "__main__":
    main()
