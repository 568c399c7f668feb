"""The bound on the number of values in a request, which is checked before they are built."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.request import MAX_VALUES, Request
from pdp.embedded.validation import check
from pdp.errors import InvalidArgument
from pdp.jsonpb.value_count import count_values, has_more_values, value_bound
from pdp.messages.conversion import to_request
from pdp.messages.value_count import check_all_values
from tests.support.http_api import JSON, Api

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text('a"\\,[{é', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('a"\\,[{', max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


def count(value: Any) -> int:
    """Counts the values by walking over them."""
    members = value.values() if isinstance(value, dict) else value
    return 1 + sum(map(count, members)) if isinstance(value, dict | list) else 1


def numbers(total: int) -> dict[str, Any]:
    """Returns an object that has `total` values in all."""
    return {"a": [1] * (total - 2)}


def struct(total: int) -> Struct:
    """Returns a Struct that has `total` values in all."""
    message = Struct()
    message.update(numbers(total))
    return message


def refused(message: pb.DecideRequest) -> list[str]:
    """Returns the fields for which a request is refused."""
    with pytest.raises(InvalidArgument, match="holds more than 100000 values") as caught:
        to_request(message, "acme", "r1")
    return [violation.field for violation in caught.value.violations]


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_the_count_is_exact(value: Any, ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    total = count(value)
    assert count_values(raw, total) == total <= value_bound(raw, total)
    assert count_values(raw, total - 1) == total
    assert not has_more_values(raw, total)
    assert has_more_values(raw, total - 1)


@pytest.mark.parametrize("raw", [b"[" * 10, b"[ ] ", b"{}", b'"[,,,"', b'"[,\\",,', b"", b'"\\'])
def test_text_that_may_not_be_json_is_counted(raw: bytes) -> None:
    assert count_values(raw, 100) == (10 if raw.startswith(b"[[") else 1)


@pytest.mark.parametrize(
    "part", [b'"', b'"\\', b"[", b"[ ", b"{ }", b'"\\"', b"x", b"\\", b"[[]", b'"a" ', b" "]
)
def test_the_count_takes_linear_time(part: bytes) -> None:
    """An expression that backtracks would take hours."""
    begin = time.perf_counter()
    count_values(part * (1_000_000 // len(part)), 10_000_000)
    assert time.perf_counter() - begin < 30


def test_a_body_holds_a_bounded_number_of_values() -> None:
    """The body itself counts as a value, and so do all its members."""
    api = Api()
    for total, status in ((MAX_VALUES, 200), (MAX_VALUES + 1, 400)):
        body = json.dumps({"arguments": numbers(total - 1)}).encode()
        assert api.request("POST", "/v1/decide", body, JSON).status == status
    reply = api.request("POST", "/v1/decide", body, JSON)
    assert reply.error == (400, "INVALID_ARGUMENT")
    reason = "holds more than 100000 JSON values"
    assert reply.json["error"]["details"] == [{"field": "body", "reason": reason}]


def test_a_text_with_many_commas_is_one_value() -> None:
    body = json.dumps({"content": {"text": '",[{' * 100_000}}).encode()
    assert Api().request("POST", "/v1/decide", body, JSON).status == 200


@pytest.mark.parametrize(("total", "status"), [(500_000, 200), (500_001, 400)])
def test_an_import_may_hold_more_values(total: int, status: int) -> None:
    """A tenant may have 10,000 DLP rules, each with up to 50 values."""
    body = json.dumps([[1] * (total - 2)]).encode()
    reply = Api().request("POST", "/api/admin/dlp-rules/import", body, JSON)
    assert reply.status == status


def test_arguments_hold_a_bounded_number_of_values() -> None:
    to_request(pb.DecideRequest(arguments=struct(MAX_VALUES)), "acme", "r1")
    text = json.dumps(numbers(MAX_VALUES))
    to_request(pb.DecideRequest(arguments_json=text), "acme", "r1")
    text = json.dumps(numbers(MAX_VALUES + 1))
    assert refused(pb.DecideRequest(arguments=struct(MAX_VALUES + 1))) == ["arguments"]
    assert refused(pb.DecideRequest(arguments_json=text)) == ["arguments_json"]


def test_small_values_count_too() -> None:
    """A Value that is not set takes two bytes."""
    message = pb.DecideRequest()
    items = message.arguments.fields["a"].list_value.values
    for _ in range(MAX_VALUES - 2):
        items.add()
    to_request(message, "acme", "r1")
    items.add()
    assert refused(message) == ["arguments"]


def test_the_documents_of_a_request_count_together() -> None:
    third = MAX_VALUES // 3
    message = pb.DecideRequest(arguments=struct(third), context_json=json.dumps(numbers(third)))
    message.subject.attributes.update(numbers(third + 1))
    to_request(message, "acme", "r1")
    message.subject.attributes.update(numbers(third + 2))
    assert refused(message) == ["subject.attributes"]


def test_the_requests_of_a_batch_count_together() -> None:
    half = MAX_VALUES // 2
    text = json.dumps(numbers(half))
    requests = [pb.DecideRequest(arguments=struct(half)), pb.DecideRequest(arguments_json=text)]
    check_all_values(requests, "requests")
    requests.append(pb.DecideRequest(context_json="{}"))
    with pytest.raises(InvalidArgument) as caught:
        check_all_values(requests, "requests")
    assert caught.value.violations[0].field == "requests[2].context_json"


def test_nested_lists_and_objects_of_a_struct_count() -> None:
    message = pb.DecideRequest()
    message.arguments.update({"a": [{"b": [[1] * 10_000]} for _ in range(11)]})
    assert refused(message) == ["arguments"]


@pytest.mark.parametrize("field", ["arguments", "context"])
def test_a_request_of_this_process_holds_a_bounded_number_of_values(field: str) -> None:
    check(Request(**{field: numbers(MAX_VALUES)}))  # type: ignore[arg-type] # a document
    with pytest.raises(InvalidArgument) as caught:
        check(Request(**{field: numbers(MAX_VALUES + 1)}))  # type: ignore[arg-type] # as above
    assert [violation.field for violation in caught.value.violations] == [field]
