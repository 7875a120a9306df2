"""The client for asyncio."""

from . import _address, _native, _plans
from ._errors import AspineError, CacheMiss, ConnectionError, LockError, TimeoutError
from ._link import Links, Subscription

__all__ = ["AspineClient", "Lock", "Mget", "Namespace", "Pipeline", "RateLimit", "Subscription", "create_client"]

RateLimit = _plans.RateLimit


class _Async(_native.Commands):
    """What takes more than one request, for a client that awaits."""

    # Set by the constructors: _links, _timeout, _serializer.

    @property
    def _is_local(self):
        address = self._links.address
        return address.path is not None or address.host in ("127.0.0.1", "::1", "localhost")

    async def _drive(self, plan):
        import asyncio

        end, clean, given, raised = None, False, None, None
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
                        given = await self._command(*step[1:])
                    elif step[0] == "transaction":
                        given = await self._transaction(step[1])
                    elif step[0] == "sleep":
                        await asyncio.sleep(step[1])
                    else:
                        if end is None:
                            end = await self._links.exclusive()
                        given = await _native.send_all(end.link, *step[1:])
                        for reply in given:
                            if isinstance(reply, AspineError):
                                raise reply
                except AspineError as error:
                    raised = error
        finally:
            plan.close()
            if end is not None:
                self._links.release(end, clean)

    async def fetch(self, key):
        """The value of a key that has to exist: `CacheMiss` if it does not."""
        found = await self.get_many(key)
        if found[0] is None and not await self.exists(key):
            raise CacheMiss(key)
        return found[0]

    def mget(self, *keys):
        """The values of keys, in their order: `async for value in client.mget("a", "b")`, or all by `await`."""
        return Mget(self, keys)

    async def list(self, pattern=None):
        """The keys that match a pattern (`user:*`), each once, in no order."""
        return await self._drive(_plans.scan(self, pattern))

    async def clear(self):
        """Deletes all keys of the server, or of the namespace."""
        return await self._drive(_plans.clear(self))

    async def info(self):
        """What the server knows of itself: `keys`, `memory_usage`, `uptime`, and everything that INFO has."""
        return await self._drive(_plans.info())

    async def save(self, path=None):
        """Has the server take a snapshot. A name is one in its data directory, a path one on this machine."""
        return await self._drive(_plans.save(self, path))

    async def load(self, path=None, *, merge=False):
        """Has the server load a snapshot in place of what there is, or over it. False if there is none."""
        return await self._drive(_plans.load(self, path, merge))

    async def compare_and_set(self, key, expected, value, ttl=None):
        """Stores a value if the key's is the expected one (`None`: if there is no key). Returns whether it did."""
        return await self._drive(_plans.compare_and_set(self, key, expected, value, ttl))

    async def rate_limit(self, name, limit, per=1.0):
        """Counts one more use of a name, at most `limit` in `per` seconds."""
        return await self._drive(_plans.rate_limit(self, name, limit, per))

    def lock(self, name, ttl=10.0, timeout=None):
        """A lock that ends by itself after `ttl` seconds: `async with client.lock("job") as token`."""
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
        """What happens to a key, as dicts with `key`, `event` (`set`, `del`, `expire`, `expired` …) and `timestamp`."""
        name = self._key(key)
        topic = (b"", b"__keyspace@0__:" + name)
        return Subscription(self._links, topic, self._event(_plans.key_text(name[len(self._prefix) :])))

    def subscribe_pattern(self, pattern):
        """What happens to the keys that match a pattern, as `subscribe` has it."""
        prefix = self._prefix
        glob = pattern if isinstance(pattern, bytes) else pattern.encode()
        topic = (b"p", b"__keyspace@0__:" + _plans.escaped(prefix) + glob)
        return Subscription(self._links, topic, self._event(None, len(prefix)))

    @staticmethod
    def _event(key, prefix=0):
        def make(channel, message, timestamp):
            name = key
            if key is None and channel is not None:
                name = _plans.key_text(channel.split(b":", 1)[1][prefix:])
            return {"key": name, "event": message.decode(), "timestamp": timestamp}

        return make

    def messages(self, channel):
        """What is published to a channel, as dicts with `channel`, `message` and `timestamp`."""
        name = channel if isinstance(channel, bytes) else channel.encode()

        def make(_, message, timestamp):
            return {"channel": _plans.key_text(name), "message": self._decode(message), "timestamp": timestamp}

        return Subscription(self._links, (b"", name), make)

    def cached(self, ttl=None, key=None, *, lock_ttl=30.0):
        """A decorator that keeps an async function's results for `ttl` seconds.

        One caller computes, in this process and all others; the others wait for it. A cache that is down is no reason to
        fail: then each computes for itself. `key`: a name in place of the function's, or a function of its arguments.
        """

        def decorate(function):
            return _cached(self, function, ttl, key, lock_ttl)

        return decorate


