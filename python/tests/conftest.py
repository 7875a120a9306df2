"""One server for all tests, ended with them; its keys are deleted before each."""

import faulthandler

import pytest
import pytest_asyncio

import aspine
import aspine.blocking

faulthandler.enable()
# A test that hangs says where.
faulthandler.dump_traceback_later(240, exit=True)


@pytest.fixture(scope="session")
def server():
    with aspine.Server(cores=1) as server:
        yield server


@pytest_asyncio.fixture
async def client(server):
    async with server.client() as client:
        await client.clear()
        yield client


@pytest.fixture
def blocking(server):
    with server.blocking_client() as client:
        client.clear()
        yield client
