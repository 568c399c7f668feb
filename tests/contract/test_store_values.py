"""The contract of values: which values are stored exactly, and which are refused before a write."""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.domain.stored_entity import StoredEntity
from pdp.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.store.port import Store

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # NUL is allowed in a body, because JSON escapes it.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NUMBERS = count()


def put(
    store: Store, entity: StoredEntity, actor: str = "ann", summary: str = "Put"
) -> StoredEntity:
    with store.write() as transaction:
        return transaction.put(entity, actor=actor, summary=summary)


@settings(
    max_examples=60,
    deadline=None,  # each example waits for a disk
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # one store serves all examples
)
@given(kind=TEXT, tenant=TEXT, entity=TEXT, name=TEXT, note=TEXT, body=st.dictionaries(TEXT, JSON))
def test_values_are_read_exactly_as_they_were_stored(
    store: Store, *, kind: str, tenant: str, entity: str, name: str, note: str, body: dict[str, Any]
) -> None:
    name = f"{next(NUMBERS)}:{name}"
    stored = put(store, StoredEntity(kind, tenant, entity, body, name), note, note)
    with store.view() as reader:
        assert reader.get(kind, tenant, entity) == reader.find(kind, tenant, name) == stored
        assert stored in reader.list(kind, tenant)
        change = reader.history(kind, tenant, entity)[0]
        assert tenant in reader.tenants()
    assert (stored.kind, stored.tenant_id, stored.id, stored.name) == (kind, tenant, entity, name)
    assert stored.body == change.after == body
    assert (change.kind, change.tenant_id, change.entity_id) == (kind, tenant, entity)
    assert (change.actor, change.summary) == (note, note)


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b"], ids=["NUL", "surrogate"])
@pytest.mark.parametrize("field", ["kind", "tenant_id", "id", "name", "actor", "summary"])
def test_a_text_that_some_backend_cannot_store_is_refused(
    store: Store, field: str, bad: str
) -> None:
    fields = dict.fromkeys(("kind", "tenant_id", "id", "name", "actor", "summary"), "x")
    fields[field] = bad
    actor, summary = fields.pop("actor"), fields.pop("summary")
    with store.write() as transaction:
        with pytest.raises(InvalidArgument) as refusal:
            transaction.put(StoredEntity(**fields, body={}), actor=actor, summary=summary)  # type: ignore[arg-type]  # all fields are texts
        transaction.put(StoredEntity("kind", "acme", "good", {}), actor="ann", summary="Put")
    assert [violation.field for violation in refusal.value.violations] == [field]
    assert bad not in str(refusal.value)
    with store.view() as reader:
        assert [change.entity_id for change in reader.changes(0)] == ["good"]


@pytest.mark.parametrize("bad", ["p1\0", "p1\ud800"], ids=["NUL", "surrogate"])
def test_a_lookup_with_a_text_that_cannot_be_stored_finds_nothing(store: Store, bad: str) -> None:
    put(store, StoredEntity("policy", "acme", "p1", {}, "p1"))
    with store.write() as transaction:
        assert transaction.get("policy", "acme", bad) is None
        assert transaction.find("policy", "acme", bad) is None
        assert not transaction.list(bad, "acme")
        assert not transaction.list_tenant(bad)
        assert not transaction.history("policy", "acme", bad)
        with pytest.raises(KeyError):
            transaction.delete("policy", "acme", bad, actor="ann", summary="Deleted")
        assert transaction.get("policy", "acme", "p1") is not None


@pytest.mark.parametrize(
    "body",
    [{"n": math.nan}, {"n": [math.inf]}, {"t": "\udfff"}, {"\ud800": 1}],
    ids=["NaN", "infinity", "surrogate", "surrogate key"],
)
def test_a_body_that_is_not_json_is_refused(store: Store, body: Mapping[str, Any]) -> None:
    with store.write() as transaction:
        with pytest.raises(InvalidArgument, match="body"):
            transaction.put(StoredEntity("policy", "acme", "p1", body), actor="ann", summary="Put")
        assert transaction.get("policy", "acme", "p1") is None
        assert not transaction.changes(0)


def test_bodies_of_megabytes_are_stored(store: Store) -> None:
    body = {"patterns": [f"{n}é" * 100 for n in range(20_000)]}
    stored = put(store, StoredEntity("policy", "acme", "p1", body))
    put(store, StoredEntity("policy", "acme", "p1", {}))
    with store.view() as reader:
        assert reader.history("policy", "acme", "p1")[0].before == body == stored.body


def test_a_later_change_of_the_body_object_does_not_change_the_stored_entity(store: Store) -> None:
    body: dict[str, Any] = {"list": [1]}
    with store.write() as transaction:
        stored = transaction.put(
            StoredEntity("policy", "acme", "p1", body), actor="ann", summary="Put"
        )
        body["list"].append(2)
        assert transaction.new_changes[0].after == stored.body == {"list": [1]}
