"""What the store knows of approvals: how many are open, which are due, and which are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp.domain.approval import CONFIRMATION_KIND, KIND
from pdp.domain.stored_entity import StoredEntity

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.store.port import Store


def put(
    store: Store, approval_id: str, tenant: str = "acme", kind: str = KIND, **body: Any
) -> None:
    body = {"state": "pending", "subject": "s", "expires_at": 100.0, **body}
    with store.write() as transaction:
        entity = StoredEntity(kind, tenant, approval_id, body)
        transaction.put(entity, actor="ann", summary="Put")


def ids(store: Store, kind: str = KIND, tenant: str = "acme") -> list[str]:
    with store.view() as reader:
        return [each.id for each in reader.list(kind, tenant)]


def test_open_ones_are_counted_by_tenant_and_subject(open_store: Callable[..., Store]) -> None:
    store = open_store()
    put(store, "1")
    put(store, "2", state="approved")
    put(store, "3", subject="other")
    put(store, "4", tenant="umbrella")
    for number, state in enumerate(("used", "denied", "cancelled", "expired")):
        put(store, f"closed{number}", state=state)
    put(store, "5", kind="policy")
    put(store, "6", kind=CONFIRMATION_KIND)
    with store.write() as transaction:
        assert transaction.count_open_approvals("acme") == 3
        assert transaction.count_open_approvals("acme", "s") == 2
        assert transaction.count_open_approvals("acme", "x") == 0
        assert transaction.count_open_approvals("nobody") == 0
        transaction.delete(KIND, "acme", "1", actor="ann", summary="Deleted")
        assert transaction.count_open_approvals("acme", "s") == 1


def test_due_ones_are_open_and_over(open_store: Callable[..., Store]) -> None:
    store = open_store()
    put(store, "late", expires_at=90.0)
    put(store, "later", tenant="umbrella", state="approved", expires_at=80.0)
    put(store, "exactly", expires_at=100.0)
    put(store, "not yet", expires_at=100.5)
    put(store, "closed", state="used", expires_at=1.0)
    put(store, "other", kind="policy", expires_at=1.0)
    with store.view() as reader:
        due = reader.due_approvals(100.0)
        assert [each.id for each in due] == ["later", "late", "exactly"]
        assert due[0].tenant_id == "umbrella"
        assert [each.id for each in reader.due_approvals(100.0, 1)] == ["later"]
        assert reader.due_approvals(1.0) == ()


def test_old_closed_ones_are_forgotten(open_store: Callable[..., Store]) -> None:
    store = open_store()
    put(store, "old", state="used", expires_at=10.0)
    put(store, "new", state="used", expires_at=30.0)
    put(store, "open", expires_at=10.0)
    put(store, "old", kind=CONFIRMATION_KIND, state="used", expires_at=10.0)
    put(store, "new", kind=CONFIRMATION_KIND, state="used", expires_at=30.0)
    put(store, "old", kind="policy", state="used", expires_at=10.0)
    with store.write() as transaction:
        revision = transaction.revision()
        assert transaction.forget_approvals(5.0, 20.0, 1000) == 1  # each kind has its own time
    assert ids(store, CONFIRMATION_KIND) == ["new"]
    with store.write() as transaction:
        assert transaction.forget_approvals(20.0, 20.0, 1000) == 1
        assert transaction.revision() == revision
        assert transaction.creation_time(KIND, "acme", "old") == 0.0
        assert len(transaction.history(KIND, "acme", "old")) == 1  # the change log has it
    assert ids(store) == ["new", "open"]
    assert ids(store, "policy") == ["old"]


def test_a_tenant_with_too_many_loses_its_oldest_closed_ones(
    open_store: Callable[..., Store],
) -> None:
    store = open_store()
    for number in range(6):
        put(store, str(number), state="pending" if number == 0 else "used")
        put(store, str(number), tenant="small" if number < 3 else "umbrella", state="used")
    with store.write() as transaction:
        assert transaction.forget_approvals(0.0, 0.0, 4) == 2
        assert transaction.forget_approvals(0.0, 0.0, 4) == 0
    assert ids(store) == ["0", "3", "4", "5"]
    assert len(ids(store, tenant="small")) == len(ids(store, tenant="umbrella")) == 3


def test_they_are_no_policies_of_a_tenant(open_store: Callable[..., Store]) -> None:
    """Loading a tenant does not read them."""
    store = open_store()
    put(store, "1")
    put(store, "2", kind=CONFIRMATION_KIND)
    put(store, "3", kind="policy")
    with store.view() as reader:
        assert [each.id for each in reader.list_tenant("acme")] == ["3"]
        assert reader.tenants() == {"acme"}
