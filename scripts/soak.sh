#!/usr/bin/env bash
# Runs the simulation with one seed after the other for as long as it is told, and prints how to replay what fails.
#
#   soak.sh DURATION [FIRST]    DURATION as sleep takes it: 600, 10m, 8h; FIRST: the first seed, else one by the clock
#
# At the lowest priority. Ends with 0 if nothing failed, else with 1.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
    *[0-9]) seconds=$1 ;;
    *[0-9]s) seconds=${1%s} ;;
    *[0-9]m) seconds=$((${1%m} * 60)) ;;
    *[0-9]h) seconds=$((${1%h} * 3600)) ;;
    *) echo "usage: $0 DURATION [FIRST]" >&2; exit 2 ;;
esac
# Beyond those of .ci/run, and small enough to be typed.
first=${2:-$((100000 + $(date +%s) % 1000000 * 1000))}
step=100

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --release --test simulation --no-run
end=$((SECONDS + seconds)) runs=0 failed=0
while [ "$SECONDS" -lt "$end" ]; do
    if ! ASPINE_SIM_FIRST=$first ASPINE_SIM_SEEDS=$step nice -n 19 cargo test --release --test simulation -- \
        --test-threads "$(nproc)" every_seed >"$log" 2>&1; then
        failed=$((failed + 1))
        # Without a line to replay it is the log that says what happened.
        grep -E '^(seed |to replay: )' "$log" || cat "$log"
    fi
    first=$((first + step)) runs=$((runs + step))
done
echo "$runs seeds up to $((first - 1)): $failed of $((runs / step)) parts failed"
[ "$failed" -eq 0 ]
