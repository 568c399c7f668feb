"""A server process without transports: a store, a publisher and a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from pdp.admin.static_policies import StaticPolicies
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.domain.request import Request
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.static_policy import StaticPolicy
from pdp.engine.evaluate import evaluate
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.decision import Outcome
    from pdp.publisher import Publisher

DRAFT: Final = StaticPolicy("", "No rivals", "custom", "(?i)rival", "block")


class Node:
    """A process that decides and administers. Tests add the use cases that they need."""

    def __init__(self, path: Path, *, catalog: bool = False) -> None:
        """Opens the store.

        Args:
            path: the database file; several nodes may use the same file.
            catalog: whether to install the catalog that ships with the product.
        """
        url = f"sqlite:///{path}"
        self.store = open_policies(url) if catalog else open_store(url, busy_timeout_s=0.2)
        self.publisher: Publisher = create_publisher(self.store, DEFAULT_RISK_TABLE)
        self.workspace = Workspace(self.store, self.publisher)

    async def outcome(self, text: str = "", tenant_id: str = "acme", model: str = "") -> Outcome:
        """Returns the outcome of a text or a model."""
        snapshot = self.publisher.current(tenant_id) or await self.workspace.load(tenant_id)
        return evaluate(snapshot, Request(text=text, model=model), "id").outcome

    def close(self) -> None:
        """Closes the workspace and the store."""
        self.workspace.close()
        self.store.close()


class Policies(Node):
    """A node that administers static policies."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.policies = StaticPolicies(self.workspace)


@pytest.fixture
def node_class() -> type[Node]:
    """The class of `node` and `other`, a function of the database file; modules override it."""
    return Policies


@pytest.fixture
def node(path: Path, node_class: type[Policies]) -> Iterator[Policies]:
    """A node of the class."""
    node = node_class(path)
    yield node
    node.close()


@pytest.fixture
def other(path: Path, node: Policies, node_class: type[Policies]) -> Iterator[Policies]:
    """A second node on the same database file."""
    other = node_class(path)
    yield other
    other.close()
