"""The mapping file: its schema and faults, routes, contexts, refusals and verdicts."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any, Final

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.mapping import (
    Context,
    InvalidMapping,
    MappingFile,
    Source,
    SourceView,
    added_headers,
    fill_context,
    find_faults,
    find_route,
    load_mapping,
    may_pass,
    read_mapping,
    refusal_of,
    refusal_of_error,
)
from pdp.adapters.mapping.refusals import FORMS
from pdp.adapters.mapping.schema_check import SCHEMA, faults_of
from pdp.adapters.mapping.sources import MAX_TOKEN
from pdp.adapters.mapping.templates import render, template_problems
from pdp.errors import ConfigError, InvalidArgument, RateLimited, StoreUnavailable
from pdp.transport.http.decoded_headers import DecodedHeaders
from tests.support.doc_blocks import blocks_of

ROUTE: Final = {"name": "chat", "match": {"path_prefix": "/v1"}}
HOOK: Final = {
    "direction": "input",
    "text": "/text",
    "answers": {
        "allow": {"status": 200, "body": {"ok": True}},
        "deny": {"status": 200, "body": {"ok": False}},
    },
}
PAGES: Final = [
    code
    for page in ("integrations/webhooks.md", "integrations/nginx.md")
    for code in blocks_of(page, "yaml", "version: 1")
]


def document(**changes: Any) -> dict[str, Any]:
    """Returns a valid document, with changes at paths such as `routes__0__name`."""
    value: Any = copy.deepcopy({"version": 1, "routes": [ROUTE], "hooks": {"a": HOOK}})
    for path, member in changes.items():
        *steps, last = path.split("__")
        owner = value
        for step in steps:
            owner = owner[int(step) if step.isdecimal() else step]
        owner[int(last) if last.isdecimal() else last] = member
    result: dict[str, Any] = value
    return result


def read(**changes: Any) -> MappingFile:
    """Returns the mapping of such a document."""
    return read_mapping(yaml.safe_dump(document(**changes)).encode())


# --- the file and its faults


@pytest.mark.parametrize("code", PAGES)
def test_the_examples_of_the_pages_are_valid(code: str) -> None:
    assert find_faults(code.encode()) == ()
    jsonschema.validate(yaml.safe_load(code), SCHEMA)


def test_an_empty_setting_is_an_empty_mapping() -> None:
    assert load_mapping(None) == MappingFile()


def test_a_missing_file_is_named(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"PDP_ADAPTERS_FILE: .*nowhere.* cannot be read"):
        load_mapping(tmp_path / "nowhere")


FAULTS: Final[list[tuple[dict[str, Any], str, str]]] = [
    ({"version": 2}, "version", "must be 1"),
    ({"version": True}, "version", "must be 1"),
    ({"rotes": []}, "rotes", "did you mean routes?"),
    ({"routes": {}}, "routes", "must be a list"),
    ({"routes__0__name": "Chat"}, "routes[0].name", "must match"),
    ({"routes__0__name": "chat\n"}, "routes[0].name", "must match"),
    ({"routes__0__match__path": "/v1"}, "routes[0].match.path_prefix", "beside path"),
    ({"routes__0__match": {"path": "/{a}/{a}"}}, "routes[0].match.path", "variable twice"),
    ({"routes__0__match": {"path": "/{A}"}}, "routes[0].match.path", "brace"),
    ({"routes__0__match": {"path": "/a//b"}}, "routes[0].match.path", "plain path"),
    ({"routes__0__match": {"path_prefix": "/a%2f"}}, "routes[0].match.path_prefix", "plain path"),
    ({"routes__0__match": {"path_prefix": "/a/../b"}}, "routes[0].match.path_prefix", "plain"),
    ({"routes__0__match": {"methods": ["get"]}}, "routes[0].match.methods[0]", "must match"),
    ({"routes__0__match": {"hosts": []}}, "routes[0].match.hosts", "1 to 100 items"),
    ({"routes__0__request_payload": "openai.chat"}, "routes[0].request_payload", "did you mean"),
    ({"routes__0__unavailable": "allow"}, "routes[0].unavailable", "must be deny"),
    ({"routes__0__refusal": "openal"}, "routes[0].refusal", "did you mean openai?"),
    ({"routes__0__add_headers": {"user": "x-user"}}, "routes[0].add_headers.user", "unknown"),
    ({"routes__0__context": {"usr": {"value": "a"}}}, "routes[0].context.usr", "mean user?"),
    ({"routes__0__context": {"user": {}}}, "routes[0].context.user", "must not be empty"),
    ({"routes__0__context": {"user": {"required": True}}}, "routes[0].context.user", "one of"),
    (
        {"routes__0__context": {"user": {"header": "a", "value": "b"}}},
        "routes[0].context.user",
        "one of",
    ),
    ({"routes__0__context": {"user": {"jwt_claim": "sub"}}}, "routes[0].context.user", "header"),
    ({"routes__0__context": {"user": {"body": "/user"}}}, "routes[0].context.user.body", "hooks"),
    (
        {"routes__0__context": {"user": {"path_variable": "user"}}},
        "routes[0].context.user.path_variable",
        "no variable",
    ),
    (
        {"routes__0__context": {"user": {"header": "a", "split": ","}}},
        "routes[0].context.user.split",
        "only for groups",
    ),
    (
        {"routes__0__context": {"user": [{"header": "a", "required": True}, {"header": "b"}]}},
        "routes[0].context.user[0].required",
        "last source",
    ),
    (
        {"routes__0__context": {"tool": {"value": "a"}}, "routes__0__request_payload": "detect"},
        "routes[0].context.tool",
        "comes from the payload",
    ),
    ({"routes__0__context": {"user": {"certificate": False}}}, "routes[0].context.user", "true"),
    ({"hooks": {"A": HOOK}}, "hooks.A", "must match"),
    ({"hooks__a__payload": {"body": "/p"}}, "hooks.a", "either text or payload"),
    ({"hooks__a__text": "text"}, "hooks.a.text", "must match"),
    ({"hooks__a__direction": "in"}, "hooks.a.direction", "must be input or output"),
    ({"hooks__a__answers__deny": {"status": 200, "body": {"ok": True}}}, "deny", "same as allow"),
    ({"hooks__a__answers__allow__status": 403}, "allow.status", "200 to 299"),
    ({"hooks__a__answers__deny__status": 500}, "deny.status", "from 200 to 499"),
    ({"hooks__a__answers__deny__body": {"why": "$mesage"}}, "deny.body", "$message"),
    ({"hooks__a__answers__deny__body": {"t": "$redacted"}}, "deny.body", "only the answer redact"),
    (
        {"hooks__a__answers__redact": {"status": 200, "body": {"ok": True}}},
        "redact.body",
        "nothing would be redacted",
    ),
    (
        {"hooks__a__context": {"user": {"metadata": {"filter": "f", "path": ["p"]}}}},
        "hooks.a.context.user",
        "only routes",
    ),
]


@pytest.mark.parametrize(("changes", "path", "problem"), FAULTS)
def test_a_fault_is_named_with_its_path(changes: dict[str, Any], path: str, problem: str) -> None:
    faults = find_faults(yaml.safe_dump(document(**changes)).encode())
    assert [each for each in faults if path in each.path and problem in each.problem], faults


def test_a_fault_has_its_line_and_all_faults_are_found() -> None:
    raw = b"version: 1\nroutes:\n  - name: a\n    refusel: openai\n    match: {metods: []}\n"
    faults = find_faults(raw)
    assert [(each.line, each.path) for each in faults] == [
        (4, "routes[0].refusel"),
        (5, "routes[0].match.metods"),
    ]
    with pytest.raises(InvalidMapping) as caught:
        read_mapping(raw, "adapters.yaml")
    assert "adapters.yaml: line 4: routes[0].refusel: is unknown" in caught.value.message


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"version: 1\nversion: 1\n", "occurs twice"),
        (b"a: &a [1]\nb: *a\n", "no YAML aliases"),
        (b"\xff", "not UTF-8"),
        (b"- 1\n", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"version: [1\n", "is not YAML: line 2"),
        (b"version: !!python/object:os.system x\n", "is not YAML"),
        (b"version: 1 #" + b" " * (1 << 20), "larger than"),
        (b"[" * 5000, "is not YAML"),
    ],
)
def test_what_is_not_strict_yaml_is_refused(raw: bytes, problem: str) -> None:
    (fault,) = find_faults(raw)
    assert problem in fault.problem


def test_routes_have_unique_names() -> None:
    raw = yaml.safe_dump({"version": 1, "routes": [ROUTE, copy.deepcopy(ROUTE)]}).encode()
    (fault,) = find_faults(raw)
    assert (fault.path, "another route" in fault.problem) == ("routes[1].name", True)


KEYWORDS: Final = {
    "$schema", "$ref", "$defs", "title", "description", "examples", "type", "properties",
    "propertyNames", "additionalProperties", "required", "enum", "const", "pattern", "items",
    "anyOf", "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties",
    "minimum", "maximum",
}  # fmt: skip
"""What `schema_check` knows."""


def keywords(schema: Any) -> set[str]:
    """Returns the keywords of a schema and of all schemas in it."""
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for key in ("properties", "$defs"):
        found |= {name for each in schema.get(key, {}).values() for name in keywords(each)}
    for key in ("propertyNames", "additionalProperties", "items"):
        found |= keywords(schema.get(key))
    return found | {name for each in schema.get("anyOf", ()) for name in keywords(each)}


def test_the_schema_uses_only_keywords_that_are_checked() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert keywords(SCHEMA) <= KEYWORDS


SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 600),
    st.sampled_from(
        ["", "/v1", "GET", "input", "openai", "x-user", "a" * 300, "A b", "~", "*.a.b"]
    ),
)
NAMES: Final = st.sampled_from(
    sorted(
        {
            name
            for each in (SCHEMA, *SCHEMA["$defs"].values())
            for name in each.get("properties", {})
        }
        | {"a", "B"}
    )
)
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns the paths of all values in a document."""
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    return [path, *(each for key, member in members for each in places(member, (*path, key)))]


