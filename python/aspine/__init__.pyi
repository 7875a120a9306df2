from . import blocking as blocking
from ._errors import (
    AspineError as AspineError,
    AuthError as AuthError,
    CacheMiss as CacheMiss,
    ConnectionError as ConnectionError,
    LockError as LockError,
    ProtocolError as ProtocolError,
    ServerError as ServerError,
    TimeoutError as TimeoutError,
)
from ._native import Reply as Reply, __version__ as __version__
from .client import (
    AspineClient as AspineClient,
    Lock as Lock,
    Namespace as Namespace,
    Pipeline as Pipeline,
    RateLimit as RateLimit,
    Subscription as Subscription,
    create_client as create_client,
)
from .server import Server as Server

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
