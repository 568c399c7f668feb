"""Path, query and body become a message as the annotations say, or are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from pdp._gen.pdp.v1 import static_policy_pb2 as policies
from pdp.errors import InvalidArgument, PdpError
from pdp.transport.http.binding import Binding, bind, bindings
from pdp.transport.methods import Method, methods

METHODS = {method.name: method for method in methods()}


def route(name: str) -> Binding:
    """Returns the route of an RPC."""
    return next(bindings(METHODS[name]))


def bind_to(name: str, *variables: bytes, query: bytes = b"", body: bytes = b"") -> Any:
    """Returns the message of an RPC's request."""
    return bind(route(name), variables, query, body)


def violations(
    name: str, *variables: bytes, query: bytes = b"", body: bytes = b""
) -> dict[str, str]:
    """Returns why each field is refused."""
    with pytest.raises(PdpError) as caught:
        bind_to(name, *variables, query=query, body=body)
    return dict(caught.value.violations)


def test_a_query_is_read_by_type() -> None:
    message = bind_to(
        "ListStaticPolicies", query=b"enabled=true&category=security&page=2&pageSize=9"
    )
    assert message == policies.ListStaticPoliciesRequest(
        enabled=True, category="security", page=2, page_size=9
    )


def test_a_query_is_decoded() -> None:
    assert bind_to("ListStaticPolicies", query=b"c%61tegory=a+b%2Bc%26&&").category == "a b+c&"


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        (b"enabled=1", "enabled", "must be true or false"),
        (b"enabled=True", "enabled", "must be true or false"),
        (b"enabled", "enabled", "must be true or false"),
        (b"page=x", "page", "must be an integer"),
        (b"page=1.0", "page", "must be an integer"),
        (b"page=+1", "page", "must be an integer"),
        (b"page=%201", "page", "must be an integer"),
        (b"page=1_000", "page", "must be an integer"),
        (b"page=", "page", "must be an integer"),
        (b"page=" + b"9" * 5000, "page", "must be an integer"),
        (b"page=2147483648", "page", "must be between -2147483648 and 2147483647"),
        (b"page=1&page=1", "page", "is given twice"),
        (b"page_size=1&pageSize=1", "page_size", "is given twice"),
        (b"nope=1", "nope", "unknown query parameter"),
        (b"=1", "", "unknown query parameter"),
        (b"page=%zz", "page", "malformed percent-encoding"),
        (b"category=%ff", "category", "not UTF-8"),
        (b"%ff=1", "query", "not UTF-8"),
    ],
)
def test_an_invalid_query_is_refused(query: bytes, field: str, reason: str) -> None:
    assert violations("ListStaticPolicies", query=query) == {field: reason}


def test_all_invalid_parameters_are_named() -> None:
    assert violations("ListStaticPolicies", query=b"a=1&page=x&enabled=") == {
        "a": "unknown query parameter",
        "page": "must be an integer",
        "enabled": "must be true or false",
    }


def test_a_whole_body_allows_no_query() -> None:
    assert violations("Decide", query=b"explain=true", body=b"{}") == {
        "explain": "unknown query parameter"
    }


def test_a_variable_is_merged_with_the_body() -> None:
    message = bind_to("ToggleStaticPolicy", b"pol%5F1", body=b'{"enabled": false}')
    assert message == policies.ToggleStaticPolicyRequest(id="pol_1", enabled=False)


def test_a_variable_may_be_repeated_in_the_body_but_not_differ() -> None:
    body = b'{"id": "pol_1", "enabled": true}'
    assert bind_to("ToggleStaticPolicy", b"pol_1", body=body).id == "pol_1"
    assert violations("ToggleStaticPolicy", b"pol_2", body=body) == {"id": "differs from the path"}


def test_one_error_names_the_problems_of_path_query_and_body() -> None:
    assert violations(
        "ToggleStaticPolicy", b"a", query=b"x=1", body=b'{"id": "b", "enabled": 1}'
    ) == {
        "enabled": "must be true or false, not a number",
        "id": "differs from the path",
        "x": "unknown query parameter",
    }


def test_a_required_body_must_be_sent() -> None:
    """An empty body is not JSON. A caller that lost its body must not get ALLOW."""
    assert violations("Decide") == {"body": "is required"}


def test_an_unexpected_body_is_refused() -> None:
    assert violations("DeleteStaticPolicy", b"pol_1", body=b"{}") == {"body": "must be empty"}


