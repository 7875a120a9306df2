"""The backends for Django and Flask-Caching, and the fixtures for pytest."""


import pytest


def test_fixtures(aspine_server, aspine_client):
    assert aspine_client.list() == []
    aspine_client.set("left", 1)
    assert aspine_server.running


def test_fixtures_begin_with_no_keys(aspine_client):
    assert aspine_client.list() == []


def backend(server, **options):
    cache = pytest.importorskip("aspine.django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(USE_TZ=True)
    params = {"TIMEOUT": 60, "KEY_PREFIX": "dj", "VERSION": 1, "OPTIONS": {"authkey": server.authkey, **options}}
    return cache.AspineCache(server.unixsocket, params)


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x


def test_django(server, blocking):
    cache = backend(server)
    cache.set("k", Point(1))
    assert cache.get("k") == Point(1)
    assert cache.get("no") is None and cache.get("no", 7) == 7
    cache.set("none", None)
    assert cache.get("none", 7) is None
    assert 0 < blocking.ttl("dj:1:k") <= 60
    assert cache.add("k", 2) is False and cache.add("new", 2) is True
    assert cache.touch("new", None) is True and blocking.ttl("dj:1:new") == -1
    assert cache.touch("new", 5) is True and 0 < blocking.ttl("dj:1:new") <= 5
    assert cache.touch("absent") is False
    cache.set("gone", 1, timeout=0)
    assert cache.has_key("gone") is False and "k" in cache
    assert cache.incr("new", 3) == 5 and cache.decr("new") == 4
    with pytest.raises(ValueError):
        cache.incr("absent")
    assert cache.set_many({"a": 1, "b": [2]}, timeout=9) == []
    assert cache.get_many(["a", "b", "absent", "none"]) == {"a": 1, "b": [2], "none": None}
    cache.delete_many(["a", "b"])
    assert cache.get_many(["a", "b"]) == {} and cache.get_many([]) == {}
    assert cache.delete("k") is True and cache.delete("k") is False
    assert cache.get_or_set("made", lambda: 5) == 5 and cache.get("made") == 5
    cache.set("v", 1, version=2)
    assert cache.get("v") is None and cache.get("v", version=2) == 1
    assert cache.incr_version("v", version=2) == 3
    cache.close()
    assert cache.get("v", version=3) == 1
    cache.clear()
    assert cache.get("made") is None


@pytest.mark.asyncio
async def test_django_awaited(server):
    cache = backend(server)
    await cache.aset("k", [1])
    assert await cache.aget("k") == [1]
    assert await cache.adelete("k") is True


@pytest.mark.filterwarnings("ignore")
def test_flask_caching(server):
    flask = pytest.importorskip("flask")
    flask_caching = pytest.importorskip("flask_caching")
    app = flask.Flask("app")
    config = {
        "CACHE_TYPE": "aspine.flask_caching.AspineCache",
        "CACHE_ASPINE_URL": server.url,
        "CACHE_KEY_PREFIX": "fl",
        "CACHE_DEFAULT_TIMEOUT": 60,
    }
    cache = flask_caching.Cache(app, config=config)
    with app.app_context():
        cache.clear()
        assert cache.set("k", Point(1)) and cache.get("k") == Point(1)
        assert cache.add("k", 2) is False and cache.has("k")
        assert cache.set_many({"a": 1, "b": 2}) == ["a", "b"]
        assert cache.get_many("a", "no", "b") == [1, None, 2]
        assert cache.get_dict("a", "b") == {"a": 1, "b": 2}
        assert cache.delete_many("a", "no") == ["a"]
        assert cache.cache.inc("n") == 1 and cache.cache.dec("n", 3) == -2
        calls = []

        @cache.memoize(50)
        def double(number):
            calls.append(number)
            return number * 2

        assert double(4) == double(4) == 8 and calls == [4]
        assert cache.delete("k") and not cache.has("k")
        assert cache.set("short", 1, timeout=1) and cache.clear() and cache.get("short") is None
