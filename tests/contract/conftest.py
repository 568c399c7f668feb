"""The backends that the store's contract suite is run on. A new one is one more entry."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from pdp.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pdp.store.port import Store

PATIENT_S: Final = 60.0
"""A busy time-out that only a deadlock reaches."""


def _sqlite(directory: Path, busy_timeout_s: float) -> Store:
    return SqliteStore.open(f"sqlite:///{directory}/store.db", busy_timeout_s=busy_timeout_s)


BACKENDS: Final[Mapping[str, Callable[[Path, float], Store]]] = {"sqlite": _sqlite}


@pytest.fixture(params=sorted(BACKENDS))
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Opens the test's one store, again at each call, as other processes would.

    What it returns takes the busy time-out in seconds. All are closed after the test.
    """
    with ExitStack() as stores:

        def opened(busy_timeout_s: float = PATIENT_S) -> Store:
            store = BACKENDS[request.param](tmp_path, busy_timeout_s)
            stores.callback(store.close)
            return store

        yield opened


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A store with nothing in it."""
    return open_store()
