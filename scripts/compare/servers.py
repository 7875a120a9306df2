"""Servers: the processes that are compared: how each is started, asked, watched and stopped.

A port on which anything listens is refused: an old server that answered would fake every number. Servers end with this
process, however it ends: the kernel kills them when it dies, and `stop_all` stops them before.
"""

import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_S = 20
STOP_S = 20
REPLY_S = 120
PR_SET_PDEATHSIG = 1
# What servers may hold where a row is not about it: more than any row stores.
MEMORY_DEFAULT = 12 << 30

running = []


class Failed(Exception):
    """Something that makes the comparison impossible; the message says what to do."""


class Lacks(Exception):
    """A server can't do what a row asks for; the message is the row's cell."""


class Kind:
    """A server program by its command line, in which these are filled in: {port}, {cores}, {cpus} (0,1), {memory}
    (bytes) and {memory_mb}."""

    def __init__(self, name, command, protocol="resp", large_values=""):
        self.name, self.command, self.protocol = name, command, protocol
        # What the command line needs besides for values of 1 MiB.
        self.large_values = large_values

    def words(self, port, cores=1, memory=None, extra=""):
        if cores > 1 and "{cores}" not in self.command and "{cpus}" not in self.command:
            raise Lacks("its command line has no {cores}")
        if memory is not None and "{memory" not in self.command:
            raise Lacks("its command line has no {memory}")
        memory = memory or MEMORY_DEFAULT
        fill = {"port": port, "cores": cores, "cpus": ",".join(str(cpu) for cpu in range(cores)), "memory": memory,
                "memory_mb": max(1, memory >> 20)}
        words = [word.format(**fill) for word in shlex.split(f"{self.command} {extra}")]
        if shutil.which(words[0]) is None:
            raise Failed(f"{self.name}: {words[0]} is not there; install it, or leave it out of --server")
        return words

    def version(self):
        for flag in ("--version", "-V"):
            try:
                done = subprocess.run([shlex.split(self.command)[0], flag], capture_output=True, text=True, timeout=10)
            except (OSError, subprocess.TimeoutExpired):
                return "?"
            if done.returncode == 0 and done.stdout.strip():
                return done.stdout.strip().splitlines()[0]
        return "?"


def builtin_kinds(binary, folder):
    """redis-server, memcached and Aspine, configured alike: loopback, no files, the same bound of memory, LRU."""
    user = "-u root " if os.getuid() == 0 else ""
    return [
        Kind("redis", "redis-server --bind 127.0.0.1 --port {port} --save '' --appendonly no --maxmemory {memory} "
             "--maxmemory-policy allkeys-lru --io-threads {cores} --io-threads-do-reads yes "
             f"--dir {shlex.quote(str(folder))}"),
        Kind("memcached", f"memcached {user}-l 127.0.0.1 -p {{port}} -U 0 -t {{cores}} -m {{memory_mb}} -c 2048",
             protocol="memcached", large_values="-I 2m"),
        Kind("aspine", f"{shlex.quote(str(binary))} server --port {{port}} --cores {{cores}} --cpus {{cpus}} "
             f"--max-memory {{memory}} --data-dir {shlex.quote(str(folder))}"),
    ]


def die_with_parent(cpus):
    """What the child does before it becomes the server."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cpus)

    return prepare


class Server:
    """A running server."""

    def __init__(self, kind, port, log, cores=1, memory=None, extra=""):
        self.kind, self.name, self.port = kind, kind.name, port
        self.words = kind.words(port, cores, memory, extra)
        refuse_busy(port)
        with open(log, "ab") as out:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=die_with_parent(set(range(cores))))
        running.append(self)
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.connect().close()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{self.name} did not start: {shlex.join(self.words)}; see {log}") from None
                time.sleep(0.02)
        self.check_identity()

    def check_identity(self):
        """That what answers is the process we started."""
        if self.kind.protocol == "memcached":
            pid = next((line.split()[2] for line in self.ask("stats").splitlines() if line.startswith("STAT pid")), None)
        else:
            found = [line for line in self.ask("INFO", "server").splitlines() if line.startswith("process_id:")]
            pid = found[0].split(":")[1] if found else None
        if pid is not None and int(pid) != self.process.pid:
            raise Failed(f"port {self.port}: process {pid.strip()} answers in place of {self.name} "
                         f"({self.process.pid}); stop it, or choose others with --port-base")

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=REPLY_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, *words):
        """One command; its whole reply as text."""
        with self.connect() as connection, connection.makefile("rb") as replies:
            if self.kind.protocol == "memcached":
                connection.sendall(" ".join(words).encode() + b"\r\n")
                return memcached_reply(replies)
            connection.sendall(encode(words))
            return resp_reply(replies)

    def has_command(self, name):
        """Whether it knows a command of Redis."""
        if self.kind.protocol == "memcached":
            return False
        return name.lower() in self.ask("COMMAND", "INFO", name).lower()

    def cpu_s(self):
        """User and system time of the whole process so far, seconds."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def stop(self):
        if self in running:
            running.remove(self)
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def stop_all():
    for server in list(running):
        server.stop()


def refuse_busy(port):
    """Fails if anything listens on a port."""
    with socket.socket() as probe:
        # Connections of an earlier server that are still winding down are no reason.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            raise Failed(f"port {port} is in use ({error.strerror}): a server that is not ours would answer; stop it, or "
                         "choose others with --port-base") from None


def encode(words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


def resp_reply(replies):
    line = replies.readline().rstrip(b"\r\n")
    mark, rest = line[:1], line[1:]
    if mark == b"$":
        return "" if rest == b"-1" else replies.read(int(rest) + 2)[:-2].decode(errors="replace")
    if mark == b"*":
        return "\n".join(resp_reply(replies) for _ in range(max(0, int(rest))))
    if mark not in (b"+", b"-", b":"):
        raise Failed(f"not a reply: {line!r}")
    return line.decode(errors="replace")


def memcached_reply(replies):
    lines = []
    while line := replies.readline().decode(errors="replace").rstrip("\r\n"):
        lines.append(line)
        if line.split(" ", 1)[0] in ("END", "OK", "ERROR", "VERSION", "RESET") or line.startswith(("CLIENT_", "SERVER_")):
            break
    return "\n".join(lines)
