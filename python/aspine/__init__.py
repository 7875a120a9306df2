"""Aspine, an in-memory cache: its client for asyncio, and the server's program beside it.

    async with aspine.AspineClient() as client:
        await client.set("user:1", {"name": "alice"}, ttl=60)
        user = await client.get("user:1")

`aspine.blocking` has the same without asyncio, `aspine.Server` a server of this process's own.
"""

from ._errors import (
    AspineError,
    AuthError,
    CacheMiss,
    ConnectionError,
    LockError,
    ProtocolError,
    ServerError,
    TimeoutError,
)
from ._native import Reply, __version__
from .client import AspineClient, Lock, Namespace, Pipeline, RateLimit, Subscription, create_client

__all__ = [
    "AspineClient",
    "AspineError",
    "AuthError",
    "CacheMiss",
    "ConnectionError",
    "Lock",
    "LockError",
    "Namespace",
    "Pipeline",
    "ProtocolError",
    "RateLimit",
    "Reply",
    "Server",
    "ServerError",
    "Subscription",
    "TimeoutError",
    "__version__",
    "blocking",
    "create_client",
]


def __getattr__(name):
    # What most programs do not need is imported when it is.
    if name == "Server":
        from .server import Server

        return Server
    if name == "blocking":
        import importlib

        return importlib.import_module(".blocking", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
