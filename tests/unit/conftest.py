"""An engine in this process, and somebody else who writes to its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp.client.local import LocalClient
from pdp.embedded import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database that is not there yet."""
    return tmp_path / "pdp.db"


@pytest.fixture
def url(path: Path) -> str:
    """Its address."""
    return f"sqlite:///{path}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine on it."""
    with Engine.open(url) as opened:
        yield opened


@pytest.fixture
def local(url: str) -> Iterator[LocalClient]:
    """Somebody else who writes to it."""
    with LocalClient(url) as client:
        yield client
