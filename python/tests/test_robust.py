"""What goes wrong around a client: loops that close, cancelled awaits, forks, killed servers, late replies, exits."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest

import aspine
from aspine._address import Address

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


def run(script, server, *, timeout=60):
    """A Python of its own, under faulthandler; its output, which must not tell of anything unexpected."""
    preamble = f"import aspine, asyncio, os, sys\nSOCKET, KEY = {server.unixsocket!r}, {server.authkey!r}\n"
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-c", preamble + textwrap.dedent(script)]
    done = subprocess.run(command, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


class Fake:
    """A server that greets, and then answers only what the test wants."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.address = self.listener.getsockname()
        self.conns = []

    async def accept(self):
        loop = asyncio.get_running_loop()
        self.listener.setblocking(False)
        conn, _ = await loop.sock_accept(self.listener)
        conn.setblocking(False)
        self.conns.append(conn)
        got = b""
        while b"ASPINE.CORES" not in got:
            got += await loop.sock_recv(conn, 4096)
        await loop.sock_sendall(conn, b"%0\r\n-ERR unknown command\r\n")
        return conn

    async def read(self, conn, until):
        got = b""
        while until not in got:
            more = await asyncio.get_running_loop().sock_recv(conn, 65536)
            assert more
            got += more
        return got

    def close(self):
        self.listener.close()
        for conn in self.conns:
            conn.close()


@pytest.fixture
def fake():
    fake = Fake()
    yield fake
    fake.close()


async def connected(fake, **options):
    client = aspine.AspineClient(*fake.address, **options)
    conn, _ = await asyncio.gather(fake.accept(), client.connect())
    return client, conn


# -- awaiting --


@pytest.mark.asyncio
async def test_replies_are_futures_and_coroutines(client):
    await client.set("k", 1)
    assert await asyncio.gather(client.get("k"), client.get("no"), client.ttl("k")) == [1, None, -1]
    assert await asyncio.create_task(client.get("k")) == 1
    assert await asyncio.wait_for(client.get("k"), 5) == 1
    assert await asyncio.shield(client.get("k")) == 1
    done, pending = await asyncio.wait([asyncio.create_task(client.get("k"))])
    assert [task.result() for task in done] == [1] and not pending
    assert [await each for each in asyncio.as_completed([client.get("k")])] == [1]
    reply = client.get("k")
    assert asyncio.isfuture(reply) and asyncio.iscoroutine(reply)
    with pytest.raises(asyncio.InvalidStateError):
        reply.result()
    called = asyncio.Event()
    reply.add_done_callback(lambda _: called.set())
    await called.wait()
    assert reply.done() and reply.result() == 1 and reply.exception() is None
    assert await reply == 1, "it may be awaited again"
    failed = client.incr("text") if await client.set("text", "x") else None
    with pytest.raises(aspine.ServerError, match="integer"):
        await failed
    assert isinstance(failed.exception(), aspine.ServerError)
    results = await asyncio.gather(client.incr("text"), client.get("k"), return_exceptions=True)
    assert isinstance(results[0], aspine.ServerError) and results[1] == 1
    assert isinstance(results[0], aspine.AspineError) and results[0].code == "ERR"


@pytest.mark.asyncio
async def test_a_callback_that_fails_is_told_to_the_loop(client):
    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.set_result(context))
    reply = client.get("k")
    reply.add_done_callback(lambda _: 1 / 0)
    await reply
    assert isinstance((await told)["exception"], ZeroDivisionError)


@pytest.mark.asyncio
async def test_values_that_are_tuples_or_exceptions_come_as_they_are(client):
    for value in [(), (1, 2), ((),)]:
        await client.set("k", value)
        assert await client.get("k") == value


@pytest.mark.asyncio
async def test_ten_thousand_tasks(client):
    async def one(number):
        await client.set(f"k{number}", number)
        return await client.get(f"k{number}")

    assert await asyncio.gather(*[one(number) for number in range(10_000)]) == list(range(10_000))


@pytest.mark.asyncio
async def test_context_variables_are_the_tasks_own(client):
    import contextvars

    name = contextvars.ContextVar("name")

    async def one(number):
        name.set(number)
        for _ in range(5):
            await client.get("k")
            assert name.get() == number

    await asyncio.gather(*[one(number) for number in range(50)])


# -- cancelling --