class AspineClient(_Async):
    """A client of one server, for one event loop at a time. Use it with `async with`, or `connect` and `disconnect`.

    `host` may be a name, an address, the path of a Unix socket or a URL. `authkey`: what the server wants, if it does.
    `timeout`: seconds to wait for a reply; `None` waits however long it takes. `embedded`: a server of this client's own,
    started and ended with it, with `max_size` items or `max_memory` bytes at most; either of them implies it.
    `serializer`: "auto", "raw", "pickle" (which runs what it reads: only where nobody else writes), or an object with
    `dumps` and `loads`. `core_ports`: keys go straight to the core that owns them, where the server has ports for that.
    """

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
        core_ports=True,
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

            if _address.parse(host, port).path is not None or (host, port) != ("127.0.0.1", _address.PORT):
                raise ValueError("max_size, max_memory and persist_path are for an embedded server, which has no host or port")
            self._server = Server(
                max_size=max_size, max_memory=max_memory, persist_path=persist_path, authkey=authkey
            )
            address, authkey = self._server._client_address, self._server.authkey
        elif max_size is not None or max_memory is not None or persist_path is not None:
            raise ValueError("max_size, max_memory and persist_path are for an embedded server")
        else:
            address = _address.parse(host, port)
        self._links = Links(
            address,
            authkey=authkey,
            user=user,
            name=name,
            timeout=timeout,
            connect_timeout=connect_timeout,
            core_ports=core_ports,
        )
        self._timeout, self._serializer = timeout, serializer
        self._setup(self._links.hub, _prefix(namespace), serializer, timeout)

    @classmethod
    def from_url(cls, url, **options):
        """A client for `aspine://[user][:key]@host[:port][?timeout=…]` or `aspine+unix:///path`."""
        return cls(url, **options)

    async def connect(self):
        """Connects now, and starts the embedded server. Requests connect by themselves otherwise."""
        if self._server is not None and not self._server.running:
            import asyncio

            await asyncio.get_running_loop().run_in_executor(None, self._server.start)
        self._links.closed = False
        await self._links.connect()

    async def disconnect(self):
        """Closes the connections, and ends the embedded server."""
        self._links.close()
        if self._server is not None and self._server.running:
            import asyncio

            await asyncio.get_running_loop().run_in_executor(None, self._server.stop)

    close = disconnect

    @property
    def connected(self):
        """Whether there is a connection now."""
        return self._links.main is not None and self._links.main.link.open

    async def __aenter__(self):
        await self.connect()
        return self

    async def __aexit__(self, *_):
        await self.disconnect()

    def __repr__(self):
        return f"<{type(self).__name__} {self._links.address}>"

    def __del__(self):
        links = getattr(self, "_links", None)
        if links is None or links.closed or links.main is None:
            return
        loop = links.loop
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(links.close)
        else:
            links.close()


class Namespace(_Async):
    """A client that puts a name and a colon before every key."""

    def __init__(self, parent, name):
        self._parent = parent
        self._links, self._timeout, self._serializer = parent._links, parent._timeout, parent._serializer
        self._setup(self._links.hub, parent._prefix + _prefix(name), self._serializer, self._timeout)

    def __repr__(self):
        return f"<Namespace {self._prefix!r} of {self._parent!r}>"


