#!/usr/bin/env bash
# Compares Aspine with its peers on this machine: redis-server and memcached, and any other server by its command line.
#
#     scripts/compare.sh                          # everything, about 25 minutes; report in target/compare/report.md
#     scripts/compare.sh --quick                  # fewer rows and repeats, under two minutes
#     scripts/compare.sh --only open,eviction     # some sections; the report keeps what earlier runs left of the others
#     scripts/compare.sh --server valkey='valkey-server --port {port} --save ""'
#
# `scripts/compare.sh --help` lists the rest. Installs what it needs with apt where that is missing, and builds the
# release binary unless --binary names one. Needs two CPUs: the servers run on CPU 0, the load generator on CPU 1.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
command -v redis-server >/dev/null || packages+=(redis-server)
command -v memcached >/dev/null || packages+=(memcached)
command -v python3 >/dev/null || packages+=(python3)
if [ ${#packages[@]} -gt 0 ]; then
    sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    # Debian starts what it installs; the servers measured are our own.
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}"
fi

build=yes
for arg in "$@"; do
    case $arg in --binary | --binary=* | --report-only | -h | --help) build=no ;; esac
done
[ "$build" = no ] || cargo build --release
# Without files beside the sources.
exec python3 -B scripts/compare/main.py "$@"
