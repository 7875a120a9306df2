"""The same client without asyncio: each call waits for its reply. Threads may share one; each call has a connection."""

from . import _address, _native, _plans
from ._errors import AspineError, CacheMiss, ConnectionError, LockError, TimeoutError

__all__ = ["AspineClient", "Lock", "Namespace", "Pipeline", "Subscription", "create_client"]


class _Blocking(_native.Commands):
    """What takes more than one request, for a client that waits."""

    # Set by the constructors: _pool, _options, _address, _timeout, _serializer.

    @property
    def _is_local(self):
        address = self._address
        return address.path is not None or address.host in ("127.0.0.1", "::1", "localhost")

    def _drive(self, plan):
        import time

        held, clean, given, raised = None, False, None, None
        try:
            while True:
                try:
                    step = plan.send(given) if raised is None else plan.throw(raised)
                except StopIteration as done:
                    clean = True
                    return done.value
                given = raised = None
                try:
                    if step[0] == "command":
                        given = self._command(*step[1:])
                    elif step[0] == "transaction":
                        given = self._transaction(step[1])
                    elif step[0] == "sleep":
                        time.sleep(step[1])
                    else:
                        if held is None:
                            held = self._pool.exclusive()
                        given = held.run(*step[1:])
                        for reply in given:
                            if isinstance(reply, AspineError):
                                raise reply
                except AspineError as error:
                    raised = error
        finally:
            plan.close()
            if held is not None:
                held.release(clean)

    def fetch(self, key):
        """The value of a key that has to exist: `CacheMiss` if it does not."""
        [value] = self.get_many(key)
        if value is None and not self.exists(key):
            raise CacheMiss(key)
        return value

    def mget(self, *keys):
        """The values of keys, in their order, as an iterator."""
        return iter(self.get_many(*keys) if keys else [])

    def list(self, pattern=None):
        """The keys that match a pattern (`user:*`), each once, in no order."""
        return self._drive(_plans.scan(self, pattern))

    def clear(self):
        """Deletes all keys of the server, or of the namespace."""
        return self._drive(_plans.clear(self))

    def info(self):
        """What the server knows of itself: `keys`, `memory_usage`, `uptime`, and everything that INFO has."""
        return self._drive(_plans.info())

    def save(self, path=None):
        """Has the server take a snapshot. A name is one in its data directory, a path one on this machine."""
        return self._drive(_plans.save(self, path))

    def load(self, path=None, *, merge=False):
        """Has the server load a snapshot in place of what there is, or over it. False if there is none."""
        return self._drive(_plans.load(self, path, merge))

    def compare_and_set(self, key, expected, value, ttl=None):
        """Stores a value if the key's is the expected one (`None`: if there is no key). Returns whether it did."""
        return self._drive(_plans.compare_and_set(self, key, expected, value, ttl))

    def rate_limit(self, name, limit, per=1.0):
        """Counts one more use of a name, at most `limit` in `per` seconds."""
        return self._drive(_plans.rate_limit(self, name, limit, per))

    def lock(self, name, ttl=10.0, timeout=None):
        """A lock that ends by itself after `ttl` seconds: `with client.lock("job") as token`."""
        return Lock(self, name, ttl, timeout)

    def pipeline(self):
        """Collects commands and sends them at once."""
        return Pipeline(self, transaction=False)

    def transaction(self):
        """Collects commands that the server runs in one step, or not at all."""
        return Pipeline(self, transaction=True)

    def namespace(self, name):
        """The same server and connections, with `name:` before every key."""
        return Namespace(self, name)

    def subscribe(self, key):
        """What happens to a key, as dicts with `key`, `event` and `timestamp`."""
        return Subscription(self, "subscribe", key)

    def subscribe_pattern(self, pattern):
        """What happens to the keys that match a pattern, as `subscribe` has it."""
        return Subscription(self, "subscribe_pattern", pattern)

    def messages(self, channel):
        """What is published to a channel, as dicts with `channel`, `message` and `timestamp`."""
        return Subscription(self, "messages", channel)

    def cached(self, ttl=None, key=None, *, lock_ttl=30.0):
        """A decorator that keeps a function's results for `ttl` seconds. One caller computes, the others wait for it; a
        cache that is down is no reason to fail."""

        def decorate(function):
            return _cached(self, function, ttl, key, lock_ttl)

        return decorate


