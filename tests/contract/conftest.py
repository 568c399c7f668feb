"""The backends that the contract suites of the store and of the audit log run on.

Each is one entry of `BACKENDS`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from pdp.store import open_audit_log
from pdp.store import open_store as open_by_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdp.domain.audit_log import AuditLog
    from pdp.store.port import Store

LONG_TIMEOUT_S: Final = 60.0
"""A busy time-out that only a deadlock reaches."""


def _sqlite(request: pytest.FixtureRequest) -> str:
    return f"sqlite:///{request.getfixturevalue('tmp_path')}/store.db"


def _postgres(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("postgres_url")
    return url


BACKENDS: Final[Mapping[str, Callable[[pytest.FixtureRequest], str]]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
}
"""By backend: makes the URL of a new database for a test."""


@pytest.fixture(params=sorted(BACKENDS))
def open_store(request: pytest.FixtureRequest) -> Iterator[Callable[..., Store]]:
    """Returns a function that opens the test's store.

    Each call opens it again, as another process would. The function takes the busy time-out in
    seconds. All opened stores are closed after the test.
    """
    url = BACKENDS[request.param](request)
    with ExitStack() as stores:

        def open_again(busy_timeout_s: float = LONG_TIMEOUT_S) -> Store:
            store = open_by_url(url, busy_timeout_s=busy_timeout_s)
            stores.callback(store.close)
            return store

        yield open_again


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A new, empty store."""
    return open_store()


@pytest.fixture(params=sorted(BACKENDS))
def open_log(request: pytest.FixtureRequest) -> Iterator[Callable[..., AuditLog]]:
    """Returns a function that opens the test's audit log.

    Each call opens it again, as another process would. The function takes the key of the hash
    chain. All opened logs are closed after the test.
    """
    url = BACKENDS[request.param](request)
    with ExitStack() as logs:

        def open_again(key: bytes = b"") -> AuditLog:
            log = open_audit_log(url, key=key, busy_timeout_s=LONG_TIMEOUT_S)
            logs.callback(log.close)
            return log

        yield open_again


@pytest.fixture
def log(open_log: Callable[..., AuditLog]) -> AuditLog:
    """A new, empty audit log without a key."""
    return open_log()