@pytest.mark.asyncio
async def test_a_cancelled_await_leaves_the_others_theirs(fake):
    client, conn = await connected(fake)
    loop = asyncio.get_running_loop()
    tasks = [asyncio.ensure_future(client.get(name)) for name in "abc"]
    waiting = asyncio.create_task(tasks_of(client))
    await fake.read(conn, b"$1\r\nd\r\n")
    assert tasks[1].cancel()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await loop.sock_sendall(conn, b"$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n")
    assert await tasks[0] == 1 and await tasks[2] == 3
    assert tasks[1].cancelled()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    await client.disconnect()


async def tasks_of(client):
    return await client.get("d")


@pytest.mark.asyncio
async def test_gather_takes_a_cancelled_reply(fake):
    client, conn = await connected(fake)
    replies = [client.get("a"), client.get("b")]
    gathered = asyncio.gather(*replies, return_exceptions=True)
    await fake.read(conn, b"$1\r\nb\r\n")
    replies[0].cancel("enough")
    await asyncio.get_running_loop().sock_sendall(conn, b"$1\r\n1\r\n$1\r\n2\r\n")
    first, second = await gathered
    assert isinstance(first, asyncio.CancelledError) and second == 2
    await client.disconnect()


# -- late, broken, gone --


@pytest.mark.asyncio
async def test_a_late_reply_is_nobody_elses(fake):
    client, conn = await connected(fake, timeout=0.1)
    with pytest.raises(aspine.TimeoutError) as raised:
        await client.get("late")
    assert raised.value.may_have_run and isinstance(raised.value, TimeoutError)
    await fake.read(conn, b"late\r\n")
    following = client.get("next")
    await fake.read(conn, b"next\r\n")
    await asyncio.get_running_loop().sock_sendall(conn, b"$4\r\nlate\r\n$4\r\nnext\r\n")
    assert await following == "next"
    await client.disconnect()


@pytest.mark.asyncio
async def test_a_server_that_says_nothing_is_left(fake):
    client, _ = await connected(fake, timeout=0.1)
    second = asyncio.ensure_future(fake.accept())
    while not second.done():
        with pytest.raises((aspine.TimeoutError, aspine.ConnectionError)):
            await client.get("k")
    await client.disconnect()


@pytest.mark.asyncio
async def test_reads_are_sent_again_and_writes_are_not(fake):
    client, conn = await connected(fake)
    reading, writing = client.get("k"), client.set("k", 1)
    await fake.read(conn, b"SET")
    conn.close()
    again = await fake.accept()
    with pytest.raises(aspine.ConnectionError) as raised:
        await writing
    assert raised.value.may_have_run
    assert b"SET" not in await fake.read(again, b"$1\r\nk\r\n")
    await asyncio.get_running_loop().sock_sendall(again, b"$1\r\n7\r\n")
    assert await reading == 7
    await client.disconnect()


