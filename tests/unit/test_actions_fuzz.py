"""Any text as an action or an action pattern: refused with the name of the field, or accepted."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.customer_policy import CustomerPolicy, find_violations
from pdp.domain.request import Request
from pdp.engine.rules.customers import compile_customer
from pdp.errors import InvalidArgument
from pdp.messages.conversion import to_request

is_action = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*:[a-z][a-z0-9_]*(\.[a-z0-9_]+)*").fullmatch

LISTS = ("blocked_actions", "blocked_action_patterns", "allowed_action_patterns")
SEGMENT = st.text("ab*_.:\u0430\u200bA1 ", max_size=4)
ALMOST_ACTIONS = st.lists(SEGMENT, min_size=1, max_size=5).map(":".join)
WORDS = (
    ALMOST_ACTIONS | st.text(max_size=40) | st.sampled_from(["a:b:c", "a:b:c.d", "*:*:*", "a:*:c"])
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(LISTS), st.lists(WORDS | st.none() | st.integers(), max_size=4)
)


@given(DOCUMENTS, ALMOST_ACTIONS | WORDS)
def test_documents_are_refused_with_field_names_or_compiled(
    document: dict[str, Any], action: str
) -> None:
    violations = list(find_violations(document))
    if violations:
        assert all(each.field.split("[")[0] in LISTS and each.reason for each in violations)
        return
    customer = compile_customer(CustomerPolicy("c", document))
    if is_action(action):
        hits = customer.hits(Request(action=action))
        assert hits.blocked is not None or action not in document.get("blocked_actions", ())


@given(WORDS)
def test_a_request_with_an_invalid_action_is_refused(action: str) -> None:
    """Upper case, look-alike letters and invisible characters are refused too."""
    message = pb.DecideRequest(action=action)
    if not action or is_action(action):
        assert to_request(message, "acme", "r1").action == action
        return
    with pytest.raises(InvalidArgument) as caught:
        to_request(message, "acme", "r1")
    assert [fault.field for fault in caught.value.violations] == ["action"]
