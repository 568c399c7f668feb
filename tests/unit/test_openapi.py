"""The OpenAPI document matches the server: routes, bounds, JSON forms and comments."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import descriptor_pb2

from pdp.errors import InvalidArgument
from pdp.jsonpb import decode, decode_text, encode
from pdp.messages.contracts import bounded_class
from pdp.messages.validation import validate
from pdp.transport.http.binding import WHOLE, Binding, bindings
from pdp.transport.http.responses import NO_CONTENT
from pdp.transport.methods import methods, services
from pdp.transport.status import STATUSES
from tests.support.json_schemas import schema_errors
from tools.openapi.bounds import UnsupportedRule, bounds
from tools.openapi.comments import first_sentence, read_comments

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: dict[str, Any] = json.loads(
    (resources.files("pdp._gen") / "openapi.json").read_text(encoding="utf-8")
)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
ROUTES = [each for method in methods() if not method.bidirectional for each in bindings(method)]


def operation(route: Binding) -> dict[str, Any]:
    """Returns the operation of a route in the document."""
    described: dict[str, Any] = DOCUMENT["paths"][route.template][route.http_method.lower()]
    return described


def operations() -> Iterator[dict[str, Any]]:
    """Yields every operation of the document."""
    for path in DOCUMENT["paths"].values():
        yield from path.values()


def media(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the JSON content of a body or response; empty if it has none."""
    json_content: dict[str, Any] = content.get("content", {}).get("application/json", {})
    return json_content


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema that a reference points to."""
    target: dict[str, Any] = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    return target


def document_errors(value: object, schema: dict[str, Any]) -> list[str]:
    """Returns the errors of a value under a schema of the document."""
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    return schema_errors(value, whole)


by_name = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.method.name)
with_body = pytest.mark.parametrize(
    "route", [each for each in ROUTES if each.body], ids=lambda route: route.method.name
)


def test_the_document_is_valid_openapi() -> None:
    # It imports jsonschema, see tests.support.json_schemas.
    from openapi_spec_validator import validate as validate_document  # noqa: PLC0415

    validate_document(DOCUMENT)


def test_the_document_has_exactly_the_annotated_rpcs() -> None:
    assert sorted(each["operationId"] for each in operations()) == sorted(
        route.method.name for route in ROUTES
    )
    assert {each["name"] for each in DOCUMENT["tags"]} == {each.name for each in services()}


@by_name
def test_the_success_status_is_the_one_in_the_contract(route: Binding) -> None:
    statuses = [int(status) for status in operation(route)["responses"]]
    assert [status for status in statuses if status < 300] == [route.method.success_status]


@by_name
def test_parameters_and_body_match_the_binding(route: Binding) -> None:
    parameters = {(each.get("name"), each.get("in")) for each in operation(route)["parameters"]}
    assert {name for name, place in parameters if place == "path"} == {
        each.name for each in route.path
    }
    assert {name for name, place in parameters if place == "query"} == {
        each.name for each in route.query.values()
    }
    assert ("requestBody" in operation(route)) == bool(route.body)


def test_every_element_has_its_comment() -> None:
    for each in operations():
        assert each["summary"]
        assert each["description"].startswith(each["operationId"])
    for name, schema in SCHEMAS.items():
        assert schema["description"].startswith(name.removesuffix("Input")) or name == "Error"
        for field, member in schema.get("properties", {}).items():
            assert member.get("description", "").startswith(field) or name == "Error", (name, field)


@with_body
def test_an_empty_body_violates_what_the_schema_requires(route: Binding) -> None:
    """The schema and the server require the same fields, for every body."""
    schema = media(operation(route)["requestBody"])["schema"]
    missing: set[str] = set()
    try:
        validate(route.method.request())
    except InvalidArgument as error:
        missing = {field for field, _ in error.violations}
    missing -= {each.name for each in route.path}  # a path without them is another route
    if route.body == WHOLE:
        assert missing == set(resolved(schema).get("required", []))
    else:
        assert missing <= {route.body}


@by_name
def test_an_example_is_valid_for_schema_and_server(route: Binding) -> None:
    described = operation(route)
    if route.body:
        body = media(described["requestBody"])
        assert document_errors(body["example"], body["schema"]) == []
        message = route.method.request()
        example = body["example"]
        decode(example if route.body == WHOLE else {route.body: example}, message)
        for each in route.path:
            decode_text("1", each.parent(message), each.field)
        validate(message)
    if route.method.success_status == NO_CONTENT:
        assert "content" not in described["responses"][str(NO_CONTENT)]
        return
    answer = media(described["responses"][str(route.method.success_status)])
    if "example" in answer:
        assert document_errors(answer["example"], answer["schema"]) == []


@by_name
def test_a_response_has_what_its_schema_requires(route: Binding) -> None:
    """An empty response holds exactly the required fields."""
    encoded: Any = encode(route.method.response())
    if route.method.success_status == NO_CONTENT:
        assert encoded == {}
        return
    schema = media(operation(route)["responses"][str(route.method.success_status)]).get("schema")
    if schema is None:
        assert route.method.success_status == 204 or route.method.server_streaming
    elif not route.response_body:
        assert sorted(encoded) == sorted(resolved(schema).get("required", []))


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ("DecideRequest", {"tenant_id": ""}, {"tenant_id": "a b"}),
        ("DecideRequest", {"tenant_id": None}, {"tenantId": "a"}),
        ("DecideRequest", {"min_revision": 2**53 - 1}, {"min_revision": 2**53}),
        ("DecideRequest", {"min_revision": 1.0}, {"min_revision": 1.5}),
        ("DecideRequest", {"direction": ""}, {"direction": "sideways"}),
        ("DecideRequest", {"request_id": "é" * 256}, {"request_id": "é" * 257}),
        ("DecideRequest", {"arguments": {"a": [None, {}]}}, {"arguments": []}),
        ("DecideRequest", {"subject": None}, {"subject": {"groups": [None]}}),
        ("DecideRequest", {"entities": [{"entity_type": "X"}]}, {"entities": [{}]}),
        ("ToggleStaticPolicyRequest", {"enabled": False}, {"enabled": None}),
        ("TestStaticPatternRequest", {"pattern": "a", "test_inputs": [""]}, {"pattern": "a"}),
    ],
)
def test_schema_and_server_agree(schema: str, good: object, bad: object) -> None:
    assert document_errors(good, {"$ref": f"#/components/schemas/{schema}"}) == []
    assert document_errors(bad, {"$ref": f"#/components/schemas/{schema}"})
    kind = next(each.method.request for each in ROUTES if each.method.request.__name__ == schema)
    message = kind()
    decode(good, message)
    validate(message)


def test_a_path_parameter_is_not_in_the_body() -> None:
    assert "id" not in SCHEMAS["UpdateStaticPolicyRequest"]["properties"]


def test_a_field_that_can_be_null_has_a_nullable_schema() -> None:
    policy = SCHEMAS["StaticPolicy"]
    assert policy["properties"]["created_at"]["type"] == ["string", "null"]
    assert "created_at" in policy["required"]
    override = SCHEMAS["EffectiveStaticPolicy"]
    assert {"type": "null"} in override["properties"]["override"]["anyOf"]
    assert "override" not in override["required"]


def test_errors_match_the_table_of_statuses() -> None:
    assert SCHEMAS["Error"]["properties"]["error"]["properties"]["code"]["enum"] == sorted(STATUSES)
    for reason, example in DOCUMENT["components"]["examples"].items():
        assert example["value"]["error"]["code"] == reason
        assert document_errors(example["value"], {"$ref": "#/components/schemas/Error"}) == []
    create = DOCUMENT["paths"]["/api/v1/static-policies"]["post"]["responses"]
    assert sorted(create) == [
        "201", "400", "401", "403", "409", "413", "415", "429", "500", "503", "504",
    ]  # fmt: skip
    decide = DOCUMENT["paths"]["/v1/decide"]["post"]["responses"]
    assert decide["400"] == {"$ref": "#/components/responses/InvalidArgumentOrMalformedRequest"}


def test_a_rule_without_a_translation_stops_the_generator() -> None:
    """Otherwise the document would accept what the server refuses."""
    rules: Any = bounded_class("buf.validate.FieldRules")()
    rules.string.uuid = True
    with pytest.raises(UnsupportedRule, match=r"no JSON Schema for string\.uuid"):
        bounds(rules, "id")


def test_comments_are_read_by_full_name() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", package="x")
    message = file.message_type.add(name="A")
    message.nested_type.add(name="B").field.add(name="c")
    message.enum_type.add(name="E").value.add(name="E_F")
    for path, text in (
        ((4, 0), " A is a\n message.\n\n It has\n more.\n\n     code: 1\n     code: 2\n"),
        ((4, 0, 3, 0, 2, 0), " c is. And more.\n"),
        ((4, 0, 4, 0, 2, 0), " E_F is.\n\n - one\n   item\n - another\n"),
        ((12,), " the syntax\n"),
    ):
        file.source_code_info.location.add(path=path, leading_comments=text)
    assert read_comments(descriptor_pb2.FileDescriptorSet(file=[file])) == {
        "x.A": "A is a message.\n\nIt has more.\n\n    code: 1\n    code: 2",
        "x.A.B.c": "c is. And more.",
        "x.A.E.E_F": "E_F is.\n\n- one item\n- another",
    }
    assert first_sentence("c is. And more.") == "c is"