@given(st.data())
def test_faults_are_those_of_the_json_schema(data: st.DataObject) -> None:
    """Editors that use the schema and the server agree."""
    value: Any = {"": yaml.safe_load(data.draw(st.sampled_from(PAGES)))}
    *steps, last = data.draw(st.sampled_from(places(value)[1:]))
    owner = value
    for step in steps:
        owner = owner[step]
    if data.draw(st.booleans()) and isinstance(owner[last], dict):
        owner[last][data.draw(NAMES)] = data.draw(VALUES)
    else:
        owner[last] = data.draw(VALUES)
    valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(value[""])
    assert (not faults_of(value[""])) is valid


@given(st.one_of(st.binary(max_size=200), VALUES.map(lambda each: yaml.safe_dump(each).encode())))
def test_any_file_is_read_or_has_faults(raw: bytes) -> None:
    faults = find_faults(raw)
    assert all(each.line >= 1 and each.problem for each in faults)
    if not faults:
        read_mapping(raw)


# --- routes


def route_of(match: dict[str, Any], method: str, host: str, target: str) -> Any:
    """Returns the variables of the path if a route with these conditions matches; else None."""
    mapping = read(routes__0__match=match)
    found = find_route(mapping.routes, method, host, target)
    return None if found is None else dict(found.path_variables)


