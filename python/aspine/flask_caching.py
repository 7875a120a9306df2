"""A cache backend for Flask-Caching.

    CACHE_TYPE = "aspine.flask_caching.AspineCache"
    CACHE_ASPINE_URL = "aspine://127.0.0.1:5116"

Values are pickled where other languages could not read them, as Flask-Caching's own backends do: nobody else may write to
the server. CACHE_OPTIONS are those of `aspine.blocking.AspineClient`.
"""

from cachelib.base import BaseCache as CachelibBase
from flask_caching.backends.base import BaseCache

from .blocking import AspineClient


class AspineCache(BaseCache, CachelibBase):
    """Flask-Caching's API on one client, which its threads share."""

    def __init__(self, url="aspine://127.0.0.1:5116", default_timeout=300, key_prefix=None, **options):
        super().__init__(default_timeout=default_timeout)
        # Flask-Caching's own, for deletes that fail one by one.
        options.pop("ignore_delete_many_errors", None)
        self._client = AspineClient(url, **{"serializer": "pickle", **options})
        if key_prefix:
            self._client = self._client.namespace(key_prefix)

    @classmethod
    def factory(cls, app, config, args, kwargs):
        if "CACHE_ASPINE_URL" in config:
            kwargs.setdefault("url", config["CACHE_ASPINE_URL"])
        if config.get("CACHE_KEY_PREFIX"):
            kwargs.setdefault("key_prefix", config["CACHE_KEY_PREFIX"])
        return cls(*args, **kwargs)

    def _ttl(self, timeout):
        """Seconds; 0 is for good, as Flask-Caching has it."""
        timeout = self.default_timeout if timeout is None else timeout
        return None if timeout == 0 else timeout

    def get(self, key):
        return self._client.get(key)

    def set(self, key, value, timeout=None):
        return self._client.set(key, value, self._ttl(timeout))

    def add(self, key, value, timeout=None):
        return self._client.set(key, value, self._ttl(timeout), nx=True)

    def delete(self, key):
        return self._client.delete(key) > 0

    def has(self, key):
        return self._client.exists(key)

    def get_many(self, *keys):
        return self._client.get_many(*keys) if keys else []

    def set_many(self, mapping, timeout=None):
        if mapping:
            self._client.mset(mapping, self._ttl(timeout))
        return list(mapping)

    def delete_many(self, *keys):
        found = [key for key in keys if self._client.delete(key)]
        return found

    def clear(self):
        return self._client.clear()

    def inc(self, key, delta=1):
        return self._client.incr(key, delta)

    def dec(self, key, delta=1):
        return self._client.decr(key, delta)
