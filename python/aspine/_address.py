"""Where a server is, as callers write it: host and port, a Unix socket, or a URL."""

from ._errors import AspineError

PORT = 5116


class Address:
    """`host` and `port`, or `path` of a Unix socket."""

    __slots__ = ("host", "path", "port")

    def __init__(self, host=None, port=PORT, path=None):
        self.host, self.port, self.path = host, port, path

    def __str__(self):
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_url(host):
    return "://" in host


def parse(host, port):
    """The address of a host and a port, or of a path."""
    if host.startswith("unix:"):
        return Address(path=host[len("unix:") :])
    if host.startswith("/"):
        return Address(path=host)
    return Address(host, port)


def parse_url(url):
    """The keyword arguments of a client that a URL stands for.

    `aspine://[user][:key]@host[:port][?timeout=2&namespace=app]`, `aspine+unix:///path`; `redis://` and `unix://` too.
    """
    from urllib.parse import parse_qsl, unquote, urlsplit

    parts = urlsplit(url)
    options = {}
    if parts.scheme in ("aspine", "redis"):
        options["host"] = parts.hostname or "127.0.0.1"
        if parts.port is not None:
            options["port"] = parts.port
    elif parts.scheme in ("aspine+unix", "unix"):
        options["host"] = "unix:" + unquote(parts.path)
    elif parts.scheme in ("aspines", "rediss"):
        raise ValueError(f"{parts.scheme}:// means TLS, which the server does not speak; put a TLS proxy before it")
    else:
        raise ValueError(f"a URL begins with aspine:// or aspine+unix://, not {parts.scheme}://")
    if parts.password:
        options["authkey"] = unquote(parts.password)
    if parts.username:
        options["user"] = unquote(parts.username)
    known = {"timeout": float, "connect_timeout": float, "namespace": str, "serializer": str, "name": str}
    for name, value in parse_qsl(parts.query):
        if name not in known:
            raise ValueError(f"a URL has no option {name}; there are {', '.join(sorted(known))}")
        options[name] = known[name](value)
    return options


def greeting(authkey, user, name):
    """The words of HELLO."""
    words = ["HELLO", "3"]
    if authkey is not None:
        words += ["AUTH", user or "default", authkey]
    if name is not None:
        words += ["SETNAME", name]
    return words


def core_ports(hello, cores):
    """The ports of the server's cores, from the replies to a greeting; none if it has none of its own."""
    if isinstance(hello, AspineError):
        raise hello
    if not isinstance(cores, dict):
        return []
    rows = cores.get(b"cores") or []
    ports = [row[1] for row in rows]
    return [] if 0 in ports or len(ports) < 2 else ports
