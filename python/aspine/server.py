"""The shipped program, started and ended by Python: for scripts and test suites that have no daemon."""

import atexit
import os
import random
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import weakref

from . import _address
from ._errors import AspineError

# Seconds a server may take to be ready, and to end. It takes some 10 ms and, with a snapshot, as long as that needs.
START_SECONDS = 30
STOP_SECONDS = 30

# Runs the server and ends it when standard input does: when this process ends, however it ends.
_KEEPER = '"$@" </dev/null & server=$!; read -r _; kill "$server" 2>/dev/null; wait "$server"'

_running = weakref.WeakSet()


def program():
    """The path of the `aspine` program."""
    named = os.environ.get("ASPINE_PROGRAM")
    if named:
        return named
    package = os.path.dirname(os.path.abspath(__file__))
    places = [sysconfig.get_path("scripts"), os.path.join(sys.prefix, "bin")]
    try:
        places.append(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
    except AttributeError:
        # Python 3.9 has another name for it.
        places.append(sysconfig.get_path("scripts", "posix_user"))
    # pip install --target puts it beside the package.
    places.append(os.path.join(os.path.dirname(package), "bin"))
    for place in places:
        path = os.path.join(place, "aspine")
        if os.access(path, os.X_OK) and not _is_script(path):
            return path
    raise AspineError(f"the program aspine is in none of {', '.join(places)}; ASPINE_PROGRAM says where it is")


def _is_script(path):
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


class Server:
    """A server of this process's own: `with aspine.Server(max_memory="64mb") as server: …`.

    It listens on a Unix socket that only this user reaches, and on `port` of `host`, where it wants `authkey`; 0 is a free
    port, and the key is made up unless given. It ends with `stop`, with the `with` block, and at the latest with this process.
    """

    def __init__(
        self,
        *,
        max_size=None,
        max_memory=None,
        eviction=None,
        persist_path=None,
        authkey=None,
        cores=1,
        host="127.0.0.1",
        port=0,
        core_ports=None,
        args=(),
    ):
        self.max_size, self.max_memory, self.eviction = max_size, max_memory, eviction
        self.persist_path = None if persist_path is None else os.path.abspath(os.fspath(persist_path))
        # Others on this machine reach the port, so there is a key.
        self.authkey = authkey if authkey is not None else secrets.token_hex(16)
        self.cores, self.host, self.core_ports, self.args = cores, host, core_ports, tuple(args)
        self.port = port
        self._wanted_port = port
        self._folder = tempfile.mkdtemp(prefix="aspine-")
        self.unixsocket = os.path.join(self._folder, "socket")
        self._process = None
        self._end = weakref.finalize(self, shutil.rmtree, self._folder, True)

    @property
    def _client_address(self):
        return _address.Address(path=self.unixsocket)

    @property
    def running(self):
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def address(self):
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self):
        """What `AspineClient` and other clients of Redis connect to."""
        return f"aspine://:{self.authkey}@{self.host}:{self.port}"

    def _arguments(self):
        arguments = [program(), "server", "--host", self.host, "--port", str(self._wanted_port)]
        arguments += ["--unixsocket", self.unixsocket, "--log-level", "info"]
        cpus = sorted(os.sched_getaffinity(0))
        chosen = random.sample(cpus, min(self.cores, len(cpus)))
        arguments += ["--cpus", ",".join(map(str, sorted(chosen)))]
        if self.max_size is not None:
            arguments += ["--max-size", str(self.max_size)]
        elif self.max_memory is None:
            arguments += ["--max-size", "0"]
        if self.max_memory is not None:
            arguments += ["--max-memory", str(self.max_memory)]
        if self.eviction is not None:
            arguments += ["--eviction", self.eviction]
        if self.core_ports is not None:
            arguments += ["--core-ports", str(self.core_ports)]
        if self.persist_path is not None:
            arguments += ["--data-dir", self.persist_path, "--persist"]
        else:
            arguments += ["--data-dir", os.path.join(self._folder, "data")]
        return arguments + [str(argument) for argument in self.args]

    def start(self):
        """Starts it, and returns when it serves."""
        if self.running:
            return self
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        if self.persist_path is not None:
            os.makedirs(self.persist_path, exist_ok=True)
        log = open(os.path.join(self._folder, "log"), "wb")
        with log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "aspine", *self._arguments()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "ASPINE_AUTHKEY": self.authkey},
                # So that an interrupt in the terminal is Python's alone, which then ends the server in order.
                start_new_session=True,
            )
        self._process = process
        line = _ready_line(process)
        if not line:
            self._kill()
            raise AspineError(f"the embedded server did not start: {self.log().strip()}")
        # ready: listening on 127.0.0.1:41529 and /tmp/…
        address = line.split(" on ", 1)[1].split()[0]
        self.port = int(address.rsplit(":", 1)[1])
        _running.add(self)
        return self

    def log(self):
        """What it has logged."""
        try:
            with open(os.path.join(self._folder, "log"), errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def stop(self):
        """Ends it in order, with a last snapshot if it keeps any."""
        process, self._process = self._process, None
        if process is None:
            return
        _running.discard(self)
        process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process = process
            self._kill()
        process.stdout.close()

    def kill(self):
        """Ends it at once, as a crash would."""
        self._kill()

    def _kill(self):
        import signal

        process, self._process = self._process, None
        _running.discard(self)
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has ended by itself.
            pass
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def client(self, **options):
        """A client of it."""
        from .client import AspineClient

        return AspineClient(self.unixsocket, authkey=self.authkey, **options)

    def blocking_client(self, **options):
        """A client of it that waits."""
        from .blocking import AspineClient

        return AspineClient(self.unixsocket, authkey=self.authkey, **options)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    async def __aenter__(self):
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.start)
        return self

    async def __aexit__(self, *_):
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.stop)

    def __repr__(self):
        return f"<aspine.Server {self.address if self.running else 'not running'}>"


def _ready_line(process):
    """The line that says that it serves; empty if it has ended, or is not ready in time."""
    import select

    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    return process.stdout.readline().decode() if readable else ""


@atexit.register
def _stop_all():
    for server in list(_running):
        server.stop()
