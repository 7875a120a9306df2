from collections.abc import Iterable
from os import PathLike
from typing import Any

from typing_extensions import Self

from . import blocking
from .client import AspineClient

def program() -> str: ...

class Server:
    max_size: int | None
    max_memory: int | str | None
    eviction: str | None
    persist_path: str | None
    authkey: str
    cores: int
    host: str
    port: int
    core_ports: int | None
    args: tuple[object, ...]
    unixsocket: str
    def __init__(
        self,
        *,
        max_size: int | None = None,
        max_memory: int | str | None = None,
        eviction: str | None = None,
        persist_path: str | PathLike[str] | None = None,
        authkey: str | None = None,
        cores: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        core_ports: int | None = None,
        args: Iterable[object] = (),
    ) -> None: ...
    @property
    def running(self) -> bool: ...
    @property
    def address(self) -> str: ...
    @property
    def url(self) -> str: ...
    def start(self) -> Self: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def log(self) -> str: ...
    def client(self, **options: Any) -> AspineClient: ...
    def blocking_client(self, **options: Any) -> blocking.AspineClient: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
