"""Actions and their patterns, whatever is written for one: refused by name, or found."""

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
NEARLY = st.lists(SEGMENT, min_size=1, max_size=5).map(":".join)
WORDS = NEARLY | st.text(max_size=40) | st.sampled_from(["a:b:c", "a:b:c.d", "*:*:*", "a:*:c"])
DOCUMENTS = st.dictionaries(
    st.sampled_from(LISTS), st.lists(WORDS | st.none() | st.integers(), max_size=4)
)


@given(DOCUMENTS, NEARLY | WORDS)
def test_documents_are_refused_by_name_or_compiled(document: dict[str, Any], action: str) -> None:
    wrong = list(find_violations(document))
    if wrong:
        assert all(fault.field.split("[")[0] in LISTS and fault.reason for fault in wrong)
        return
    customer = compile_customer(CustomerPolicy("c", document))
    if is_action(action):
        hits = customer.hits(Request(action=action))
        assert hits.blocked is not None or action not in document.get("blocked_actions", ())


@given(WORDS)
def test_what_is_no_action_is_no_request(action: str) -> None:
    """Upper case, letters that look alike and characters that do not show slip past nothing."""
    asked = pb.DecideRequest(action=action)
    if not action or is_action(action):
        assert to_request(asked, "acme", "r1").action == action
        return
    with pytest.raises(InvalidArgument) as refused:
        to_request(asked, "acme", "r1")
    assert [fault.field for fault in refused.value.violations] == ["action"]
