"""What takes several requests, written once for the client that awaits and the one that waits.

Each plan is a generator: it yields what is to be sent and is given what came. `client` drives it with `await`,
`blocking` without.

| yields | is given |
|---|---|
| `("command", words, kind, reads)` | the reply, as `kind` says |
| `("transaction", [words, …])` | the replies as they came |
| `("exclusive", [words, …], timeout)` | the same, from a connection that nobody else uses meanwhile |
| `("sleep", seconds)` | |
"""

import os
import time

from ._errors import AspineError, LockError, ServerError

SCAN_KEYS = 1000
# Seconds between two tries for what another holds: at first, and at most.
POLL_FIRST = 0.005
POLL_MAX = 0.1


def command(*words, kind="any", reads=False):
    return ("command", list(words), kind, reads)


def escaped(prefix):
    """A prefix as the start of a pattern that matches nothing else."""
    out = bytearray()
    for byte in prefix:
        if byte in b"*?[]\\^":
            out += b"\\"
        out.append(byte)
    return bytes(out)


def key_text(key):
    """A key as `str`, or as bytes if it is no text."""
    try:
        return key.decode()
    except UnicodeDecodeError:
        return key


def scan(client, pattern):
    """All keys that match, each once, without the namespace."""
    prefix = client._prefix
    pattern = b"*" if pattern is None else pattern if isinstance(pattern, bytes) else pattern.encode()
    cursor, found = b"0", {}
    while True:
        cursor, keys = yield command(
            b"SCAN", cursor, b"MATCH", escaped(prefix) + pattern, b"COUNT", SCAN_KEYS, reads=True
        )
        found.update(dict.fromkeys(keys))
        if cursor == b"0":
            return [key_text(key[len(prefix) :]) for key in found]


def clear(client):
    prefix = client._prefix
    if not prefix:
        return (yield command("FLUSHALL", kind="truth"))
    cursor = b"0"
    while True:
        cursor, keys = yield command(b"SCAN", cursor, b"MATCH", escaped(prefix) + b"*", b"COUNT", SCAN_KEYS)
        if keys:
            yield command(b"UNLINK", *keys)
        if cursor == b"0":
            return True


