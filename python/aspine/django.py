"""A cache backend for Django.

    CACHES = {"default": {"BACKEND": "aspine.django.AspineCache", "LOCATION": "aspine://127.0.0.1:5116"}}

OPTIONS are those of `aspine.blocking.AspineClient`. Values are pickled where other languages could not read them, as
Django's own backends do: nobody else may write to the server. `OPTIONS: {"serializer": "auto"}` never pickles.
"""

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from .blocking import AspineClient

# The value of a key that does not exist, which None may be.
_MISSING = object()


class AspineCache(BaseCache):
    """Django's cache API on one client, which its threads share."""

    def __init__(self, server, params):
        super().__init__(params)
        options = {"serializer": "pickle", **params.get("OPTIONS", {})}
        for name in ("MAX_ENTRIES", "CULL_FREQUENCY"):
            options.pop(name, None)
        self._client = AspineClient(server or "127.0.0.1", **options)

    def _ttl(self, timeout):
        """Seconds, `None` for good, 0 for not at all."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return None if timeout is None else max(0, timeout)

    def _key(self, key, version):
        key = self.make_key(key, version=version)
        self.validate_key(key)
        return key

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        key, ttl = self._key(key, version), self._ttl(timeout)
        if ttl == 0:
            return not self._client.exists(key)
        return self._client.set(key, value, ttl, nx=True)

    def _get(self, key):
        # One request tells of a value; only a None is asked for again, since it may be stored.
        value = self._client.get(key)
        if value is None and not self._client.exists(key):
            return _MISSING
        return value

    def get(self, key, default=None, version=None):
        key = self._key(key, version)
        value = self._client.get(key)
        if value is None and default is not None:
            value = self._get(key)
            return default if value is _MISSING else value
        return value

    def set(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        key, ttl = self._key(key, version), self._ttl(timeout)
        if ttl == 0:
            self._client.delete(key)
        else:
            self._client.set(key, value, ttl)

    def touch(self, key, timeout=DEFAULT_TIMEOUT, version=None):
        key, ttl = self._key(key, version), self._ttl(timeout)
        if ttl is None:
            return self._client.persist(key) or self._client.exists(key)
        if ttl == 0:
            return self._client.delete(key) > 0
        return self._client.touch(key, ttl)

    def delete(self, key, version=None):
        return self._client.delete(self._key(key, version)) > 0

    def has_key(self, key, version=None):
        return self._client.exists(self._key(key, version))

    def incr(self, key, delta=1, version=None):
        key = self._key(key, version)
        if not self._client.exists(key):
            raise ValueError(f"Key {key!r} not found")
        return self._client.incr(key, delta)

    def get_many(self, keys, version=None):
        names = {self._key(key, version): key for key in keys}
        if not names:
            return {}
        values = zip(names, self._client.get_many(*names))
        found = {name: value for name, value in values if value is not None or self._client.exists(name)}
        return {names[name]: value for name, value in found.items()}

    def set_many(self, data, timeout=DEFAULT_TIMEOUT, version=None):
        pairs = {self._key(key, version): value for key, value in data.items()}
        ttl = self._ttl(timeout)
        if ttl == 0:
            self._delete_all(pairs)
        elif pairs:
            self._client.mset(pairs, ttl)
        return []

    def delete_many(self, keys, version=None):
        self._delete_all([self._key(key, version) for key in keys])

    def _delete_all(self, keys):
        if keys:
            self._client.delete(*keys)

    def clear(self):
        self._client.clear()

    def close(self, **kwargs):
        # Django calls it after each request; the connections are for the next ones too.
        return None