class AspineClient(_Blocking):
    """A client of one server. The arguments are those of `aspine.AspineClient`."""

    def __init__(
        self,
        host="127.0.0.1",
        port=_address.PORT,
        authkey=None,
        max_size=None,
        persist_path=None,
        timeout=5.0,
        *,
        max_memory=None,
        embedded=None,
        serializer=None,
        namespace=None,
        connect_timeout=5.0,
        user=None,
        name=None,
    ):
        if _address.is_url(host):
            options = _address.parse_url(host)
            host, port = options.get("host", host), options.get("port", port)
            authkey, user = options.get("authkey", authkey), options.get("user", user)
            timeout = options.get("timeout", timeout)
            connect_timeout = options.get("connect_timeout", connect_timeout)
            namespace, serializer = options.get("namespace", namespace), options.get("serializer", serializer)
            name = options.get("name", name)
        if embedded is None:
            embedded = max_size is not None or max_memory is not None or persist_path is not None
        self._server = None
        if embedded:
            from .server import Server

            if (host, port) != ("127.0.0.1", _address.PORT):
                raise ValueError("max_size, max_memory and persist_path are for an embedded server, which has no host or port")
            self._server = Server(
                max_size=max_size, max_memory=max_memory, persist_path=persist_path, authkey=authkey
            )
            self._address, authkey = self._server._client_address, self._server.authkey
        elif max_size is not None or max_memory is not None or persist_path is not None:
            raise ValueError("max_size, max_memory and persist_path are for an embedded server")
        else:
            self._address = _address.parse(host, port)
        key = authkey.encode() if isinstance(authkey, str) else authkey
        self._options = {
            "authkey": authkey, "timeout": timeout, "connect_timeout": connect_timeout, "user": user, "name": name
        }  # fmt: skip
        self._pool = _native.Pool(str(self._address), timeout, connect_timeout, key, user, name)
        self._timeout, self._serializer = timeout, serializer
        prefix = namespace.encode() + b":" if namespace else b""
        self._setup(self._pool, prefix, serializer)

    @classmethod
    def from_url(cls, url, **options):
        """A client for `aspine://[user][:key]@host[:port][?timeout=…]` or `aspine+unix:///path`."""
        return cls(url, **options)

    def connect(self):
        """Connects now, and starts the embedded server. Requests connect by themselves otherwise."""
        if self._server is not None:
            self._server.start()
        self._pool.connect()

    def disconnect(self):
        """Closes the connections, and ends the embedded server."""
        self._pool.close()
        if self._server is not None:
            self._server.stop()

    close = disconnect

    def __enter__(self):
        self.connect()
        return self

    def __exit__(self, *_):
        self.disconnect()

    def __repr__(self):
        return f"<aspine.blocking.{type(self).__name__} {self._address}>"


class Namespace(_Blocking):
    """A client that puts a name and a colon before every key."""

    def __init__(self, parent, name):
        self._parent = parent
        self._pool, self._options, self._address = parent._pool, parent._options, parent._address
        self._timeout, self._serializer = parent._timeout, parent._serializer
        prefix = name.encode() if isinstance(name, str) else name
        self._setup(self._pool, parent._prefix + prefix + b":", self._serializer)


class Pipeline(_native.Commands):
    """Commands that are collected, in order. Each method returns the pipeline; `execute` the list of results."""

    def __init__(self, client, transaction):
        self._is_transaction = transaction
        self.results = None
        self._setup(client, client._prefix)

    def execute(self, raise_on_error=True):
        """Sends what was collected. Errors are raised, the first one, or stand in the list."""
        if not len(self):
            self.results = []
            return self.results
        results = self._execute(self._is_transaction)
        if raise_on_error:
            for result in results:
                if isinstance(result, AspineError):
                    raise result
        self.results = results
        return results

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None and len(self):
            self.execute()