MATCHES: Final[list[tuple[dict[str, Any], str, str, str, Any]]] = [
    ({}, "GET", "", "/", {}),
    ({"methods": ["POST"]}, "POST", "", "/x", {}),
    ({"methods": ["POST"]}, "GET", "", "/x", None),
    ({"hosts": ["API.example.com"]}, "GET", "api.Example.com:8443", "/", {}),
    ({"hosts": ["api.example.com"]}, "GET", "api.example.com.", "/", {}),
    ({"hosts": ["api.example.com"]}, "GET", "evil-api.example.com", "/", None),
    ({"hosts": ["*.example.com"]}, "GET", "a.b.example.com", "/", {}),
    ({"hosts": ["*.example.com"]}, "GET", "example.com", "/", None),
    ({"hosts": ["*.example.com"]}, "GET", ".example.com", "/", None),
    ({"hosts": ["example.com"]}, "GET", "", "/", None),
    ({"path": "/v1/chat"}, "GET", "", "/v1/chat?x=/v2", {}),
    ({"path": "/v1/chat"}, "GET", "", "/v1/ch%61t", {}),
    ({"path": "/v1/chat"}, "GET", "", "/v1/chat/", None),
    ({"path": "/v1/c.at"}, "GET", "", "/v1/chat", None),
    ({"path_prefix": "/v1"}, "GET", "", "/v1", {}),
    ({"path_prefix": "/v1"}, "GET", "", "/v1/x", {}),
    ({"path_prefix": "/v1"}, "GET", "", "/v1x", None),
    ({"path_prefix": "/v1/"}, "GET", "", "/v1/x", {}),
    ({"path_prefix": "/v1"}, "GET", "", "/v1/a%2Fb", None),
    ({"path": "/m/{model}:go"}, "GET", "", "/m/gpt-4o:go", {"model": "gpt-4o"}),
    ({"path": "/m/{model}:go"}, "GET", "", "/m/gpt-4o%3Ago", {"model": "gpt-4o"}),
    ({"path": "/m/{model}/x"}, "GET", "", "/m/a%2Fb/x", {"model": "a/b"}),
    ({"path": "/m/{model}/x"}, "GET", "", "/m/%C3%A9/x", {"model": "é"}),
    ({"path": "/m/{model}/x"}, "GET", "", "/m/a/b/x", None),
    ({"path": "/m/{model}/x"}, "GET", "", "/m//x", ValueError),
    ({}, "GET", "", "//a", ValueError),
    ({}, "GET", "", "/a/../b", ValueError),
    ({}, "GET", "", "/a/%2e%2E/b", ValueError),
    ({}, "GET", "", "/a;b", ValueError),
    ({}, "GET", "", "/a%3Bb", ValueError),
    ({}, "GET", "", "/a\\b", ValueError),
    ({}, "GET", "", "/a%00", ValueError),
    ({}, "GET", "", "/a%252e", ValueError),
    ({}, "GET", "", "/a%4", ValueError),
    ({}, "GET", "", "/a b", ValueError),
    ({}, "GET", "", "/é", ValueError),
    ({}, "GET", "", "", ValueError),
    ({}, "GET", "", "v1", ValueError),
    ({}, "GET", "", "/" + "a" * 9000, ValueError),
]


