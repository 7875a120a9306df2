"""Builds the package: the server's program with cargo, then all of it with maturin.

The program goes into the wheel's scripts, so that `pip install` puts it where `aspine server` is found.
`ASPINE_PROGRAM` names one that is built already.
"""

import os
import shutil
import subprocess
from pathlib import Path

import maturin
from maturin import *  # noqa: F403 - what is not wrapped here is maturin's

HERE = Path(__file__).resolve().parent
# Beside the Python package in the repository, above or below it in a source distribution.
CRATE = next(place for place in (HERE.parent, HERE, HERE / "aspine") if (place / "src" / "main.rs").exists())
SCRIPT = HERE / "aspine.data" / "scripts" / "aspine"
# Maturin refuses whatever it is asked, a source distribution too, while the folder that pyproject.toml names is missing.
SCRIPT.parent.mkdir(parents=True, exist_ok=True)


def program():
    """The server's program, built unless it is named."""
    named = os.environ.get("ASPINE_PROGRAM")
    if named:
        return Path(named)
    manifest = str(CRATE / "Cargo.toml")
    target = Path(os.environ.get("CARGO_TARGET_DIR", CRATE / "target"))
    command = ["cargo", "build", "--release", "--bin", "aspine", "--manifest-path", manifest, "--target-dir", str(target)]
    subprocess.run(command, check=True)
    return target / "release" / "aspine"


def add_program():
    shutil.copyfile(program(), SCRIPT)
    SCRIPT.chmod(0o755)
    # Lines of the source in a backtrace are not worth four fifths of the wheel.
    if shutil.which("strip"):
        subprocess.run(["strip", str(SCRIPT)], check=True)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    add_program()
    try:
        return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    finally:
        SCRIPT.unlink()


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    add_program()
    try:
        return maturin.build_editable(wheel_directory, config_settings, metadata_directory)
    finally:
        SCRIPT.unlink()
