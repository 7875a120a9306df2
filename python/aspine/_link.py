"""The sockets of an asyncio client: made, greeted, watched, and made again.

The extension's `Connection` moves the bytes; here is what happens once a connection, not once a request.
"""

import os
import time
import weakref

from . import _address, _native
from ._errors import AspineError, ConnectionError, ProtocolError

# Seconds until a lost connection is tried again: at first, and at most.
BACKOFF_FIRST = 0.005
BACKOFF_MAX = 1.0
# Events a subscriber may leave unread; then the oldest go, and it is told so.
EVENTS_MAX = 65536

_all = weakref.WeakSet()


def _after_fork():
    """In a child: its copies of the sockets are closed without a word, and its clients connect anew."""
    for links in list(_all):
        links.abandon("the process was forked")


os.register_at_fork(after_in_child=_after_fork)


class End:
    """One connection and what it needs to come back."""

    def __init__(self, links, address):
        self.address = address
        self.link = _native.Connection(links.loop, weakref.ref(links))
        self.sock = None
        self.task = None

    def close_socket(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None


class Links:
    """All connections of one client, in one event loop at a time."""

    def __init__(self, address, *, authkey, user, name, timeout, connect_timeout, core_ports):
        self.address = address
        self.authkey, self.user, self.name = authkey, user, name
        self.timeout, self.connect_timeout = timeout, connect_timeout
        self.core_ports = core_ports
        self.hub = _native.Hub(weakref.ref(self))
        self.loop = None
        self.main = None
        self.cores = []
        self.idle = []
        self.closed = False
        self.greeted = False
        self.channels = {}
        _all.add(self)

    # -- the loop --

    def _bind(self, running):
        """Makes this client one of the running loop. Called when a request comes from a loop that is not its own."""
        if running is None:
            raise RuntimeError("no event loop is running: await this client inside of one, or use aspine.blocking")
        if self.closed:
            raise ConnectionError("the client is closed")
        if self.loop is running and self.main is not None:
            return
        if self.loop is not None and self.loop.is_running():
            raise RuntimeError("this client is in use in another event loop; each loop needs a client of its own")
        if self.main is not None:
            self.abandon("the event loop was closed")
        self.loop = running
        self.main = End(self, self.address)
        self.hub.set_links(self.main.link, [])

    def bind_here(self):
        import asyncio

        self._bind(asyncio.get_running_loop())

    def ends(self):
        return [end for end in [self.main, *self.cores] if end is not None]

    def find(self, link):
        return next((end for end in self.ends() if end.link is link), None)

    def abandon(self, why):
        """Gives all sockets up without a word to the loop."""
        ends, self.main, self.cores, self.greeted = self.ends(), None, [], False
        idle, self.idle = self.idle, []
        self.loop = None
        self.hub.set_links(None, [])
        for end in [*ends, *idle]:
            end.link.abandon(lambda: ConnectionError(why, True))
            end.close_socket()
        for events in [events for group in self.channels.values() for events in group]:
            events.end(ConnectionError(why))
        self.channels = {}

    def close(self):
        """Closes all connections; what waits fails."""
        self.closed = True
        loop = self.loop
        if loop is None or loop.is_closed():
            self.abandon("the client is closed")
            return
        ends, self.main, self.cores = self.ends(), None, []
        idle, self.idle = self.idle, []
        self.hub.set_links(None, [])
        self.loop = None
        for end in [*ends, *idle]:
            if end.task is not None:
                end.task.cancel()
            end.link.close(lambda: ConnectionError("the client was closed"))
            end.close_socket()
        for events in [events for group in self.channels.values() for events in group]:
            events.end(None)
        self.channels = {}

    # -- what the extension tells --

    def _on_need(self, link):
        """A request waits and there is no connection."""
        end = self.find(link)
        if end is not None:
            self.come_back(end)

    def _on_lost(self, link, cause):
        end = self.find(link)
        if end is None:
            return
        end.close_socket()
        for events in [events for group in self.channels.values() for events in group]:
            if end is self.main:
                events.gap()
        if not self.closed and (link.waiting or (end is self.main and self.channels)):
            self.come_back(end)

    def _on_push(self, link, items):
        kind = items[0]
        if kind in (b"message", b"smessage"):
            self.tell((b"", items[1]), items[1], items[2])
        elif kind == b"pmessage":
            self.tell((b"p", items[1]), items[2], items[3])

    def tell(self, topic, channel, message):
        for events in self.channels.get(topic, ()):
            events.put(channel, message)

    # -- connecting --

    def come_back(self, end):
        """Connects in the background, again and again while something waits."""
        if end.task is None or end.task.done():
            # A task of its own, so that whoever is cancelled does not end it for the others.
            end.task = self.loop.create_task(self.reconnect(end))

    async def reconnect(self, end):
        import asyncio
        import random

        delay = BACKOFF_FIRST
        while not self.closed and (end.link.waiting or (end is self.main and self.channels)):
            try:
                await self.open(end)
                return
            except (AspineError, OSError) as error:
                known = isinstance(error, AspineError) and not isinstance(error, ConnectionError)
                if known or not self.greeted:
                    # It will not get better by itself, or nothing has ever been there.
                    end.link.fail(lambda: copy(error))
                    return
                if end is not self.main and self.main is not None:
                    # The one port answers for every core; it says anew which cores there are.
                    end.link.fail(lambda: copy(error))
                    return
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, BACKOFF_MAX)

    async def open(self, end):
        """Connects one end, if it is not."""
        if end.link.open:
            return
        sock, ports = await self.dial(end.address)
        if self.closed or end not in self.ends() or end.link.open:
            sock.close()
            return
        end.sock = sock
        end.link.attach(sock.fileno())
        if end is self.main:
            self.greeted = True
            await self.subscribe_again()
            self.set_cores(ports)

    async def connect(self):
        """Connects the main end now, so that an error is told now."""
        self.bind_here()
        await self.open(self.main)
        for end in self.cores:
            try:
                await self.open(end)
            except (AspineError, OSError):
                # The one port answers for that core too.
                continue

    def set_cores(self, ports):
        if not self.core_ports or self.address.path is not None:
            ports = []
        if [end.address.port for end in self.cores] == ports:
            for end in self.cores:
                self.warm(end)
            return
        old, self.cores = self.cores, [End(self, _address.Address(self.address.host, port)) for port in ports]
        self.hub.set_links(self.main.link, [end.link for end in self.cores])
        for end in old:
            end.link.close(lambda: ConnectionError("the server has other cores now", True))
            end.close_socket()
        for end in self.cores:
            self.warm(end)

    def warm(self, end):
        async def attempt():
            try:
                await self.open(end)
            except (AspineError, OSError):
                # Until it can be reached, the one port answers for it.
                return

        if not end.link.open and (end.task is None or end.task.done()):
            end.task = self.loop.create_task(attempt())

    async def dial(self, address):
        """A socket that is connected and greeted, and the ports of the server's cores."""
        import asyncio

        try:
            return await asyncio.wait_for(self._dial(address), self.connect_timeout)
        except asyncio.TimeoutError:
            raise ConnectionError(f"no connection to {address} within {self.connect_timeout} s") from None
        except OSError as error:
            if isinstance(error, AspineError):
                raise
            raise ConnectionError(f"no connection to {address}: {error.strerror or error}") from error

    async def _dial(self, address):
        loop = self.loop
        sock = await self.reach(address)
        try:
            greeting = _native.encode_command(_address.greeting(self.authkey, self.user, self.name))
            await loop.sock_sendall(sock, greeting + _native.encode_command(["ASPINE.CORES"]))
            received, replies = b"", []
            while len(replies) < 2:
                more = await loop.sock_recv(sock, 65536)
                if not more:
                    raise ConnectionError(f"{address} has closed the connection instead of greeting")
                received += more
                replies, _ = _native.decode_replies(received)
            hello, cores = replies
            if isinstance(hello, AspineError) and str(hello).startswith(("NOPROTO", "ERR unknown command")):
                raise ProtocolError(f"{address} does not speak RESP3; Redis does from 6.0 on")
            return sock, _address.core_ports(hello, cores)
        except BaseException:
            sock.close()
            raise

    async def reach(self, address):
        import socket

        loop = self.loop
        if address.path is not None:
            places = [(socket.AF_UNIX, address.path)]
        else:
            places = await self.resolve(address)
        error = OSError(f"{address.host} has no address")
        for family, place in places:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                sock.setblocking(False)
                await loop.sock_connect(sock, place)
                if family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                return sock
            except OSError as failed:
                error = failed
                sock.close()
            except BaseException:
                sock.close()
                raise
        raise error

    async def resolve(self, address):
        """Family and place of each address of a host. What is an address already needs no thread to find it."""
        import socket

        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, address.host)
                return [(family, (address.host, address.port))]
            except OSError:
                continue
        found = await self.loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        return [(family, place) for family, _, _, _, place in found]

    # -- a connection for one holder alone --

    async def exclusive(self):
        self.bind_here()
        while self.idle:
            end = self.idle.pop()
            if end.link.open:
                return end
            end.close_socket()
        end = End(self, self.address)
        sock, _ = await self.dial(self.address)
        end.sock = sock
        end.link.attach(sock.fileno())
        return end

    def release(self, end, clean):
        if clean and not self.closed and end.link.open and end.link.event_loop is self.loop:
            self.idle.append(end)
        else:
            end.link.close(lambda: ConnectionError("the client was closed"))
            end.close_socket()

    # -- subscriptions --

    def listen(self, events):
        """Adds a subscriber, and returns what tells that the server knows of it."""
        self.bind_here()
        group = self.channels.setdefault(events.topic, [])
        group.append(events)
        pattern, channel = events.topic
        # Asked for again by each, so that each knows when it is in force.
        return self.send_fenced([b"PSUBSCRIBE" if pattern else b"SUBSCRIBE", channel])

    def send_fenced(self, words):
        return _native.send_fenced(self.main.link, words, self.timeout)

    def forget(self, events):
        group = self.channels.get(events.topic)
        if group is None or events not in group:
            return None
        group.remove(events)
        if group:
            return None
        del self.channels[events.topic]
        if self.main is None or not self.main.link.open:
            return None
        pattern, channel = events.topic
        return self.send_fenced([b"PUNSUBSCRIBE" if pattern else b"UNSUBSCRIBE", channel])

    async def subscribe_again(self):
        for pattern, channel in list(self.channels):
            await self.send_fenced([b"PSUBSCRIBE" if pattern else b"SUBSCRIBE", channel])


