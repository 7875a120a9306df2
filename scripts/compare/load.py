"""Load: runs of `aspine bench`, and bulk loading of keys with deadlines, which it can't do alike for all servers."""

import json
import queue
import shlex
import subprocess
import threading

from servers import Failed, die_with_parent

BENCH_S = 300
CHUNK_KEYS = 2000


class Generator:
    """The load generator, pinned; keeps every run's JSON as a line of a file."""

    def __init__(self, binary, cpus, journal):
        self.binary, self.cpus, self.journal = binary, cpus, journal

    def words(self, server, **flags):
        words = [str(self.binary), "bench", f"--target=127.0.0.1:{server.port}", "--json",
                 f"--protocol={server.kind.protocol}", f"--server-pid={server.process.pid}",
                 "--cpus=" + ",".join(str(cpu) for cpu in self.cpus)]
        for name, value in flags.items():
            flag = f"--{name.replace('_', '-')}"
            words.append(flag if value is True else f"{flag}={value}")
        return words

    def start(self, server, **flags):
        return subprocess.Popen(self.words(server, **flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                preexec_fn=die_with_parent(set(self.cpus)))

    def finish(self, server, process):
        """The run's report. A run with errors is a failure: its numbers are of something else."""
        try:
            out, err = process.communicate(timeout=BENCH_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failed(f"{shlex.join(process.args)} did not end") from None
        try:
            report = json.loads(out)
        except ValueError:
            raise Failed(f"{shlex.join(process.args)}: {err.strip() or out.strip()}") from None
        with open(self.journal, "a") as journal:
            journal.write(json.dumps({"server": server.name, "command": process.args, "report": report}) + "\n")
        if process.returncode != 0 or report["errors"] or report["verify_failures"]:
            raise Failed(f"{shlex.join(process.args)}: {report['errors']} errors, {report['verify_failures']} wrong "
                         f"values; {err.strip()}")
        return report

    def run(self, server, **flags):
        return self.finish(server, self.start(server, **flags))

    def plot(self, path, curves):
        """One picture of several percentile files."""
        words = [str(self.binary), "bench", "--plot", str(path), "--plot-only"]
        for label, file in curves:
            words += ["--plot-with", f"{label}={file}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"{shlex.join(words)}: {done.stderr.strip()}")


def bulk_requests(protocol, count, value, expires_at_ms=None):
    """Chunks of SETs of the keys bulk:0 … in a server's protocol, with one deadline for all if there is to be one."""
    if protocol == "memcached":
        at_s = 0 if expires_at_ms is None else expires_at_ms // 1000
        one, end = b"set bulk:%%010d 0 %d %d\r\n%s\r\n" % (at_s, len(value), value), b"STORED\r\n"
    else:
        deadline = b"" if expires_at_ms is None else b"$4\r\nPXAT\r\n$%d\r\n%d\r\n" % (len(str(expires_at_ms)),
                                                                                     expires_at_ms)
        one = (b"*%d\r\n$3\r\nSET\r\n$15\r\nbulk:%%010d\r\n$%d\r\n%s\r\n"
               % (5 if deadline else 3, len(value), value)) + deadline
        end = b"+OK\r\n"
    for start in range(0, count, CHUNK_KEYS):
        keys = range(start, min(start + CHUNK_KEYS, count))
        yield (one * len(keys)) % tuple(keys), end * len(keys)


def bulk_load(server, count, value, expires_at_ms=None):
    """Stores keys over one connection, pipelined; every reply is read, and has to be the right one."""
    # At most so many chunks on their way, so that neither side's buffers grow.
    expected = queue.Queue(maxsize=8)
    wrong = []

    def drain(replies):
        while (end := expected.get()) is not None:
            # Once something is wrong the rest is only taken, so that the sender is not held up.
            if not wrong and (got := replies.read(len(end))) != end:
                wrong.append(got[:100])

    with server.connect() as connection, connection.makefile("rb") as replies:
        reader = threading.Thread(target=drain, args=(replies,))
        reader.start()
        try:
            for chunk, end in bulk_requests(server.kind.protocol, count, value, expires_at_ms):
                if wrong:
                    break
                connection.sendall(chunk)
                expected.put(end)
        finally:
            expected.put(None)
            reader.join()
    if wrong:
        raise Failed(f"{server.name}: bulk loading failed: {wrong[0]!r}")
