from collections.abc import Iterator

from . import blocking
from .server import Server

def aspine_server() -> Iterator[Server]: ...
def aspine_client(aspine_server: Server) -> Iterator[blocking.AspineClient]: ...
