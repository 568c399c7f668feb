"""An engine in this process, another client that writes to its database, and a decider alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp.client.local import LocalClient
from pdp.embedded import Engine
from tests.support.payload_streams import Decisions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a database that does not exist yet."""
    return tmp_path / "pdp.db"


@pytest.fixture
def url(path: Path) -> str:
    """The URL of the database."""
    return f"sqlite:///{path}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine that reads the database."""
    with Engine.open(url) as new_engine:
        yield new_engine


@pytest.fixture
def local(url: str) -> Iterator[LocalClient]:
    """Another client that writes to the database."""
    with LocalClient(url) as client:
        yield client


@pytest.fixture
def decisions(url: str) -> Iterator[Decisions]:
    """A decider with a database of its own."""
    opened = Decisions(url)
    yield opened
    opened.close()
