"""Django: its own cache on Redis, django-redis, and its sessions in each. Arguments: port, auth key or nothing."""

import sys

import django
from django.conf import settings

PORT, KEY = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None


def caches_of(backend, **options):
    """One in database 0, one in database 1."""
    user = f":{KEY}@" if KEY else ""
    return [
        {"BACKEND": backend, "LOCATION": f"redis://{user}127.0.0.1:{PORT}/{database}", **options} for database in (0, 1)
    ]


own = caches_of("django.core.cache.backends.redis.RedisCache")
others = caches_of("django_redis.cache.RedisCache")
settings.configure(
    CACHES={"default": own[0], "one": own[1], "other": others[0], "other_one": others[1]},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SESSION_CACHE_ALIAS="one",
    USE_TZ=True,
)
django.setup()

from django.contrib.sessions.backends import cache as sessions  # noqa: E402
from django.core.cache import caches  # noqa: E402


def basics(cache):
    value = {"name": "alice", "roles": [1, 2, 3], "binary": b"\0\r\n\xff"}
    assert cache.get("absent") is None and cache.get("absent", "d") == "d"
    cache.set("user:1", value, timeout=60)
    assert cache.get("user:1") == value and cache.has_key("user:1")
    assert cache.add("user:1", "other") is False and cache.add("new", "v", 60) is True
    assert not cache.set_many({"a": 1, "b": "two"}, timeout=60)
    assert cache.get_many(["a", "b", "absent"]) == {"a": 1, "b": "two"}
    assert cache.get_or_set("computed", lambda: "first", 60) == "first" == cache.get_or_set("computed", "second")
    assert cache.touch("a", 100) and not cache.touch("absent", 100)
    assert cache.delete("a") and not cache.delete("a")
    cache.delete_many(["b", "new"])
    assert cache.get_many(["b", "new"]) == {}
    cache.set("versioned", "first")
    cache.set("versioned", "second", version=2)
    assert (cache.get("versioned"), cache.get("versioned", version=2)) == ("first", "second")
    # At once or never, not for a time of zero.
    cache.set("gone", "v", timeout=0)
    assert cache.get("gone") is None
    cache.set("kept", "v", timeout=None)
    assert cache.get("kept") == "v"


def time_to_live(cache, client, key):
    cache.set("brief", "v", 60)
    assert 0 < client.ttl(key) <= 60
    assert client.pexpire(key, 0) and cache.get("brief") is None and cache.add("brief", "again", 60)


def counts(cache):
    cache.set("count", 1)
    assert cache.incr("count") == 2 and cache.incr("count", 40) == 42 and cache.decr("count", 2) == 40
    try:
        cache.incr("absent")
    except ValueError:
        pass
    else:
        raise AssertionError("what is absent was incremented")


def of_django_redis(cache):
    """What only django-redis has."""
    cache.set("brief", "v", 60)
    assert 0 < cache.ttl("brief") <= 60 and 0 < cache.pttl("brief") <= 60_000
    assert cache.persist("brief") and cache.ttl("brief") is None and cache.expire("brief", 30) and cache.ttl("absent") == 0
    assert cache.set("brief", "w", nx=True) in (None, False) and cache.set("brief", "w", xx=True)
    cache.set_many({f"walk:{number}": number for number in range(500)})
    assert set(cache.iter_keys("walk:*")) == {f"walk:{number}" for number in range(500)} == set(cache.keys("walk:*"))
    assert cache.delete_pattern("walk:*") == 500 and cache.keys("walk:*") == []


def databases(zero, one):
    zero.clear()
    one.clear()
    zero.set_many({"of": "zero", "more": "v"})
    one.set("of", "one", 60)
    assert (zero.get("of"), one.get("of"), one.get("more")) == ("zero", "one", None)
    one.clear()
    assert one.get("of") is None and zero.get_many(["of", "more"]) == {"of": "zero", "more": "v"}
    one.set("of", "one")
    zero.clear()
    assert (zero.get("of"), one.get("of")) == (None, "one")


def session(client, alias):
    """As requests have it, in database 1."""
    settings.SESSION_CACHE_ALIAS = alias
    first = sessions.SessionStore()
    first["user"] = 7
    first.save()
    key = f":1:{first.cache_key}"
    assert 0 < client.ttl(key) <= settings.SESSION_COOKIE_AGE
    second = sessions.SessionStore(first.session_key)
    assert second["user"] == 7 and second.exists(first.session_key)
    second["basket"] = ["apple"]
    second.set_expiry(300)
    second.save()
    assert 0 < client.ttl(key) <= 300 and sessions.SessionStore(first.session_key)["basket"] == ["apple"]
    second.cycle_key()
    assert not second.exists(first.session_key) and second["user"] == 7
    assert client.pexpire(f":1:{second.cache_key}", 0)
    assert sessions.SessionStore(second.session_key).get("user") is None
    first = sessions.SessionStore()
    first["user"] = 7
    first.save()
    caches["default"].clear()
    assert sessions.SessionStore(first.session_key)["user"] == 7, "a flush of database 0"
    caches[alias].clear()
    assert sessions.SessionStore(first.session_key).get("user") is None, "a flush of database 1"


def refusals(cache):
    """What needs scripts, or types of values beside strings."""
    def refused(call, command):
        try:
            call()
        except Exception as error:
            assert f"unknown command '{command}'" in str(error), error
        else:
            raise AssertionError(f"not refused: {command}")

    refused(lambda: cache.sadd("set", "member"), "SADD")
    refused(lambda: cache.hset("hash", "field", "value"), "HSET")
    with_lock = cache.lock("lock", timeout=60)
    assert with_lock.acquire(blocking=False)
    refused(with_lock.release, "EVALSHA")
    # It counts by GET and SET if its script is refused, so that counts made at the same time are lost, and what is absent
    # is no ValueError.
    cache.set("count", 1)
    assert cache.incr("count") == 2
    try:
        cache.incr("absent")
    except TypeError:
        pass
    else:
        raise AssertionError("what is absent was incremented")


def main():
    from django_redis import get_redis_connection

    client = get_redis_connection("other_one")
    client.flushall()
    for zero, one in [("default", "one"), ("other", "other_one")]:
        basics(caches[one])
        time_to_live(caches[one], client, ":1:brief")
        databases(caches[zero], caches[one])
        session(client, one)
    of_django_redis(caches["other_one"])
    counts(caches["one"])
    if "aspine_version" in client.info():
        refusals(caches["other_one"])
    else:
        counts(caches["other_one"])


main()