def _prefix(namespace):
    if not namespace:
        return b""
    return (namespace.encode() if isinstance(namespace, str) else namespace) + b":"


class Mget:
    """Values to come: iterate it, or await it for all of them in a list."""

    __slots__ = ("_client", "_iterator", "_keys")

    def __init__(self, client, keys):
        self._client, self._keys, self._iterator = client, keys, None

    def __await__(self):
        return self._all().__await__()

    async def _all(self):
        return await self._client.get_many(*self._keys) if self._keys else []

    async def _values(self):
        if self._keys:
            for value in await self._client.get_many(*self._keys):
                yield value

    def __aiter__(self):
        return self._values()

    async def __anext__(self):
        if self._iterator is None:
            self._iterator = self._values()
        return await self._iterator.__anext__()


class Pipeline(_native.Commands):
    """Commands that are collected, in order. Each method returns the pipeline; `execute` the list of results."""

    def __init__(self, client, transaction):
        self._is_transaction = transaction
        self.results = None
        self._setup(client, client._prefix)

    async def execute(self, raise_on_error=True):
        """Sends what was collected. Errors are raised, the first one, or stand in the list."""
        if not len(self):
            self.results = []
            return self.results
        results = await self._execute(self._is_transaction)
        if raise_on_error:
            for result in results:
                if isinstance(result, AspineError):
                    raise result
        self.results = results
        return results

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, *_):
        if kind is None and len(self):
            await self.execute()


class Lock(_plans.LockPlans):
    """A lock over all processes. It ends by itself, so what it guards should check the fencing token."""

    async def acquire(self, timeout=None):
        """Takes it, waiting `timeout` seconds at most if given. Returns whether it is held; `token` says how."""
        return await self._client._drive(self._acquire(timeout))

    async def release(self):
        """Gives it up. False: it had ended before."""
        return await self._client._drive(self._release())

    async def extend(self, ttl=None):
        """Holds it so much longer from now. False: it had ended before."""
        return await self._client._drive(self._extend(ttl))

    async def __aenter__(self):
        if not await self.acquire(self.timeout):
            raise LockError(f"the lock on {self.name!r} was not had within {self.timeout} s")
        return self.token

    async def __aexit__(self, *_):
        await self.release()


def _cached(client, function, ttl, key, lock_ttl):
    import functools

    computing = {}

    async def compute(name, args, kwargs):
        import asyncio

        lock = client.lock(f"cached:{name}", lock_ttl)
        try:
            while not await lock.acquire(timeout=0):
                await asyncio.sleep(_plans.POLL_MAX / 4)
                hit = await client.get(name)
                if hit is not None:
                    return hit[0]
        except (ConnectionError, TimeoutError):
            return await function(*args, **kwargs)
        try:
            hit = await client.get(name)
            if hit is not None:
                return hit[0]
            value = await function(*args, **kwargs)
            await _quietly(client.set(name, [value], ttl))
            return value
        finally:
            await _quietly(lock.release())

    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        import asyncio

        name = _plans.cached_key(function, key, args, kwargs, client._encode)
        try:
            hit = await client.get(name)
        except AspineError:
            return await function(*args, **kwargs)
        if hit is not None:
            return hit[0]
        place = (asyncio.get_running_loop(), name)
        task = computing.get(place)
        if task is None:
            task = computing[place] = asyncio.ensure_future(compute(name, args, kwargs))
            task.add_done_callback(lambda _: computing.pop(place, None))
        # One waiter that is cancelled does not end it for the others.
        return await asyncio.shield(task)

    async def forget(*args, **kwargs):
        """Deletes the result of one call."""
        return await client.delete(_plans.cached_key(function, key, args, kwargs, client._encode)) > 0

    wrapper.forget = forget
    return wrapper


async def _quietly(work):
    """A cache that is down is no reason to fail: the value was computed, and a lock ends by itself."""
    try:
        await work
    except AspineError:
        return


def create_client(*args, **options):
    """As `AspineClient(…)`."""
    return AspineClient(*args, **options)