@pytest.mark.asyncio
async def test_what_is_no_reply_ends_the_connection(fake):
    client, conn = await connected(fake)
    writing = client.set("k", 1)
    await fake.read(conn, b"SET")
    await asyncio.get_running_loop().sock_sendall(conn, b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(aspine.ConnectionError):
        await writing
    await client.disconnect()


@pytest.mark.asyncio
async def test_replies_cut_at_every_byte(fake):
    client, conn = await connected(fake)
    replies = [client.get("a"), client.command("X"), client.get_many("a", "b"), client.ttl("k"), client.get("z")]
    bytes_ = b"$3\r\nabc\r\n%1\r\n+k\r\n*2\r\n:1\r\n$-1\r\n*2\r\n$1\r\n1\r\n_\r\n:-2\r\n$0\r\n\r\n"
    for at in range(len(bytes_)):
        await asyncio.get_running_loop().sock_sendall(conn, bytes_[at : at + 1])
        await asyncio.sleep(0)
    assert await asyncio.gather(*replies) == ["abc", {"k": [1, None]}, [1, None], -2, ""]
    await client.disconnect()


@pytest.mark.asyncio
async def test_a_killed_server_and_one_in_its_place():
    server = aspine.Server()
    server.start()
    client = aspine.AspineClient(server.unixsocket, authkey=server.authkey, timeout=10)
    await client.connect()
    await client.set("k", 1)
    events = client.subscribe("k")
    await events.ready()
    writes = [client.set("k", number) for number in range(100)]
    await asyncio.gather(*writes)
    assert [(await events.__anext__())["event"] for _ in range(100)] == ["set"] * 100
    server.kill()
    while client.connected:
        await asyncio.sleep(0)
    waiting = client.get("k")
    await asyncio.get_running_loop().run_in_executor(None, server.start)
    assert await waiting is None
    assert (await events.__anext__())["event"] == "gap"
    await client.set("k", 2)
    assert (await asyncio.wait_for(events.__anext__(), 5))["event"] == "set"
    await client.disconnect()
    server.stop()


@pytest.mark.asyncio
async def test_no_server_is_told_at_once():
    client = aspine.AspineClient(port=1, timeout=60)
    with pytest.raises(aspine.ConnectionError) as raised:
        await asyncio.wait_for(client.get("k"), 20)
    assert not raised.value.may_have_run
    await client.disconnect()


@pytest.mark.asyncio
async def test_closing_fails_what_waits(fake):
    client, conn = await connected(fake)
    waiting = client.get("k")
    await fake.read(conn, b"k\r\n")
    await client.disconnect()
    with pytest.raises(aspine.ConnectionError, match="closed"):
        await waiting


@pytest.mark.asyncio
async def test_more_than_a_socket_takes(client):
    value = os.urandom(3 << 20)
    await asyncio.gather(*[client.set(f"large:{number}", value) for number in range(8)])
    for back in await client.get_many(*[f"large:{number}" for number in range(8)]):
        assert back == value


# -- loops and threads --


def test_a_client_outlives_its_loop(server):
    client = server.client()

    async def use(number):
        await client.set("k", number)
        return await client.get("k")

    for number in range(5):
        assert asyncio.run(use(number)) == number
    asyncio.run(client.disconnect())


def test_a_loop_that_closes_with_requests_in_flight(fake):
    async def leave():
        client, conn = await connected(fake)
        replies = [client.get("k") for _ in range(1000)]
        await fake.read(conn, b"k\r\n")
        return client, replies

    loop = asyncio.new_event_loop()
    client, replies = loop.run_until_complete(leave())
    loop.close()
    assert not any(reply.done() for reply in replies)
    asyncio.run(client.disconnect())
    for reply in replies:
        assert isinstance(reply.exception(), aspine.ConnectionError)
        assert reply.exception().may_have_run


def test_several_loops_in_several_threads(server):
    failures = []

    def work(number):
        async def use():
            async with server.client(namespace=f"t{number}") as client:
                for _ in range(5):
                    await asyncio.gather(*[client.incr("n") for _ in range(200)])
                return await client.get("n")

        try:
            assert asyncio.run(use()) == 1000
        except BaseException as error:
            failures.append(error)

    asyncio.run(clear(server))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []


async def clear(server):
    async with server.client() as client:
        await client.clear()


@pytest.mark.asyncio
async def test_another_thread_may_ask(client):
    loop = asyncio.get_running_loop()

    def work():
        for number in range(100):
            assert asyncio.run_coroutine_threadsafe(client.set("k", number), loop).result(20) is True
            assert asyncio.run_coroutine_threadsafe(client.get("k"), loop).result(20) == number

    await asyncio.gather(*[loop.run_in_executor(None, work) for _ in range(1)])


@pytest.mark.asyncio
async def test_another_running_loop_is_refused(client):
    def work():
        async def use():
            with pytest.raises(RuntimeError, match="another event loop"):
                client.get("k")

        asyncio.run(use())

    await asyncio.get_running_loop().run_in_executor(None, work)
    assert await client.get("k") is None


def test_without_a_loop(server):
    with pytest.raises(RuntimeError, match="no event loop"):
        server.client().get("k")


def test_uvloop(server):
    uvloop = pytest.importorskip("uvloop")

    async def use():
        async with server.client() as client:
            await client.clear()
            assert await asyncio.gather(*[client.incr("n") for _ in range(1000)]) == list(range(1, 1001))
            for number in range(1000):
                assert await client.get("n") == 1000
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.subscribe("n").__anext__(), 0.05)

    loop = uvloop.new_event_loop()
    loop.run_until_complete(use())
    loop.close()


# -- processes --


def test_fork(server):
    script = """
    client = aspine.AspineClient(SOCKET, authkey=KEY)
    async def use(key, value):
        await client.set(key, value)
        return await client.get(key)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(use("parent", 1)) == 1
    waiting = loop.run_until_complete(asyncio.wait_for(asyncio.sleep(0), 1))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert asyncio.run(use("child", 2)) == 2
            code = 0
        finally:
            os._exit(code)
    for number in range(1000):
        assert loop.run_until_complete(use("parent", number)) == number
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert loop.run_until_complete(use("parent", 3)) == 3
    loop.run_until_complete(client.disconnect())
    loop.close()
    print("done")
    """
    assert run(script, server) == "done\n"


