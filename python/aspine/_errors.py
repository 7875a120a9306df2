"""What can go wrong, and whether the request may have run all the same."""

import builtins


class AspineError(Exception):
    """What all errors of this package are."""


class ConnectionError(AspineError, builtins.ConnectionError):  # noqa: A001 - the name is 2.0's
    """There is no connection, or it broke before the reply came.

    `may_have_run`: the request was sent, or part of it.
    """

    def __init__(self, text="", may_have_run=False):
        super().__init__(text)
        self.may_have_run = may_have_run


class TimeoutError(AspineError, builtins.TimeoutError):  # noqa: A001 - the name is 2.0's
    """The reply did not come in time; it is thrown away if it comes later. `may_have_run` as in `ConnectionError`."""

    def __init__(self, text="", may_have_run=True):
        super().__init__(text)
        self.may_have_run = may_have_run


class ServerError(AspineError):
    """The server refused the request. The text is the server's, its `code` first, as in `OOM command not allowed …`."""

    @property
    def code(self):
        return str(self).split(" ", 1)[0]


class AuthError(ServerError):
    """The server wants another key or user, or does not let this one do that."""


class CacheMiss(AspineError, KeyError):
    """A key that had to exist does not."""

    def __str__(self):
        return f"no such key: {self.args[0]!r}" if self.args else "no such key"


class ProtocolError(AspineError):
    """What the server sent is not what the protocol has there."""


class LockError(AspineError):
    """A lock was not had in time, or is no longer this holder's."""


def from_server(text):
    """The exception for an error reply."""
    code = text.split(" ", 1)[0]
    return (AuthError if code in ("NOAUTH", "WRONGPASS", "NOPERM") else ServerError)(text)
