"""The API document says what the server does: routes, bounds, forms and comments."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import descriptor_pb2

from pdp._gen.buf.validate import validate_pb2
from pdp.errors import InvalidArgument
from pdp.jsonpb import decode, decode_text, encode
from pdp.messages.validation import validate
from pdp.transport.http.binding import WHOLE, Binding, bindings
from pdp.transport.http.responses import NO_CONTENT
from pdp.transport.methods import methods, services
from pdp.transport.status import STATUSES
from tests.support.json_schemas import schema_errors
from tools.openapi.bounds import Untranslated, bounds
from tools.openapi.comments import comments, first_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: dict[str, Any] = json.loads(
    (resources.files("pdp._gen") / "openapi.json").read_text(encoding="utf-8")
)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
ROUTES = [each for method in methods() if not method.bidirectional for each in bindings(method)]


def operation(route: Binding) -> dict[str, Any]:
    """Returns what the document says of a route."""
    found: dict[str, Any] = DOCUMENT["paths"][route.template][route.http_method.lower()]
    return found


def operations() -> Iterator[dict[str, Any]]:
    """Yields every operation of the document."""
    for path in DOCUMENT["paths"].values():
        yield from path.values()


def media(content: dict[str, Any]) -> dict[str, Any]:
    """Returns what a body or a response holds; nothing for a response without content."""
    found: dict[str, Any] = content.get("content", {}).get("application/json", {})
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema that a reference leads to."""
    found: dict[str, Any] = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    return found


def faults(value: object, schema: dict[str, Any]) -> list[str]:
    """Returns how a value breaks a schema of the document."""
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


def test_every_annotated_rpc_is_there_and_nothing_else() -> None:
    assert sorted(each["operationId"] for each in operations()) == sorted(
        route.method.name for route in ROUTES
    )
    assert {each["name"] for each in DOCUMENT["tags"]} == {each.name for each in services()}


@by_name
def test_success_has_the_status_of_the_contract(route: Binding) -> None:
    statuses = [int(status) for status in operation(route)["responses"]]
    assert [status for status in statuses if status < 300] == [route.method.success_status]


@by_name
def test_what_is_bound_is_what_is_asked_for(route: Binding) -> None:
    named = {(each.get("name"), each.get("in")) for each in operation(route)["parameters"]}
    assert {name for name, place in named if place == "path"} == {each.name for each in route.path}
    assert {name for name, place in named if place == "query"} == {
        each.name for each in route.query.values()
    }
    assert ("requestBody" in operation(route)) == bool(route.body)


def test_everything_has_its_comment() -> None:
    for each in operations():
        assert each["summary"]
        assert each["description"].startswith(each["operationId"])
    for name, schema in SCHEMAS.items():
        assert schema["description"].startswith(name.removesuffix("Input")) or name == "Error"
        for field, member in schema.get("properties", {}).items():
            assert member.get("description", "").startswith(field) or name == "Error", (name, field)


@with_body
def test_a_body_without_members_lacks_what_the_schema_requires(route: Binding) -> None:
    """The law that holds the schema and the server together, for every body there is."""
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
def test_an_example_is_valid_on_both_sides(route: Binding) -> None:
    described = operation(route)
    if route.body:
        body = media(described["requestBody"])
        assert faults(body["example"], body["schema"]) == []
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
        assert faults(answer["example"], answer["schema"]) == []


@by_name
def test_an_answer_has_what_its_schema_requires(route: Binding) -> None:
    """An empty response holds exactly what is always present."""
    written: Any = encode(route.method.response())
    if route.method.success_status == NO_CONTENT:
        assert written == {}
        return
    schema = media(operation(route)["responses"][str(route.method.success_status)]).get("schema")
    if schema is None:
        assert route.method.success_status == 204 or route.method.server_streaming
    elif not route.response_body:
        assert sorted(written) == sorted(resolved(schema).get("required", []))


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
    assert faults(good, {"$ref": f"#/components/schemas/{schema}"}) == []
    assert faults(bad, {"$ref": f"#/components/schemas/{schema}"})
    kind = next(each.method.request for each in ROUTES if each.method.request.__name__ == schema)
    message = kind()
    decode(good, message)
    validate(message)


def test_what_is_bound_in_the_path_is_not_in_the_body() -> None:
    assert "id" not in SCHEMAS["UpdateStaticPolicyRequest"]["properties"]


def test_null_is_shown_where_the_contract_writes_it() -> None:
    policy = SCHEMAS["StaticPolicy"]
    assert policy["properties"]["created_at"]["type"] == ["string", "null"]
    assert "created_at" in policy["required"]
    override = SCHEMAS["EffectiveStaticPolicy"]
    assert {"type": "null"} in override["properties"]["override"]["anyOf"]
    assert "override" not in override["required"]


def test_errors_are_those_of_the_one_table() -> None:
    assert SCHEMAS["Error"]["properties"]["error"]["properties"]["code"]["enum"] == sorted(STATUSES)
    for reason, example in DOCUMENT["components"]["examples"].items():
        assert example["value"]["error"]["code"] == reason
        assert faults(example["value"], {"$ref": "#/components/schemas/Error"}) == []
    create = DOCUMENT["paths"]["/api/v1/static-policies"]["post"]["responses"]
    assert sorted(create) == [
        "201", "400", "401", "403", "409", "413", "415", "429", "500", "503", "504",
    ]  # fmt: skip
    decide = DOCUMENT["paths"]["/v1/decide"]["post"]["responses"]
    assert decide["400"] == {"$ref": "#/components/responses/InvalidArgumentOrMalformedRequest"}


def test_a_rule_without_words_stops_the_generator() -> None:
    """Better no document than one that promises what the server refuses."""
    rules = validate_pb2.FieldRules(string=validate_pb2.StringRules(uuid=True))
    with pytest.raises(Untranslated, match=r"no JSON Schema for string\.uuid"):
        bounds(rules, "id")


def test_comments_are_read_by_full_name() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", package="x")
    message = file.message_type.add(name="A")
    message.nested_type.add(name="B").field.add(name="c")
    message.enum_type.add(name="E").value.add(name="E_F")
    for path, text in (
        ((4, 0), " A is a\n message.\n\n It has\n more.\n\n     code: 1\n     code: 2\n"),
        ((4, 0, 3, 0, 2, 0), " c is. And more.\n"),
        ((4, 0, 4, 0, 2, 0), " E_F is.\n"),
        ((12,), " the syntax\n"),
    ):
        file.source_code_info.location.add(path=path, leading_comments=text)
    assert comments(descriptor_pb2.FileDescriptorSet(file=[file])) == {
        "x.A": "A is a message.\n\nIt has more.\n\n    code: 1\n    code: 2",
        "x.A.B.c": "c is. And more.",
        "x.A.E.E_F": "E_F is.",
    }
    assert first_sentence("c is. And more.") == "c is"