@pytest.mark.parametrize(("match", "method", "host", "target", "expected"), MATCHES)
def test_a_route_matches(
    match: dict[str, Any], method: str, host: str, target: str, expected: Any
) -> None:
    if expected is ValueError:
        with pytest.raises(InvalidArgument, match="path: must"):
            route_of(match, method, host, target)
    else:
        assert route_of(match, method, host, target) == expected


def test_the_first_route_that_matches_counts() -> None:
    routes = [{"name": name, "match": {"path_prefix": "/v1"}} for name in ("one", "two")]
    found = find_route(read(routes=routes).routes, "GET", "", "/v1/x")
    assert found is not None
    assert found.route.name == "one"


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_path_matches_or_not_or_is_refused(target: str) -> None:
    mapping = read(routes__0__match={"path": "/v1/{x}"})
    try:
        found = find_route(mapping.routes, "GET", "a", target)
    except InvalidArgument:
        return
    assert found is None or found.path_variables["x"]


# --- contexts


def token(claims: Any, head: str = "e30", signature: str = "sig") -> str:
    """Returns a token with these claims; its signature is not verified."""
    raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"{head}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}.{signature}"


def filled(context: dict[str, Any], view: SourceView, *, in_hook: bool = False) -> pb.DecideRequest:
    """Returns the request that a context of a mapping file fills."""
    if in_hook:
        read_context = read(hooks__a__context=context).hooks["a"].context
    else:
        path = {"path": "/{model}"}
        read_context = read(routes__0__context=context, routes__0__match=path).routes[0].context
    request = pb.DecideRequest()
    fill_context(request, read_context, view)
    return request


def test_every_fact_has_its_field() -> None:
    names = [
        "tenant",
        "user",
        "agent",
        "customer",
        "session",
        "model",
        "provider",
        "channel",
        "action",
        "tool",
    ]
    request = filled({name: {"value": f"the {name}"} for name in names}, SourceView())
    assert request == pb.DecideRequest(
        tenant_id="the tenant",
        customer_id="the customer",
        subject=pb.Subject(user_id="the user", agent_id="the agent"),
        session_id="the session",
        model=pb.Model(model="the model", provider="the provider"),
        channel="the channel",
        action="the action",
        tool="the tool",
    )


CLAIMS: Final = {"sub": "alice", "org": {"id": 42}, "a.b": "dotted", "none": None, "list": ["x"]}

