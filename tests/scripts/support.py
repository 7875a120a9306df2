"""What the tests of scripts and tuning share: the repository's places, programs of others, a server and its replies."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/scripts"
# The program under test; tests/scripts.rs says where it is.
BINARY = os.environ.get("ASPINE_BINARY", str(ROOT / "target/debug/aspine"))
# Where .ci/run installs what tests/scripts/requirements.txt names.
CHECKS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "checks/bin"
DEADLINE_S = 60


def missing(what, fix):
    """Leaves out the test, for `what` is not there; a failure where all has to be there."""
    if os.environ.get("ASPINE_REQUIRE_CLIENTS") == "1":
        raise AssertionError(f"{what} is not there and ASPINE_REQUIRE_CLIENTS=1; {fix}")
    raise unittest.SkipTest(f"{what} is not there; {fix}")


def tool(name, fix):
    """The path of a program of others."""
    path = shutil.which(str(CHECKS / name)) or shutil.which(name)
    return path or missing(name, fix)


def check(name):
    """The path of a program that tests/scripts/requirements.txt names."""
    return tool(name, f"python3 -m venv {CHECKS.parent} && {CHECKS}/pip install -r tests/scripts/requirements.txt")


def run(*command, **options):
    """Runs a command to its end; its code and everything it printed."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | options
    done = subprocess.run([str(word) for word in command], timeout=300, **options)
    return done.returncode, done.stdout


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Connection:
    """One client, of inline commands and RESP2 replies."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.replies = self.socket.makefile("rb")

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def reply(self):
        line = self.replies.readline().rstrip(b"\r\n").decode()
        kind, rest = line[:1], line[1:]
        if kind == "$" and rest != "-1":
            return self.replies.read(int(rest) + 2)[:-2].decode()
        if kind == "*":
            return [self.reply() for _ in range(int(rest))]
        return int(rest) if kind == ":" else line

    def close(self):
        self.replies.close()
        self.socket.close()


class Server:
    """The program serving one core on a free port, until the end of a `with`; `before` is put before its command."""

    def __init__(self, *flags, before=(), binary=BINARY):
        self.dir = tempfile.TemporaryDirectory(prefix="aspine-scripts-")
        common = ["--port", "0", "--cores", "1", "--maxclients", "100", "--data-dir", self.dir.name]
        self.command = [str(word) for word in [*before, binary, "server", *common, *flags]]

    def __enter__(self):
        environment = {name: value for name, value in os.environ.items() if name != "ASPINE_AUTHKEY"}
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment)
        self.ready = self.process.stdout.readline()
        if not self.ready:
            said = self.process.communicate(timeout=DEADLINE_S)[1]
            self.dir.cleanup()
            raise AssertionError(f"it does not serve: {said}")
        self.port = int(self.ready.split("listening on ")[1].split()[0].rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        self.dir.cleanup()

    def connect(self):
        return Connection(self.port)
