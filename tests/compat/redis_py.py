"""redis-py, blocking, with its defaults. Arguments: port, auth key or nothing."""

import sys

import redis


def strings(client):
    assert client.set("name", "value") is True
    assert client.get("name") == b"value"
    assert client.get("absent") is None
    binary = bytes(range(256))
    client.set(binary, binary)
    assert client.get(binary) == binary
    assert client.set("name", "other", nx=True) is None
    assert client.set("name", "other", xx=True, get=True) == b"value"
    assert client.mset({f"many:{number}": number for number in range(500)}) is True
    assert client.mget(f"many:{number}" for number in range(500)) == [b"%d" % number for number in range(500)]
    assert client.exists("many:1", "many:2", "absent") == 2
    assert client.delete("many:1", "absent") == 1
    assert client.getdel("name") == b"other" and client.exists("name") == 0


def expiry(client):
    client.set("brief", "v", ex=1000)
    assert 0 < client.ttl("brief") <= 1000
    assert client.persist("brief") and client.ttl("brief") == -1
    assert client.expire("brief", 500) and not client.expire("absent", 500)
    assert 0 < client.pttl("brief") <= 500_000
    assert client.getex("brief", exat=4102444800) == b"v"
    assert client.expiretime("brief") == 4102444800
    assert client.ttl("absent") == -2


def pipelines(client):
    pipe = client.pipeline(transaction=False)
    for number in range(1000):
        pipe.set(f"pipe:{number}", number).get(f"pipe:{number}")
    replies = pipe.execute()
    assert replies == [reply for number in range(1000) for reply in (True, b"%d" % number)]
    pipe.get("pipe:1").execute_command("BOGUS", "x").get("pipe:2")
    first, refused, last = pipe.execute(raise_on_error=False)
    assert (first, last) == (b"1", b"2") and isinstance(refused, redis.ResponseError), refused


def scan(client):
    client.flushall()
    keys = {b"walk:%d" % number for number in range(1000)}
    client.mset({key: b"" for key in keys})
    client.set("other", "")
    assert set(client.scan_iter(match="walk:*", count=50)) == keys
    assert set(client.keys("walk:*")) == keys and client.dbsize() == 1001


def server(client):
    assert client.ping() is True and client.echo("x") == b"x"
    assert client.info()["redis_version"].startswith("8.")
    assert client.command_count() > 20
    assert client.client_setname("me") and client.client_getname() in ("me", b"me")
    assert client.client_info()["name"] == "me"
    assert client.config_get("timeout") == {"timeout": "0"}
    try:
        client.execute_command("BOGUS", "x")
    except redis.ResponseError as error:
        assert "unknown command 'BOGUS'" in str(error).replace("`", "'"), error
    else:
        raise AssertionError("BOGUS is a command")


def transactions(client):
    client.flushall()
    assert client.pipeline().set("a", 2).expire("a", 100).get("a").execute() == [True, True, b"2"]

    def double(pipe):
        value = int(pipe.get("a"))
        pipe.multi()
        pipe.set("a", value * 2)

    assert client.transaction(double, "a") == [True] and client.get("a") == b"4"
    with client.pipeline() as pipe:
        pipe.watch("a")
        client.set("a", "changed")
        pipe.multi()
        pipe.set("a", "lost")
        try:
            pipe.execute()
        except redis.WatchError:
            pass
        else:
            raise AssertionError("EXEC ran although a watched key had changed")
    assert client.get("a") == b"changed"


def messages(client):
    pubsub = client.pubsub()
    pubsub.subscribe("news", "other")
    pubsub.psubscribe("new*")
    kinds = [pubsub.get_message(timeout=5)["type"] for _ in range(3)]
    assert kinds == ["subscribe", "subscribe", "psubscribe"], kinds
    assert client.publish("news", "one") == 2
    got = {(m["type"], m["channel"], m["data"]) for m in (pubsub.get_message(timeout=5) for _ in range(2))}
    assert got == {("message", b"news", b"one"), ("pmessage", b"news", b"one")}, got
    assert dict(client.pubsub_numsub("news", "none")) == {b"news": 1, b"none": 0}
    assert client.pubsub_numpat() == 1 and set(client.pubsub_channels()) == {b"news", b"other"}
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    assert all("unsubscribe" in pubsub.get_message(timeout=5)["type"] for _ in range(3))
    pubsub.subscribe("__keyevent@0__:set")
    assert pubsub.get_message(timeout=5)["type"] == "subscribe"
    client.set("told", 1)
    assert pubsub.get_message(timeout=5)["data"] == b"told"
    pubsub.close()


def databases(client):
    options = dict(client.connection_pool.connection_kwargs, db=1)
    other = redis.Redis(connection_pool=redis.ConnectionPool(**options))
    client.set("of", "zero")
    assert other.get("of") is None
    other.mset({f"of:{number}": "one" for number in range(20)})
    assert client.move("of", 1) and client.get("of") is None and other.get("of") == b"zero"
    assert other.copy("of", "back", destination_db=0) and client.get("back") == b"zero"
    assert other.dbsize() == 21 and "db1" in client.info("keyspace")
    assert other.flushdb() and other.dbsize() == 0 and client.get("back") == b"zero"
    other.close()
    beyond = redis.Redis(connection_pool=redis.ConnectionPool(**dict(options, db=16)))
    try:
        beyond.ping()
    except redis.RedisError as refused:
        assert "DB index is out of range" in str(refused) or "Invalid Database" in str(refused), refused
    else:
        raise AssertionError("database 16 was taken")


def main():
    port, key = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    for protocol in (None, 2, 3):
        options = {} if protocol is None else {"protocol": protocol}
        client = redis.Redis(port=port, password=key, **options)
        client.flushall()
        for part in PARTS:
            part(client)
        client.close()
    if key:
        try:
            redis.Redis(port=port, password="wrong").ping()
        except redis.AuthenticationError:
            pass
        else:
            raise AssertionError("a wrong key was taken")


PARTS = [strings, expiry, pipelines, scan, server, transactions, messages, databases]

main()
