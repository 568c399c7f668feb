"""Fixtures of all tests: a real server and clients for it, and a tenant per test."""

from __future__ import annotations

import os
import secrets
import sys
import time
from typing import TYPE_CHECKING

import hypothesis
import pytest

from pdp.client.remote import RemoteClient, open_channel
from tests.support import fork_server, servers
from tests.support.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from demo.postgres import PostgresServer


# Some environments disable bytecode files. Then each server that a test starts would compile all
# modules again, which takes a third of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Commands that run in this process would warn of `PDP_SOAK` and similar variables.
os.environ["PDP_IGNORE_SETTINGS"] = ",".join(name for name in os.environ if "PDP_" in name)

# Property tests have a short form, which gates changes, and a long form: `make soak`.
EXAMPLES = 3_000 if os.environ.get("PDP_SOAK") else 100
hypothesis.settings.register_profile("pdp", max_examples=EXAMPLES, deadline=None)
hypothesis.settings.load_profile("pdp")


def pytest_xdist_auto_num_workers() -> int:
    """Returns the number of processes for `-n auto`: one more than processors, since tests wait."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) + 1
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def _fork_server() -> Iterator[None]:
    """Ends the fork server after all tests."""
    yield
    fork_server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A real server in development mode, shared by all tests: each test uses its own tenant."""
    with servers.start(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, shared by all tests: each test uses databases of its own."""
    with postgres("fsync=off") as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a new PostgreSQL database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def tenant() -> str:
    """The id of a tenant that no other test uses."""
    return f"tenant-{secrets.token_hex(8)}"


@pytest.fixture
def same_day() -> None:
    """Waits for the next day if this one ends soon: daily limits start to count anew (UTC)."""
    rest_s = 86_400 - time.time() % 86_400
    if rest_s < servers.TIMEOUT_S:
        time.sleep(rest_s + 1)


@pytest.fixture(scope="session")
def channel(server: servers.Server) -> Iterator[grpc.Channel]:
    """A gRPC channel to the server, for the stubs of `pdp._gen`."""
    with open_channel(server.grpc_address) as opened:
        yield opened


@pytest.fixture(scope="session")
def remote(server: servers.Server) -> Iterator[RemoteClient]:
    """Calls the server's RPCs by name."""
    with RemoteClient(server.grpc_address, timeout_s=servers.TIMEOUT_S) as client:
        yield client