class Lock(_plans.LockPlans):
    """A lock over all processes. It ends by itself, so what it guards should check the fencing token."""

    def acquire(self, timeout=None):
        """Takes it, waiting `timeout` seconds at most if given. Returns whether it is held; `token` says how."""
        return self._client._drive(self._acquire(timeout))

    def release(self):
        """Gives it up. False: it had ended before."""
        return self._client._drive(self._release())

    def extend(self, ttl=None):
        """Holds it so much longer from now. False: it had ended before."""
        return self._client._drive(self._extend(ttl))

    def __enter__(self):
        if not self.acquire(self.timeout):
            raise LockError(f"the lock on {self.name!r} was not had within {self.timeout} s")
        return self.token

    def __exit__(self, *_):
        self.release()


class Subscription:
    """What happens, as an iterator with a connection of its own. `with` or `close` ends it."""

    def __init__(self, client, method, *args):
        import asyncio

        from .client import AspineClient as Async

        self._loop = asyncio.new_event_loop()
        address = client._address
        self._client = Async(
            address.path if address.path is not None else address.host,
            address.port,
            serializer=client._serializer,
            namespace=client._prefix[:-1],
            core_ports=False,
            **client._options,
        )
        try:
            self._events = self._run(self._start(method, args))
        except BaseException:
            self._loop.close()
            raise

    async def _start(self, method, args):
        await self._client.connect()
        events = getattr(self._client, method)(*args)
        await events.ready()
        return events

    def _run(self, work):
        return self._loop.run_until_complete(work)

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self._run(self._events.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def get(self, timeout=None):
        """The next one, or `None` if there is none within so many seconds."""
        import asyncio

        try:
            return self._run(asyncio.wait_for(self._events.__anext__(), timeout))
        except asyncio.TimeoutError:
            return None

    def close(self):
        """Ends it."""
        if not self._loop.is_closed():
            self._run(self._client.disconnect())
            self._loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _cached(client, function, ttl, key, lock_ttl):
    import functools
    import threading
    import time

    computing, guard = {}, threading.Lock()

    def fresh(name, args, kwargs):
        lock = client.lock(f"cached:{name}", lock_ttl)
        try:
            while not lock.acquire(timeout=0):
                time.sleep(_plans.POLL_MAX / 4)
                hit = client.get(name)
                if hit is not None:
                    return hit[0]
        except (ConnectionError, TimeoutError):
            return function(*args, **kwargs)
        try:
            hit = client.get(name)
            if hit is not None:
                return hit[0]
            value = function(*args, **kwargs)
            _quietly(client.set, name, [value], ttl)
            return value
        finally:
            _quietly(lock.release)

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        name = _plans.cached_key(function, key, args, kwargs, client._encode)
        try:
            hit = client.get(name)
        except AspineError:
            return function(*args, **kwargs)
        if hit is not None:
            return hit[0]
        with guard:
            turn = computing.setdefault(name, [threading.Lock(), 0])
            turn[1] += 1
        try:
            with turn[0]:
                return fresh(name, args, kwargs)
        finally:
            with guard:
                turn[1] -= 1
                if turn[1] == 0:
                    computing.pop(name, None)

    def forget(*args, **kwargs):
        """Deletes the result of one call."""
        return client.delete(_plans.cached_key(function, key, args, kwargs, client._encode)) > 0

    wrapper.forget = forget
    return wrapper


def _quietly(call, *args):
    """A cache that is down is no reason to fail: the value was computed, and a lock ends by itself."""
    try:
        call(*args)
    except AspineError:
        return


def create_client(*args, **options):
    """As `AspineClient(…)`."""
    return AspineClient(*args, **options)