def test_fork_of_the_blocking_client(server):
    script = """
    import aspine.blocking
    client = aspine.blocking.AspineClient(SOCKET, authkey=KEY)
    client.set("k", "parent")
    child = os.fork()
    for number in range(500):
        client.set(f"fork:{child == 0}", number)
        assert client.get(f"fork:{child == 0}") == number
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print("done")
    """
    assert run(script, server) == "done\n"


@pytest.mark.parametrize("ending", ["pass", "sys.exit(0)", "client = None", "asyncio.get_running_loop().stop()"])
def test_the_interpreter_ends_with_requests_in_flight(server, ending):
    script = f"""
    client = aspine.AspineClient(SOCKET, authkey=KEY)
    async def main():
        global client
        await client.connect()
        global replies
        replies = [client.get("k") for _ in range(1000)]
        {ending}
    try:
        asyncio.run(main())
    except RuntimeError as error:
        assert "stopped" in str(error)
    print("done")
    """
    assert run(script, server) in ("done\n", "")


def test_the_interpreter_ends_with_threads_that_wait(server):
    script = """
    import aspine.blocking, threading
    client = aspine.blocking.AspineClient(SOCKET, authkey=KEY)
    started = threading.Barrier(5)
    def work():
        started.wait()
        while True:
            client.get("k")
    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    started.wait()
    for _ in range(100):
        client.get("k")
    print("done", flush=True)
    """
    assert run(script, server) == "done\n"


def test_the_embedded_server_ends_with_its_process():
    script = """
    import aspine, os, sys
    server = aspine.Server().start()
    print(server.unixsocket, flush=True)
    sys.stdin.readline()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    path = process.stdout.readline().strip()
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)
        process.kill()
        process.wait()
        # The server closes its end when it ends.
        probe.settimeout(20)
        assert probe.recv(1) == b""
    process.stdin.close()
    process.stdout.close()


# -- leaks --


@pytest.mark.asyncio
async def test_nothing_is_kept(server):
    async with server.client() as client:
        value = {"some": ["value"]}
        await client.set("k", value)

        async def round():
            await asyncio.gather(*[client.get("k") for _ in range(200)])
            await client.compare_and_set("k", value, value)
            async with client.lock("l"):
                await client.mget("k", "k")

        await round()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(20):
            await round()
        gc.collect()
        assert len(gc.get_objects()) < before + 200


def test_a_client_that_is_forgotten_is_freed(server):
    async def use():
        client = server.client()
        await client.connect()
        link, sock = weakref.ref(client._links.main.link), client._links.main.sock
        await client.get("k")
        kept = weakref.ref(client)
        del client
        while sock.fileno() != -1 or kept() is not None or link() is not None:
            # Its timer of some tenths of a second holds the connection until then.
            gc.collect()
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(use(), 20))


def test_memory_does_not_grow(server):
    script = """
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    async def main():
        async with aspine.AspineClient(SOCKET, authkey=KEY) as client:
            await client.set("k", {"a": [1, 2.5, "x" * 100]})
            async def round():
                for _ in range(100):
                    await asyncio.gather(*[client.get("k") for _ in range(100)])
                    await client.set("l", ["y"] * 100)
            for _ in range(3):
                await round()
            before = resident()
            for _ in range(10):
                await round()
            grown = resident() - before
            assert grown < 2 << 20, grown
    asyncio.run(main())
    print("done")
    """
    assert run(script, server) == "done\n"


def test_addresses():
    assert str(Address("::1", 7)) == "[::1]:7"
    for url in ("aspines://h", "http://h", "aspine://h?no=1"):
        with pytest.raises(ValueError):
            aspine.AspineClient(url)


@pytest.mark.asyncio
async def test_urls(server):
    for url in (server.url + "?namespace=u&timeout=3", f"aspine+unix://:{server.authkey}@{server.unixsocket}"):
        async with aspine.AspineClient(url) as client:
            assert await client.set("k", 1)


def test_import_brings_little_with_it(server):
    script = """
    heavy = {"asyncio", "socket", "subprocess", "tempfile", "json", "random", "pickle", "urllib", "inspect", "typing"}
    import subprocess
    code = "import sys, aspine; print(*sorted(sys.modules))"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not heavy & set(loaded), heavy & set(loaded)
    print("done")
    """
    assert run(script, server) == "done\n"