def copy(error):
    """An exception like this one, so that each waiter has its own traceback."""
    made = type(error)(*error.args)
    made.__dict__.update(error.__dict__)
    made.__cause__ = error.__cause__
    return made


class Subscription:
    """What happens, as an async iterator. `async with`, `break` or `aclose` ends it; so does closing the client.

    After a connection was lost and made again, an event named `gap` says that others may have been missed.
    """

    def __init__(self, links, topic, make):
        from collections import deque

        self.topic = topic
        self._links = links
        self._make = make
        self._ready = deque(maxlen=EVENTS_MAX)
        self._waiter = None
        self._ended = False
        self._error = None
        self._confirmed = None
        self._start()

    def _start(self):
        self._confirmed = self._links.listen(self)

    async def ready(self):
        """Waits until the server knows: what happens from now on is told."""
        confirmed, self._confirmed = self._confirmed, None
        if confirmed is not None:
            await confirmed

    def put(self, channel, message):
        if len(self._ready) == EVENTS_MAX:
            self._ready.popleft()
            self.gap()
        self._ready.append(self._make(channel, message, time.time()))
        self._wake()

    def gap(self):
        self._ready.append(self._make(None, b"gap", time.time()))
        self._wake()

    def end(self, error):
        self._ended, self._error = True, error
        self._wake()

    def _wake(self):
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self):
        return self

    async def __anext__(self):
        await self.ready()
        while not self._ready:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._waiter = self._links.loop.create_future()
            await self._waiter
        return self._ready.popleft()

    async def aclose(self):
        """Ends it."""
        if self._ended:
            return
        self.end(None)
        forgotten = self._links.forget(self)
        if forgotten is not None:
            await forgotten

    async def __aenter__(self):
        await self.ready()
        return self

    async def __aexit__(self, *_):
        await self.aclose()