def test_streams_have_no_route() -> None:
    assert not list(bindings(METHODS["DecideStream"]))


# Annotations of every kind, on a message type for this test.

_FIELD = descriptor_pb2.FieldDescriptorProto
_NUMBERS = iter(range(1000))


def message_type(name: str) -> descriptor_pb2.DescriptorProto:
    """Returns a message type with a field of each kind that a path or query may or may not set."""
    message = descriptor_pb2.DescriptorProto(name=name)
    scalars = {"id": _FIELD.TYPE_STRING, "count": _FIELD.TYPE_INT64, "ratio": _FIELD.TYPE_DOUBLE}
    for index, (field, kind) in enumerate(scalars.items()):
        message.field.add(name=field, number=index + 1, type=kind, label=_FIELD.LABEL_OPTIONAL)
    message.field.add(name="tags", number=4, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_REPEATED)
    for number, field, type_name in (
        (5, "model", ".pdp.v1.Model"),
        (6, "at", ".google.protobuf.Timestamp"),
    ):
        added = message.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
        added.type, added.type_name = _FIELD.TYPE_MESSAGE, type_name
    return message


def method_with(template: str, *, body: str = "", response_body: str = "") -> Method:
    """Returns a new RPC with the annotation."""
    number = next(_NUMBERS)
    file = descriptor_pb2.FileDescriptorProto(
        name=f"tests/binding{number}.proto",
        package="pdp.tests",
        syntax="proto3",
        dependency=["pdp/v1/decide.proto", "google/protobuf/timestamp.proto"],
        message_type=[message_type(f"Ask{number}")],
    )
    type_name = f".pdp.tests.Ask{number}"
    service = file.service.add(name=f"Service{number}")
    rpc = service.method.add(name="Ask", input_type=type_name, output_type=type_name)
    rule = rpc.options.Extensions[annotations_pb2.http]
    rule.post, rule.body, rule.response_body = template, body, response_body
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindServiceByName(f"pdp.tests.Service{number}").methods[0]
    message = GetMessageClass(descriptor.input_type)
    return replace(METHODS["Decide"], request=message, response=message, descriptor=descriptor)


def test_a_body_may_fill_one_field_and_the_query_the_rest() -> None:
    binding = next(bindings(method_with("/asks/{id}/{model.provider}", body="model")))
    message: Any = bind(
        binding,
        (b"a", b"openai"),
        b"tags=x&tags=y&ratio=-1.5e3&count=-7&at=2025-01-02T10:00:00Z",
        b'{"model": "gpt-4o"}',
    )
    assert (message.id, message.count, message.ratio) == ("a", -7, -1500.0)
    assert (message.model.provider, message.model.model) == ("openai", "gpt-4o")
    assert list(message.tags) == ["x", "y"]
    assert message.at.seconds == 1_735_812_000


def test_a_field_of_a_message_in_the_path_may_not_differ_in_the_body() -> None:
    binding = next(bindings(method_with("/asks/{model.provider}", body="*")))
    with pytest.raises(InvalidArgument, match=r"model\.provider: differs from the path"):
        bind(binding, (b"openai",), b"", b'{"model": {"provider": "other"}}')


@pytest.mark.parametrize("text", ["1e999", "NaN", "Infinity", "0x1", "1.", "", "1" * 400])
def test_a_number_is_finite_and_decimal(text: str) -> None:
    binding = next(bindings(method_with("/asks", body="model")))
    with pytest.raises(InvalidArgument, match="ratio"):
        bind(binding, (), f"ratio={text}".encode(), b"{}")


@pytest.mark.parametrize(
    ("template", "body", "response_body", "reason"),
    [
        ("/asks/{nope}", "*", "", "has no singular field nope"),
        ("/asks/{tags}", "*", "", "has no singular field tags"),
        ("/asks/{model}", "*", "", "no form for a message in a path or query"),
        ("/asks", "nope", "", "has no field nope"),
        ("/asks", "*", "nope", "has no field nope"),
        ("/asks", "", "", "no form for a message in a path or query"),
        ("/asks/{id=a/*}", "*", "", "is neither a literal"),
    ],
)
def test_an_unsupported_annotation_is_detected_at_start(
    template: str, body: str, response_body: str, reason: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=reason):
        list(bindings(method_with(template, body=body, response_body=response_body)))


def test_a_body_that_is_not_an_object_is_an_invalid_value() -> None:
    with pytest.raises(InvalidArgument):
        bind_to("Decide", body=b"[]")