USERS: Final[list[tuple[Any, SourceView, str]]] = [
    ({"header": "X-User"}, SourceView(headers={"x-user": "alice"}), "alice"),
    ({"header": "x-user"}, SourceView(headers={"x-user": ""}), ""),
    ({"header": "x-user"}, SourceView(headers={"x-other": "alice"}), ""),
    ([{"header": "a"}, {"header": "b"}], SourceView(headers={"b": "bob"}), "bob"),
    ([{"header": "a"}, {"header": "b"}], SourceView(headers={"a": "al", "b": "bob"}), "al"),
    ([{"header": "a"}, {"value": "nobody"}], SourceView(headers={"a": ""}), "nobody"),
    ({"context_extension": "u"}, SourceView(context_extensions={"u": "alice"}), "alice"),
    ({"certificate": True}, SourceView(certificate="spiffe://a"), "spiffe://a"),
    ({"path_variable": "model"}, SourceView(path_variables={"model": "m"}), "m"),
    (
        {"metadata": {"filter": "f", "path": ["a", "b"]}},
        SourceView(metadata={"f": {"a": {"b": "alice"}}}),
        "alice",
    ),
    (
        {"metadata": {"filter": "f", "path": ["a", "b"]}},
        SourceView(metadata={"f": {"a": "text"}}),
        "",
    ),
    (
        {"jwt_claim": "sub", "header": "authorization"},
        SourceView(headers={"authorization": f"Bearer {token(CLAIMS)}"}),
        "alice",
    ),
    ({"jwt_claim": "org.id", "header": "t"}, SourceView(headers={"t": token(CLAIMS)}), "42"),
    ({"jwt_claim": "a.b", "header": "t"}, SourceView(headers={"t": token(CLAIMS)}), "dotted"),
    ({"jwt_claim": "none", "header": "t"}, SourceView(headers={"t": token(CLAIMS)}), ""),
    ({"jwt_claim": "sub", "header": "t"}, SourceView(headers={"t": "Basic eHg6eXk="}), ""),
]


@pytest.mark.parametrize(("source", "view", "user"), USERS)
def test_a_source_is_read(source: Any, view: SourceView, user: str) -> None:
    assert filled({"user": source}, view).subject.user_id == user


def test_a_struct_of_envoy_is_metadata() -> None:
    request = pb.DecideRequest()
    request.context.update({"payload": {"sub": "alice", "level": 3, "groups": ["a", "b"]}})
    context = {
        "user": {"metadata": {"filter": "jwt", "path": ["payload", "sub"]}},
        "session": {"metadata": {"filter": "jwt", "path": ["payload", "level"]}},
        "groups": {"metadata": {"filter": "jwt", "path": ["payload", "groups"]}},
    }
    got = filled(context, SourceView(metadata={"jwt": request.context}))
    assert (got.subject.user_id, got.session_id, list(got.subject.groups)) == (
        "alice",
        "3",
        ["a", "b"],
    )


BROKEN: Final[list[tuple[Any, SourceView]]] = [
    ({"header": "x"}, SourceView(headers={"x": "alice, bob"})),
    ({"header": "x"}, SourceView(headers=DecodedHeaders({"x": "\xff"}))),
    ({"header": "x"}, SourceView(headers={"x": "a" * 300_000})),
    ({"header": "x", "required": True}, SourceView(headers={"x": ""})),
    ({"jwt_claim": "sub", "header": "t"}, SourceView(headers={"t": "not-a-token"})),
    ({"jwt_claim": "sub", "header": "t"}, SourceView(headers={"t": "a.b.c.d"})),
    ({"jwt_claim": "sub", "header": "t"}, SourceView(headers={"t": "a.é.c"})),
    ({"jwt_claim": "sub", "header": "t"}, SourceView(headers={"t": token(b"[1]")})),
    ({"jwt_claim": "sub", "header": "t"}, SourceView(headers={"t": token(b"\xff")})),
    ({"jwt_claim": "sub", "header": "t"}, SourceView(headers={"t": token(b'{"sub":1,"sub":2}')})),
    ({"jwt_claim": "sub", "header": "t"}, SourceView(headers={"t": "a" * MAX_TOKEN + ".b.c"})),
    ({"jwt_claim": "list", "header": "t"}, SourceView(headers={"t": token(CLAIMS)})),
    ({"jwt_claim": "org", "header": "t"}, SourceView(headers={"t": token(CLAIMS)})),
    ({"metadata": {"filter": "f", "path": ["a"]}}, SourceView(metadata={"f": {"a": True}})),
    ({"metadata": {"filter": "f", "path": ["a"]}}, SourceView(metadata={"f": {"a": 1.5}})),
]


