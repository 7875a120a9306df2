#!/usr/bin/env bash
# Compares the criterion benches of two revisions on this machine.
#
#     scripts/bench_revisions.sh BASE [NEW]                 # NEW: the working tree, if left out
#     scripts/bench_revisions.sh -b parser -r 5 main HEAD -- '16 GET'
#
# Each revision is built in a worktree of its own under target/bench-revisions, then their benches run in turn
# (A B A B ...), so that a machine that gets slower gets slower for both. Every run is kept as a criterion baseline.
# The table has, for each bench, the medians of the runs' medians with their ranges, and the ratio; a `*` marks ratios
# whose ranges do not overlap. Options: -b BENCH (repeatable; all pure modules by default), -r RUNS (5), -s SECONDS of
# measuring a bench (1), -c CPU to pin to (the last one). What follows `--` goes to criterion: a filter, for one.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit "$1"; }

benches=() runs=5 seconds=1 cpu=$(($(nproc) - 1)) revisions=()
while [ $# -gt 0 ]; do
    case $1 in
    -b) benches+=("$2") && shift 2 ;;
    -r) runs=$2 && shift 2 ;;
    -s) seconds=$2 && shift 2 ;;
    -c) cpu=$2 && shift 2 ;;
    -h | --help) usage 0 ;;
    --) shift && break ;;
    -*) usage 2 >&2 ;;
    *) revisions+=("$1") && shift ;;
    esac
done
case ${#revisions[@]} in 1 | 2) ;; *) usage 2 >&2 ;; esac
[ ${#benches[@]} -gt 0 ] || benches=(parser reply shard engine)

work=${CARGO_TARGET_DIR:-$root/target}/bench-revisions
mkdir -p "$work"
trees=()
forget() { for tree in "${trees[@]}"; do git worktree remove --force "$tree" || true; done; }
trap forget EXIT
trap 'exit 130' INT TERM

# The executables of a checkout's benches. Both checkouts share one target directory, for the sake of dependencies.
build() { # checkout, name of its list
    (cd "$1" && CARGO_TARGET_DIR="$work/target" cargo bench --no-run --message-format=json "${selected[@]}") |
        python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["kind"] == ["bench"]:
        print(message["target"]["name"], message["executable"])' >"$work/$2.list"
    # A later build may take the place of the executable.
    rm -rf "${work:?}/$2.bin" && mkdir "$work/$2.bin"
    while read -r bench executable; do cp "$executable" "$work/$2.bin/$bench"; done <"$work/$2.list"
}

checkouts=()
for at in 0 1; do
    if [ -n "${revisions[$at]:-}" ]; then
        tree=$work/tree-$at
        git worktree remove --force "$tree" 2>/dev/null || true
        git worktree add --quiet --detach "$tree" "${revisions[$at]}"
        trees+=("$tree")
        checkouts+=("$tree")
    else
        checkouts+=("$root")
    fi
done
selected=() common=()
for bench in "${benches[@]}"; do
    if [ -e "${checkouts[0]}/benches/$bench.rs" ] && [ -e "${checkouts[1]}/benches/$bench.rs" ]; then
        selected+=(--bench "$bench") common+=("$bench")
    else
        echo "left out: one of the two has no bench $bench" >&2
    fi
done
[ ${#common[@]} -gt 0 ] || exit 1
benches=("${common[@]}")
build "${checkouts[0]}" base
build "${checkouts[1]}" new

export CRITERION_HOME=$work/criterion
rm -rf "$CRITERION_HOME"
for run in $(seq "$runs"); do
    for name in base new; do
        for bench in "${benches[@]}"; do
            printf 'run %d of %d: %s, %s\n' "$run" "$runs" "$name" "$bench" >&2
            taskset -c "$cpu" "$work/$name.bin/$bench" --bench --noplot --warm-up-time 0.3 \
                --measurement-time "$seconds" --save-baseline "$name-$run" "$@" >"$work/$name.log" 2>&1 ||
                { cat "$work/$name.log" >&2 && exit 1; }
        done
    done
done

base=$(git describe --always "${revisions[0]}")
new=$([ -n "${revisions[1]:-}" ] && git describe --always "${revisions[1]}" || echo "working tree")
python3 - "$CRITERION_HOME" "$runs" "$base" "$new" <<'PYTHON'
import json, pathlib, statistics, sys

home, runs, base, new = pathlib.Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]


def medians(bench, name):
    paths = [bench / f"{name}-{run + 1}" / "estimates.json" for run in range(runs)]
    return [json.loads(path.read_text())["median"]["point_estimate"] for path in paths if path.exists()]


def cell(values):
    return f"{statistics.median(values):.1f} [{min(values):.1f}-{max(values):.1f}]"


print(f"| nanoseconds | {base} | {new} | ratio |\n|---|---|---|---|")
for info in sorted(home.rglob("base-1/benchmark.json")):
    bench = info.parent.parent
    old, now = medians(bench, "base"), medians(bench, "new")
    if old and now:
        apart = " *" if min(old) > max(now) or max(old) < min(now) else ""
        ratio = statistics.median(now) / statistics.median(old)
        print(f"| {json.loads(info.read_text())['full_id']} | {cell(old)} | {cell(now)} | {ratio:.2f}{apart} |")
PYTHON
