"""Absent lists and empty ones: JSON_FORM_LIST in decoding, encoding and paths of errors."""

from __future__ import annotations

import pytest

from pdp._gen.pdp.v1 import org_policy_pb2 as pb
from pdp._gen.pdp.v1 import simulate_pb2
from pdp.errors import InvalidArgument
from pdp.jsonpb import decode, encode
from pdp.jsonpb.fields import Unsupported, bare_list
from pdp.messages.validation import validate

RULE = {"name": "A", "notify": {"slack_webhook_url": "https://hooks.slack.com/x"}}


def decoded(data: object) -> pb.UpdateOrgPolicyRequest:
    message = pb.UpdateOrgPolicyRequest()
    decode(data, message)
    return message


def invalid_fields(data: object) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        validate(decoded(data))
    return [violation.field for violation in caught.value.violations]


@pytest.mark.parametrize("data", [{}, {"alert_rules": None}, {"alertRules": None}])
def test_a_list_that_is_not_sent_is_absent(data: object) -> None:
    assert not decoded(data).HasField("alert_rules")
    assert "alert_rules" not in encode(decoded(data))


def test_an_empty_list_is_present() -> None:
    message = decoded({"alert_rules": []})
    assert message.HasField("alert_rules")
    assert encode(message)["alert_rules"] == []


def test_a_list_is_encoded_as_it_was_decoded() -> None:
    data = {"alert_rules": [{**RULE, "condition": {}}, RULE]}
    assert encode(decoded(data))["alert_rules"] == data["alert_rules"]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"alert_rules": []}, "alert_rules"),
        ("x", "alert_rules"),
        ([RULE, 3], "alert_rules[1]"),
        ([{"nome": "A"}], "alert_rules[0].nome"),
    ],
)
def test_decoding_errors_have_the_path_of_the_bare_list(value: object, field: str) -> None:
    assert invalid_fields({"alert_rules": value}) == [field]


def test_validation_errors_have_the_path_of_the_bare_list() -> None:
    assert invalid_fields({"alert_rules": [RULE, {**RULE, "name": ""}]}) == ["alert_rules[1].name"]
    assert invalid_fields({"alert_rules": [RULE] * 101}) == ["alert_rules"]
    request = simulate_pb2.SimulateRequest()
    decode({"overlay": {"org_policy": {"alert_rules": [{**RULE, "name": " "}]}}}, request)
    with pytest.raises(InvalidArgument) as caught:
        validate(request)
    path = "overlay.org_policy.alert_rules[0].name"
    assert [violation.field for violation in caught.value.violations] == [path]


def test_only_a_list_of_the_same_name_can_be_bare() -> None:
    fields = pb.UpdateOrgPolicyRequest.DESCRIPTOR.fields_by_name
    assert (
        bare_list(fields["alert_rules"]) is pb.AlertRules.DESCRIPTOR.fields_by_name["alert_rules"]
    )
    assert bare_list(fields["logging_level"]) is None
    options = fields["alert_rules"].GetOptions()

    class OtherField:
        """A field with this form whose message is not a list of its name."""

        name = "frameworks"
        full_name = "pdp.v1.UpdateOrgPolicyRequest.frameworks"
        is_repeated = False
        message_type = fields["frameworks"].message_type

        @staticmethod
        def GetOptions() -> object:  # noqa: N802 - the name in protobuf
            return options

    with pytest.raises(Unsupported):
        bare_list(OtherField())  # type: ignore[arg-type] # simulates an invalid contract