@pytest.mark.parametrize(("source", "view"), BROKEN)
def test_a_value_that_cannot_be_read_is_refused(source: Any, view: SourceView) -> None:
    with pytest.raises(InvalidArgument):
        filled({"user": source}, view)


def test_a_broken_value_does_not_give_way_to_the_next_source() -> None:
    view = SourceView(headers={"t": "broken", "x": "mallory"})
    sources = [{"jwt_claim": "sub", "header": "t"}, {"header": "x"}]
    with pytest.raises(InvalidArgument, match=r"context\.user"):
        filled({"user": sources}, view)


@pytest.mark.parametrize(
    ("source", "value", "groups"),
    [
        ({"body": "/g", "split": ","}, "a, b,,c", ["a", "b", "c"]),
        ({"body": "/g"}, "a, b", ["a, b"]),
        ({"body": "/g"}, ["a", "b"], ["a", "b"]),
        ({"body": "/g"}, [], []),
        ({"body": "/g"}, None, []),
        ({"body": "/g"}, 7, ["7"]),
    ],
)
def test_groups_are_a_list_or_are_split(source: Any, value: Any, groups: list[str]) -> None:
    got = filled({"groups": source}, SourceView(body={"g": value}), in_hook=True)
    assert list(got.subject.groups) == groups


@pytest.mark.parametrize("value", [["a"] * 1001, ",".join("a" * 1001), ["a", 1], {}, "\ud800"])
def test_groups_that_cannot_be_read_are_refused(value: Any) -> None:
    context = {"groups": {"body": "/g", "split": ","}}
    with pytest.raises(InvalidArgument, match=r"context\.groups"):
        filled(context, SourceView(body={"g": value}), in_hook=True)


def test_all_faults_of_a_context_are_named() -> None:
    context = {name: {"header": "x", "required": True} for name in ("tenant", "user")}
    with pytest.raises(InvalidArgument) as caught:
        filled(context, SourceView())
    assert {each.field for each in caught.value.violations} == {"context.tenant", "context.user"}


JSON: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)


@given(st.text(), JSON, st.sampled_from(["user", "groups", "tenant"]))
def test_any_values_are_read_or_refused(header: str, body: Any, name: str) -> None:
    sources = (
        Source("jwt_claim", "t", ("a.b",)),
        Source("header", "x"),
        Source("body", pointer="/a/0"),
        Source("body"),
    )
    context = Context({name: sources}, frozenset({name}), ",")
    headers = DecodedHeaders({"t": header, "x": header})
    request = pb.DecideRequest()
    try:
        fill_context(request, context, SourceView(headers=headers, metadata={"f": body}, body=body))
    except InvalidArgument:
        return
    assert request.tenant_id or request.subject.user_id or name == "groups"


# --- refusals and verdicts


def response(outcome: str, *obligations: str, **fields: Any) -> pb.DecideResponse:
    """Returns a decision."""
    value = pb.Outcome.Value(f"OUTCOME_{outcome}")
    stopping = (pb.OUTCOME_PROMPT, pb.OUTCOME_CANCEL, pb.OUTCOME_BLOCK)
    return pb.DecideResponse(
        outcome=value,
        allowed=value not in stopping,
        obligations=[
            pb.Obligation(type=pb.ObligationType.Value(f"OBLIGATION_TYPE_{each}"))
            for each in obligations
        ],
        **fields,
    )


VERDICTS: Final[list[tuple[str, tuple[str, ...], tuple[str, ...], bool]]] = [
    ("ALLOW", (), (), True),
    ("WARN", (), (), True),
    ("ALLOW_WITH_OVERRIDE", (), (), True),
    ("ALLOW", ("MASK_FIELDS",), (), False),
    ("ALLOW", ("MASK_FIELDS",), ("MASK_FIELDS",), True),
    ("WARN", ("REDACT",), (), False),
    ("REDACT", ("REDACT",), (), False),
    ("REDACT", ("REDACT",), ("REDACT",), True),
    ("REDACT", ("REDACT", "MASK_FIELDS"), ("REDACT",), False),
    ("REDACT", ("REDACT", "ROUTE_TO"), ("REDACT", "ROUTE_TO"), True),
    ("REDACT", (), ("REDACT",), False),
    ("ROUTE_TO", ("ROUTE_TO",), ("ROUTE_TO",), True),
    ("ROUTE_TO", (), (), False),
    ("PROMPT", ("PROMPT",), ("PROMPT",), False),
    ("ALLOW", ("PROMPT",), ("PROMPT",), False),
    ("CANCEL", (), ("REDACT",), False),
    ("BLOCK", (), ("REDACT",), False),
]


