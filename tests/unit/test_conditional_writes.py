"""Every PUT and PATCH checks `If-Match`; otherwise it could overwrite a change silently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from pdp.admin.workspace import Workspace
from pdp.auth.principal import Principal
from pdp.bootstrap.policies import create_publisher
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.errors import InvalidArgument
from pdp.server import served, wiring
from pdp.store import open_store
from pdp.transport.call import Call, Endpoint
from pdp.transport.http.binding import bindings
from pdp.transport.methods import Method, methods

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADMIN: Final = Principal("admin", tenants=None)
CONDITIONAL: Final = [
    method
    for method in methods()
    if method.writes and {each.http_method for each in bindings(method)} & {"PUT", "PATCH"}
]


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Endpoint]]:
    """The handlers by path, without the guards, which would reject an empty message."""
    store = open_store(f"sqlite:///{tmp_path}/pdp.db")
    publisher = create_publisher(store, DEFAULT_RISK_TABLE)
    workspace = Workspace(store, publisher)
    monkeypatch.setattr(served, "endpoints", lambda _, by_path, __: by_path)
    yield dict(wiring.wire(publisher, workspace).endpoints)
    workspace.close()
    store.close()


@pytest.mark.parametrize("method", CONDITIONAL, ids=lambda method: method.name)
async def test_if_match_is_checked(handlers: dict[str, Endpoint], method: Method) -> None:
    call = Call(method, {"if-match": "no tag"}, "local", principal=ADMIN, tenant_id="acme")
    with pytest.raises(InvalidArgument) as error:
        await handlers[method.path](call, method.request())
    assert [violation.field for violation in error.value.violations] == ["If-Match"]
