"""Fixtures for pytest: `aspine_server`, one for the session, and `aspine_client`, which begins with no keys.

They are there once the package is installed; nothing is imported or started until a test asks for one.
"""

import pytest


@pytest.fixture(scope="session")
def aspine_server():
    """A server of the session's own."""
    from .server import Server

    with Server() as server:
        yield server


@pytest.fixture
def aspine_client(aspine_server):
    """A client that waits, of a server without keys. `aspine_server.client()` is one for asyncio."""
    with aspine_server.blocking_client() as client:
        client.clear()
        yield client