@pytest.mark.parametrize(("outcome", "obligations", "supported", "passes"), VERDICTS)
def test_only_what_may_pass_passes(
    outcome: str, obligations: tuple[str, ...], supported: tuple[str, ...], passes: bool
) -> None:
    assert may_pass(response(outcome, *obligations), supported) is passes


def test_an_outcome_of_a_later_version_does_not_pass() -> None:
    later = pb.DecideResponse(allowed=True)
    later.outcome = 99  # type: ignore[assignment] # an open enumeration has other numbers, too
    assert not may_pass(later, ("REDACT",))
    assert not may_pass(pb.DecideResponse(allowed=True), ("REDACT",))
    unknown = response("ALLOW")
    unknown.obligations.add().type = 99  # type: ignore[assignment] # as above
    assert not may_pass(unknown, ("REDACT", "99"))


@pytest.mark.parametrize(
    ("hint", "status", "openai", "anthropic"),
    [
        (403, 403, "invalid_request_error", "permission_error"),
        (400, 400, "invalid_request_error", "invalid_request_error"),
        (429, 429, "requests", "rate_limit_error"),
        (503, 503, "server_error", "overloaded_error"),
        (500, 500, "server_error", "api_error"),
        (200, 403, "invalid_request_error", "permission_error"),
        (0, 403, "invalid_request_error", "permission_error"),
    ],
)
def test_a_refusal_has_the_form_of_the_provider(
    hint: int, status: int, openai: str, anthropic: str
) -> None:
    decision = response(
        "BLOCK", status_hint=hint, message="Not now.", reason_code="WHY", decision_id="d"
    )
    refusal = refusal_of(decision)
    assert refusal.status == status
    assert json.loads(refusal.body("openai")) == {
        "error": {
            "message": "Not now.",
            "type": openai,
            "param": None,
            "code": "WHY",
            "decision_id": "d",
        }
    }
    assert json.loads(refusal.body("anthropic")) == {
        "type": "error",
        "error": {"type": anthropic, "message": "Not now.", "code": "WHY"},
        "request_id": "d",
    }
    assert json.loads(refusal.body("pdp")) == {
        "error": {"code": "WHY", "message": "Not now.", "details": []},
        "decision_id": "d",
        "outcome": "BLOCK",
    }


def test_a_refusal_says_when_to_try_again() -> None:
    refusal = refusal_of(response("BLOCK", status_hint=429, retry_after_s=7))
    assert refusal.headers() == {"content-type": "application/json", "retry-after": "7"}
    assert refusal.message


@pytest.mark.parametrize("form", FORMS)
def test_an_error_is_a_refusal_in_every_form(form: str) -> None:
    for error, status in ((RateLimited("slow down", 1.0), 429), (StoreUnavailable("later"), 503)):
        refusal = refusal_of_error(error)
        assert refusal.status == status
        assert refusal.retry_after_s == (1 if status == 429 else None)
        assert error.message in json.loads(refusal.body(form))["error"]["message"]


def test_headers_are_added_for_the_facts_that_there_are() -> None:
    names = {"decision_id": "x-id", "reason_code": "x-why", "outcome": "x-outcome"}
    decision = response("ALLOW", decision_id="d")
    assert added_headers(names, decision) == {"x-id": "d", "x-outcome": "ALLOW"}


# --- templates


def test_a_template_is_rendered_whole() -> None:
    template = {"a": ["$message", {"b": "$$5", "c": "$redacted"}, 1, None, True, "text"]}
    facts = {"message": "$reason_code", "redacted": {"x": "$message"}}
    assert render(template, facts) == {
        "a": ["$reason_code", {"b": "$5", "c": {"x": "$message"}}, 1, None, True, "text"]
    }


def test_a_template_has_bounds() -> None:
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    assert list(template_problems(deep, redacted=False))
    assert list(template_problems(["x"] * 2000, redacted=False))
    assert list(template_problems(["x"] * 900, redacted=False)) == []
