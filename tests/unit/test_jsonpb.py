"""Our JSON: encoding, decoding, and the error of each invalid value."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import static_policy_pb2 as policies
from pdp.errors import MAX_VIOLATIONS, InvalidArgument, MalformedRequest
from pdp.jsonpb import decode, decode_json, encode


def decoded(data: object) -> pb.DecideRequest:
    """Returns `data` decoded as a DecideRequest."""
    message = pb.DecideRequest()
    decode(data, message)
    return message


def violations(data: object) -> dict[str, str]:
    """Returns why each field of a DecideRequest is refused."""
    with pytest.raises(InvalidArgument) as caught:
        decoded(data)
    return dict(caught.value.violations)


def nested(depth: int) -> dict[str, Any]:
    """Returns a document with `depth` levels."""
    document: dict[str, Any] = {}
    for _ in range(depth - 1):
        document = {"a": document}
    return document


def test_both_forms_of_names_are_accepted() -> None:
    message = decoded({"requestId": "r", "customer_id": "c", "subject": {"userId": "u"}})
    assert (message.request_id, message.customer_id, message.subject.user_id) == ("r", "c", "u")


def test_the_same_field_twice_is_refused() -> None:
    assert violations({"requestId": "a", "request_id": "b"}) == {
        "request_id": "is given twice, as request_id and as requestId"
    }


def test_every_invalid_field_is_named_with_its_path() -> None:
    assert violations(
        {
            "tool": 7,
            "explain": "yes",
            "tols": "x",
            "subject": {"groups": ["a", None, 1], "agent": 1, "risk_score": "0.4"},
            "model": "gpt-4o",
            "entities": [{"start": 1.5}, "SSN", {"entityType": []}],
            "arguments": [],
        }
    ) == {
        "tool": "must be a string, not a number",
        "explain": "must be true or false, not a string",
        "tols": "unknown field; did you mean tool?",
        "subject.groups[1]": "must be a string, not null",
        "subject.groups[2]": "must be a string, not a number",
        "subject.agent": "unknown field; did you mean agent_id?",
        "subject.risk_score": "must be a number, not a string",
        "model": "must be an object, not a string",
        "entities[0].start": "must be an integer, not 1.5",
        "entities[1]": "must be an object, not a string",
        "entities[2].entity_type": "must be a string, not an array",
        "arguments": "must be an object, not an array",
    }


def test_a_prefix_precedes_every_path() -> None:
    with pytest.raises(InvalidArgument, match=r"requests\[3\]\.tool: must be a string"):
        decode({"tool": True}, pb.DecideRequest(), "requests[3].")


def test_an_error_names_a_bounded_number_of_fields() -> None:
    """A body with a million invalid fields gets an error of bounded size."""
    reasons = violations({f"unknown_{index}": 1 for index in range(10_000)})
    assert len(reasons) == MAX_VIOLATIONS


def test_an_error_shortens_a_long_name() -> None:
    (name,) = violations({"x" * 100_000: 1})
    assert len(name) == 64


@pytest.mark.parametrize(
    ("value", "stored"), [(41, 41), (41.0, 41), (1e3, 1000), (-(2**63), -(2**63)), (2**53, 2**53)]
)
def test_whole_numbers_are_integers_however_they_are_written(value: float, stored: int) -> None:
    assert decoded({"min_revision": value}).min_revision == stored


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("min_revision", True, "must be an integer, not a boolean"),
        ("min_revision", "41", "must be an integer, not a string"),
        ("min_revision", 0.5, "must be an integer, not 0.5"),
        ("min_revision", float("inf"), "must be an integer, not a number"),
        ("min_revision", 2**63, f"must be between {-(2**63)} and {2**63 - 1}"),
        ("explain", 1, "must be true or false, not a number"),
        ("tool", "\ud800", "must be valid Unicode: it has half of a surrogate pair"),
        ("arguments", {"\udfff": 1}, "must be valid Unicode: it has half of a surrogate pair"),
        ("arguments", {"a": float("nan")}, "holds a number out of range"),
        ("arguments", {"a": [10**400]}, "holds a number out of range"),
        ("arguments", nested(33), "nested more than 32 deep"),
        ("timestamp", 1_767_225_600, "must be a time such as 2025-01-02T10:00:00Z, not a number"),
    ],
)
def test_an_invalid_value_is_refused(field: str, value: object, reason: str) -> None:
    assert violations({field: value}) == {field: reason}


def test_the_range_is_that_of_the_field() -> None:
    assert violations(
        {"target": {"sensitivity_level": 2**31}, "subject": {"risk_score": 10**400}}
    ) == {
        "target.sensitivity_level": f"must be between {-(2**31)} and {2**31 - 1}",
        "subject.risk_score": "is out of range",
    }


def test_null_means_absent() -> None:
    message = decoded(
        {"tool": None, "subject": None, "arguments": None, "timestamp": None, "entities": None}
    )
    assert message == pb.DecideRequest()


def test_an_empty_object_is_not_absent() -> None:
    message = decoded({"subject": {"userId": None}, "arguments": {}})
    assert message.HasField("subject")
    assert message.arguments_json == "{}"
    assert not message.HasField("context")


def test_documents_keep_every_kind_of_value() -> None:
    document = {
        "s": "é",
        "i": 3,
        "f": 0.5,
        "b": False,
        "n": None,
        "l": [[], {}, [1]],
        "o": {"": ""},
    }
    message = decoded({"arguments": document})
    assert encode(message)["arguments"] == document


def test_documents_may_be_thirty_two_deep() -> None:
    document = nested(32)
    assert encode(decoded({"context": document}))["context"] == document


@pytest.mark.parametrize(
    ("data", "kind"), [([], "an array"), ("x", "a string"), (None, "null"), (1, "a number")]
)
def test_a_body_is_an_object(data: object, kind: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decoded(data)
    assert caught.value.violations == (("body", f"must be an object, not {kind}"),)


def test_a_decision_always_has_its_fields() -> None:
    """Including `false`, `0`, `""` and `[]` (docs/decide.md, JSON rules)."""
    assert encode(pb.DecideResponse(outcome=pb.OUTCOME_ALLOW)) == {
        "decision_id": "",
        "request_id": "",
        "outcome": "ALLOW",
        "allowed": False,
        "message": "",
        "reason_code": "",
        "status_hint": 0,
        "risk": None,
        "obligations": [],
        "warnings": [],
        "matches": [],
        "pii_detected": False,
        "frameworks": [],
        "revision": 0,
        "incomplete": False,
    }


def test_members_are_in_the_order_of_the_contract() -> None:
    response = pb.DecideResponse(trace=[pb.TraceRow()], redacted_text="", retry_after_s=1)
    absent = {"redacted_arguments", "redacted_arguments_json", "redacted_payload"}
    absent |= {"payload_format", "unjudged", "input_hash", "stale", "policies_known_at"}
    names = [field.name for field in pb.DecideResponse.DESCRIPTOR.fields]
    assert list(encode(response)) == [name for name in names if name not in absent]


def test_optional_fields_appear_when_they_are_set() -> None:
    arguments = Struct()
    arguments.update({"sql": "…"})
    encoded = encode(pb.DecideResponse(redacted_text="", redacted_arguments=arguments))
    assert encoded["redacted_text"] == ""
    assert encoded["redacted_arguments"] == {"sql": "…"}


def test_an_override_is_absent_null_or_shown() -> None:
    """Null for a system policy without an override, absent for a policy of the tenant."""
    own = policies.EffectiveStaticPolicy()
    system = policies.EffectiveStaticPolicy(override=policies.AppliedOverride())
    overridden = policies.EffectiveStaticPolicy(override=policies.AppliedOverride(action="block"))
    assert "override" not in encode(own)
    assert encode(system)["override"] is None
    assert encode(overridden)["override"] == {"action": "block", "reason": ""}


def test_large_integers_are_numbers() -> None:
    assert encode(pb.DecideResponse(revision=2**53 - 1))["revision"] == 2**53 - 1


def test_numbers_that_json_does_not_know_are_null() -> None:
    """They can only arrive over gRPC."""
    message = pb.DecideRequest(usage=pb.Usage(cost_usd=float("inf")))
    message.arguments.fields["a"].number_value = float("nan")
    assert encode(message)["usage"]["cost_usd"] is None
    assert encode(message)["arguments"] == {"a": None}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"tool": ', "expected a value at line 1, column 10"),
        (b'{\n"tool" 1}', "expected a colon at line 2, column 8"),
        (b"{} {}", "text after the value at line 1, column 4"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": {"b": 1, "b": 2}}', 'the name "b" occurs twice in one object'),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number has too many digits"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        ("{}".encode("utf-16"), "byte 0 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "expected a value at line 1, column 1"),
    ],
)
def test_invalid_json_is_refused_with_the_position(raw: bytes, reason: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        decode_json(raw)
    assert caught.value.violations == (("body", reason),)


def test_a_repeated_name_is_found_in_linear_time() -> None:
    names = ", ".join(f'"{index}": 1' for index in range(200_000))
    with pytest.raises(MalformedRequest, match='the name "199999" occurs twice'):
        decode_json(f'{{{names}, "199999": 2}}'.encode())
