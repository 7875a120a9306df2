#!/usr/bin/env bash
# Builds the Python package and tests it as its users get it.
#
#     scripts/python_package.sh                  # the wheel, from the source distribution; needs target/release/aspine
#     scripts/python_package.sh --zig 2.28       # instead: wheels for every Linux with so old a glibc, in target/python/dist
#
# The tests run in an empty virtual environment, with no Rust in their PATH. All goes to target/python.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf -- '-- %s\n' "$*"; }

target=$(realpath "${CARGO_TARGET_DIR:-target}")
out="$target/python"
rm -rf "$out/dist" "$out/venv" "$out/run"
mkdir -p "$out/dist" "$out/run"
export CARGO_TARGET_DIR="$target"

step "tools"
python3 -m venv "$out/tools"
"$out/tools/bin/pip" install -q -r python/tests/requirements-build.txt
PATH="$out/tools/bin:$PATH"

if [ "${1:-}" = --zig ]; then
    glibc=${2:?which glibc, as 2.28}
    "$out/tools/bin/pip" install -q cargo-zigbuild ziglang
    triple=$(rustc -vV | sed -n 's/^host: //p')
    cargo zigbuild --release --bin aspine --target "$triple.$glibc"
    ASPINE_PROGRAM="$target/$triple/release/aspine" python -m build --wheel --no-isolation --outdir "$out/dist" \
        -C "build-args=--zig --target $triple --compatibility manylinux_${glibc/./_}" python
    ls -l "$out/dist"
    exit 0
fi

step "the source distribution, and the wheel from it"
# The wheel says which glibc it needs: the newest that its program does, which no tool for wheels looks at. The extension
# is held to it by maturin.
glibc=$(objdump -T "$target/release/aspine" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
glibc=${glibc#GLIBC_}
echo "glibc $glibc"
ASPINE_PROGRAM="$target/release/aspine" python -m build --no-isolation --outdir "$out/dist" \
    -C "build-args=--compatibility manylinux_${glibc/./_}" python
wheel=$(echo "$out"/dist/*.whl)
ls -l "$out/dist"
size=$(stat -c %s "$wheel")
if [ "$size" -gt 15000000 ]; then
    echo "the wheel has $size bytes; 15 MB is what a download may take" >&2
    exit 1
fi

step "the wheel, where there is no Rust"
python3 -m venv "$out/venv"
"$out/venv/bin/pip" install -q "$wheel"
clean=(env -i "HOME=$out/run" "LANG=C.UTF-8" "PATH=$out/venv/bin:/usr/bin:/bin" ASPINE_REQUIRE_CLIENTS=1)
cd "$out/run"
if "${clean[@]}" bash -c 'command -v cargo rustc'; then
    echo "there is Rust in the PATH" >&2
    exit 1
fi
"${clean[@]}" aspine --version
"${clean[@]}" python -m aspine --version
"${clean[@]}" python -c 'import aspine; print(aspine.__version__)'
# What README and documentation say of it: a server in the background, and a client.
"${clean[@]}" aspine server --port 0 --cores 1 --daemon --persist --pid-file "$out/run/pid" --unixsocket "$out/run/socket"
"${clean[@]}" python -c '
import asyncio, sys
from aspine import AspineClient
async def main():
    async with AspineClient(sys.argv[1]) as client:
        await client.set("user:1", {"name": "alice"}, ttl=60)
        assert await client.get("user:1") == {"name": "alice"}
asyncio.run(main())
' "$out/run/socket"
"${clean[@]}" aspine stop --pid-file "$out/run/pid"

step "its tests"
cd - >/dev/null
"$out/venv/bin/pip" install -q -r python/tests/requirements.txt
cp -r python/tests python/pyproject.toml "$out/run/"
cd "$out/run"
"${clean[@]}" python -m pytest -q -p no:cacheprovider -o faulthandler_timeout=120 tests

step "its types"
"${clean[@]}" python -m mypy --strict tests/typed.py
"${clean[@]}" python -m mypy.stubtest aspine --ignore-missing-stub --allowlist tests/stubtest.txt
if [ -n "${ASPINE_REQUIRE_CLIENTS:-}" ] || command -v npm >/dev/null; then
    npm install --prefix "$out/pyright" --no-package-lock --no-audit --no-fund --silent pyright
    "$out/pyright/node_modules/.bin/pyright" --pythonpath "$out/venv/bin/python" tests/typed.py
fi