def number(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def info():
    text = yield command("INFO", kind="text", reads=True)
    lines = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    fields = {name: number(value) for name, value in lines}
    databases = fields.get("db0", "")
    if "keys" not in fields:
        fields["keys"] = int(databases.split("keys=")[1].split(",")[0]) if "keys=" in str(databases) else 0
    # What the items take; Redis has no such field.
    fields.setdefault("memory_usage", fields.get("used_memory", 0))
    fields["uptime"] = fields.get("uptime_in_seconds", 0)
    return fields


def directory(client):
    """The server's data directory, if it is on this machine."""
    fields = yield from info()
    [(_, name)] = (yield command("CONFIG", "GET", "dir", reads=True)).items()
    path = os.fsdecode(name)
    if not os.path.isabs(path):
        path = os.path.join(os.readlink(f"/proc/{fields['process_id']}/cwd"), path)
    if not client._is_local:
        raise ValueError("a path is for a server on this machine; elsewhere a snapshot has a name, without a folder")
    return path


def save(client, path):
    """SAVE. A bare name is one in the server's data directory; a path is where the snapshot goes on this machine."""
    import shutil

    if path is None:
        yield ("exclusive", [["SAVE"]], None)
        return True
    path = os.fspath(path)
    if os.path.dirname(path) == "":
        yield ("exclusive", [["SAVE", path]], None)
        return True
    folder = yield from directory(client)
    name = f"python-{os.urandom(8).hex()}"
    yield ("exclusive", [["SAVE", name]], None)
    shutil.move(os.path.join(folder, name), path)
    return True


def load(client, path, merge):
    """ASPINE.LOAD, as `save` has names and paths. False if there is no such snapshot."""
    import shutil

    how = "MERGE" if merge else "REPLACE"
    if path is None:
        words = ["ASPINE.LOAD", how]
    elif os.path.dirname(os.fspath(path)) == "":
        words = ["ASPINE.LOAD", os.fspath(path), how]
    else:
        if not os.path.exists(path):
            return False
        folder = yield from directory(client)
        os.makedirs(folder, exist_ok=True)
        name = f"python-{os.urandom(8).hex()}"
        copied = os.path.join(folder, name)
        shutil.copyfile(path, copied)
        try:
            yield ("exclusive", [["ASPINE.LOAD", name, how]], None)
        finally:
            os.unlink(copied)
        return True
    try:
        yield ("exclusive", [words], None)
    except ServerError as error:
        if "no snapshot yet" in str(error) or "no such file" in str(error).lower():
            return False
        raise
    return True


def same(stored, expected):
    return type(stored) is type(expected) and stored == expected


def compare_and_set(client, key, expected, value, ttl):
    """Stores a value if the key's is the expected one; `None` expects that there is no key."""
    key = client._key(key)
    _, stored = yield ("exclusive", [["WATCH", key], ["GET", key]], client._timeout)
    there = None if stored is None else client._decode(stored)
    if not (stored is None if expected is None else stored is not None and same(there, expected)):
        yield ("exclusive", [["UNWATCH"]], client._timeout)
        return False
    write = ["SET", key, client._encode(value)]
    if ttl is not None:
        write += ["PX", millis(ttl)]
    *_, done = yield ("exclusive", [["MULTI"], write, ["EXEC"]], client._timeout)
    return done is not None


def millis(ttl):
    seconds = ttl.total_seconds() if hasattr(ttl, "total_seconds") else ttl
    if seconds <= 0:
        raise ValueError("a ttl is more than 0")
    return max(1, round(seconds * 1000))


def if_owner(client, key, owner, write):
    """Runs a command if the key holds these bytes."""
    _, stored = yield ("exclusive", [["WATCH", key], ["GET", key]], client._timeout)
    if stored != owner:
        yield ("exclusive", [["UNWATCH"]], client._timeout)
        return False
    *_, done = yield ("exclusive", [["MULTI"], write, ["EXEC"]], client._timeout)
    return done is not None


def rate_limit(client, name, limit, per):
    """Counts one more in a window that begins with its first; the count, and milliseconds to its end."""
    key = client._key(f"aspine:rate:{name}")
    _, count, left = yield (
        "transaction",
        [["SET", key, 0, "NX", "PX", millis(per)], ["INCR", key], ["PTTL", key]],
    )
    return RateLimit(count <= limit, max(0, limit - count), max(0, left) / 1000)


class RateLimit(tuple):
    """Whether it is `allowed`, how many more are (`remaining`), and seconds until the window ends (`reset_after`)."""

    __slots__ = ()

    def __new__(cls, allowed, remaining, reset_after):
        return super().__new__(cls, (allowed, remaining, reset_after))

    allowed = property(lambda self: self[0])
    remaining = property(lambda self: self[1])
    reset_after = property(lambda self: self[2])

    def __bool__(self):
        return self.allowed

    def __repr__(self):
        return f"RateLimit(allowed={self[0]}, remaining={self[1]}, reset_after={self[2]})"


class LockPlans:
    """What both kinds of lock do. `token` is the fencing token: larger with each holder."""

    def __init__(self, client, name, ttl, timeout):
        self.name, self.ttl, self.timeout = name, ttl, timeout
        self.token = None
        self._client = client
        self._owner = None
        # One slot for both, so that taking the lock is one core's work.
        self._key = client._key(f"aspine:lock:{{{name}}}")
        self._fence = client._key(f"aspine:fence:{{{name}}}")
        self._millis = millis(ttl)

    def _take(self):
        """One try. The token is drawn in the step that takes the lock, so that their orders are the same. It begins at the
        time in microseconds, so that it goes on from there if the counter was evicted."""
        owner = os.urandom(16)
        _, taken, token = yield (
            "transaction",
            [
                ["SET", self._fence, time.time_ns() // 1000, "NX"],
                ["SET", self._key, owner, "NX", "PX", self._millis],
                ["INCR", self._fence],
            ],
        )
        if taken is None:
            return False
        if isinstance(token, AspineError):
            raise token
        self._owner, self.token = owner, token
        return True

    def _acquire(self, timeout):
        """Tries until it is had: `timeout` seconds, or however long it takes."""
        import random

        if self._owner is not None:
            raise LockError(f"this lock on {self.name!r} is held")
        end = None if timeout is None else time.monotonic() + timeout
        delay = POLL_FIRST
        while not (yield from self._take()):
            left = delay if end is None else end - time.monotonic()
            if left <= 0:
                return False
            yield ("sleep", min(left, delay * random.uniform(0.5, 1.0)))
            delay = min(delay * 2, POLL_MAX)
        return True

    def _release(self):
        owner, self._owner, self.token = self._owner, None, None
        if owner is None:
            return False
        return (yield from if_owner(self._client, self._key, owner, ["DEL", self._key]))

    def _extend(self, ttl):
        if self._owner is None:
            return False
        left = self._millis if ttl is None else millis(ttl)
        return (yield from if_owner(self._client, self._key, self._owner, ["PEXPIRE", self._key, left]))


def cached_key(function, key, args, kwargs, encode):
    """The key of one call: the function's name and a hash of its arguments, the same in every process."""
    import hashlib

    if callable(key):
        return key(*args, **kwargs)
    name = key if key is not None else f"{function.__module__}.{function.__qualname__}"
    arguments = encode([list(args), [[name, kwargs[name]] for name in sorted(kwargs)]])
    return f"aspine:cached:{name}:{hashlib.blake2b(arguments, digest_size=16).hexdigest()}"
