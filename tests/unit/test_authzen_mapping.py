"""AuthZEN evaluations as requests for decisions, and decisions as answers."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.authzen.answers import ADVERTISED, permits, to_answer
from pdp.adapters.authzen.documents import read_document, read_evaluation, with_defaults
from pdp.adapters.authzen.mapping import (
    Mapped,
    action_of,
    is_action,
    renamed,
    renamed_message,
    to_message,
    word,
)
from pdp.errors import InvalidArgument, MalformedRequest, Violation

CONTRACT: Final = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*:[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
"""The pattern of an action in decide.proto."""

ALICE: Final = {"type": "user", "id": "alice"}
RECORD: Final = {"type": "record", "id": "r1"}
MODEL: Final = {"type": "model", "id": "gpt-4o"}

JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def tool_action(tool: str, server: str) -> str:
    """Stands for the tenant's table."""
    return f"tools:{server or 'none'}:{word(tool)}"


def mapped(
    subject: Any = ALICE, action: Any = None, resource: Any = RECORD, **context: Any
) -> Mapped:
    """Returns an evaluation mapped."""
    document = {
        "subject": subject,
        "action": action or {"name": "write"},
        "resource": resource,
        "context": context,
    }
    return to_message(read_evaluation(document), tool_action)


def problems(*arguments: Any, **context: Any) -> list[str]:
    """Returns the fields at which an evaluation is refused."""
    with pytest.raises(InvalidArgument) as refused:
        mapped(*arguments, **context)
    return [field for field, _ in refused.value.violations]


def test_a_user_an_agent_and_an_identity() -> None:
    properties = {"groups": ["a", "b"], "risk_score": 0.5, "team": "payments"}
    user = mapped({**ALICE, "properties": properties}, agent="bot").message.subject
    assert (user.user_id, user.agent_id) == ("alice", "bot")
    assert (list(user.groups), user.risk_score) == (["a", "b"], 0.5)
    assert json.loads(user.attributes_json) == properties
    identity = mapped({"type": "identity", "id": "x"}).message.subject
    assert (identity.user_id, identity.agent_id) == ("x", "")
    agent = mapped({"type": "agent", "id": "bot"}).message.subject
    assert (agent.user_id, agent.agent_id) == ("", "bot")
    assert list(mapped({**ALICE, "properties": {"groups": "a"}}).message.subject.groups) == ["a"]


def test_a_resource_is_the_target() -> None:
    properties = {"classifications": ["PII"], "fields": ["ssn"], "sensitivity_level": 3}
    message = mapped(resource={**RECORD, "properties": properties}).message
    target = message.target
    assert (target.resource_type, target.resource_id) == ("record", "r1")
    assert (list(target.classifications), list(target.fields)) == (["PII"], ["ssn"])
    assert target.sensitivity_level == 3
    assert (message.action, message.tool, message.arguments_json) == (
        "authzen:record:write",
        "",
        "",
    )


def test_a_model_has_no_action() -> None:
    message = mapped(resource={**MODEL, "properties": {"provider": "openai"}}).message
    assert (message.model.model, message.model.provider) == ("gpt-4o", "openai")
    assert message.action == ""
    assert mapped(action={"name": "ai:model:use"}, resource=MODEL).message.action == "ai:model:use"


def test_a_tool_has_the_action_of_the_tenants_table() -> None:
    tool = {"type": "tool", "id": "run_sql"}
    message = mapped(action={"name": "tools/call"}, resource=tool).message
    assert (message.tool, message.action) == ("run_sql", "tools:none:run_sql")
    of_server = {**tool, "properties": {"server": "db"}}
    assert mapped(resource=of_server).message.action == "tools:db:run_sql"
    own = mapped(action={"name": "database:table:drop"}, resource=tool)
    assert own.message.action == "database:table:drop"


def test_the_case_of_a_type_makes_no_difference() -> None:
    """Otherwise a `Tool` would not be judged as a tool."""
    message = mapped({"type": "Agent", "id": "bot"}, resource={"type": "TOOL", "id": "t"}).message
    assert (message.subject.agent_id, message.tool) == ("bot", "t")
    assert message.action == "tools:none:t"
    assert mapped(resource={"type": "Model", "id": "gpt-4o"}).message.model.model == "gpt-4o"


def test_the_arguments_of_a_tool() -> None:
    """They come from the context, else from the properties of a tool; numbers stay exact."""
    large = 12345678901234567890123
    tool = {"type": "tool", "id": "t", "properties": {"n": large}}
    of_properties = mapped(resource=tool)
    assert of_properties.message.arguments_json == f'{{"n":{large}}}'
    assert of_properties.arguments_pointer == "/resource/properties"
    of_context = mapped(resource=tool, arguments={"m": 1})
    assert of_context.message.arguments_json == '{"m":1}'
    assert of_context.arguments_pointer == "/context/arguments"


@pytest.mark.parametrize("name", ["text", "prompt"])
def test_the_text(name: str) -> None:
    found = mapped(resource=MODEL, **{name: "hello"})
    assert found.message.content.text == "hello"
    assert found.text_pointer == f"/context/{name}"
    assert "hello" not in found.message.context_json


def test_what_conditions_read() -> None:
    """The entities as they were sent, and the context without the traffic itself."""
    subject = {**ALICE, "properties": {"role": "admin"}}
    action = {"name": "Write It", "properties": {"soft": True}}
    resource = {**RECORD, "properties": {"status": "archived"}}
    found = mapped(
        subject, action, resource, ip="::1", text="x", arguments={}, supported_obligations=[]
    )
    assert json.loads(found.message.context_json) == {
        "ip": "::1",
        "authzen": {"subject": ALICE, "action": action, "resource": resource},
    }
    assert found.message.action == "authzen:record:write_it"


def test_a_payload() -> None:
    payload = {"format": "text", "body": "hello", "history": "latest"}
    message = mapped(action={"name": "invoke"}, resource=MODEL, payload=payload).message
    assert message.payload == pb.Payload(format="text", body="hello", history="latest")
    assert (message.action, message.tool, message.content.text) == ("", "", "")
    server = {"type": "mcp_server", "id": "https://mcp.example.com"}
    of_server = mapped(action={"name": "tools/call"}, resource=server, payload=payload).message
    assert of_server.payload.body == "hello"


@pytest.mark.parametrize(
    ("fields", "arguments", "context"),
    [
        (["context.authzen"], (), {"authzen": {}}),
        (["context.agent"], (), {"agent": 1}),
        (["context.agent"], ({"type": "agent", "id": "a"},), {"agent": "b"}),
        (["subject.properties.groups"], ({**ALICE, "properties": {"groups": [1]}},), {}),
        (["subject.properties.groups"], ({**ALICE, "properties": {"groups": {}}},), {}),
        (["subject.properties.risk_score"], ({**ALICE, "properties": {"risk_score": True}},), {}),
        (
            ["resource.properties.fields", "resource.properties.sensitivity_level"],
            (ALICE, None, {**RECORD, "properties": {"fields": "x", "sensitivity_level": 1.5}}),
            {},
        ),
        (
            ["resource.properties.sensitivity_level"],
            (ALICE, None, {**RECORD, "properties": {"sensitivity_level": 1 << 31}}),
            {},
        ),
        (
            ["resource.properties.provider"],
            (ALICE, None, {**MODEL, "properties": {"provider": 1}}),
            {},
        ),
        (
            ["resource.properties.server"],
            (ALICE, None, {"type": "tool", "id": "t", "properties": {"server": ["x"]}}),
            {},
        ),
        (["context.customer_id"], (), {"customer_id": "x" * 257}),
        (["context.session_id"], (), {"session_id": 1}),
        (["context.direction", "context.channel"], (), {"direction": [], "channel": {}}),
        (["context.prompt"], (), {"text": "a", "prompt": "b"}),
        (["context.text"], (), {"text": ["a"]}),
        (["context.arguments"], (), {"arguments": "x"}),
        (["context.supported_obligations"], (), {"supported_obligations": "custom"}),
        (["context.supported_obligations"], (), {"supported_obligations": [None]}),
        (["context.payload"], (ALICE, None, MODEL), {"payload": "x"}),
        (["context.payload.body"], (ALICE, None, MODEL), {"payload": {}}),
        (["context.payload.body"], (ALICE, None, MODEL), {"payload": {"body": {}}}),
        (
            ["context.text", "context.arguments"],
            (ALICE, None, MODEL),
            {"payload": {"body": "x"}, "text": "a", "arguments": {}},
        ),
        (["context.payload"], (), {"payload": {"body": "x"}}),
        (
            ["context.payload"],
            (ALICE, None, {"type": "tool", "id": "t"}),
            {"payload": {"body": "x"}},
        ),
        (
            ["context.payload"],
            (ALICE, {"name": "a:b:c"}, MODEL),
            {"payload": {"body": "x"}},
        ),
    ],
)
def test_values_that_are_refused(
    fields: list[str], arguments: tuple[Any, ...], context: dict[str, Any]
) -> None:
    assert problems(*arguments, **context) == fields


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_every_name_has_an_action_of_the_contract(name: str, kind: str) -> None:
    action = action_of(name, kind)
    assert CONTRACT.fullmatch(action)
    assert len(action) <= 256
    assert action_of(action, "other") == action


@given(JSON, st.sampled_from(["subject", "action", "resource", "context", "evaluations"]))
def test_an_item_replaces_whole_defaults(value: Any, name: str) -> None:
    """No property of a default reaches an item that has the entity; an id never does."""
    secret = {"type": "default-type", "id": "default-id", "name": "d", "properties": {"d": 1}}
    defaults = dict.fromkeys(("subject", "action", "resource", "context"), secret)
    merged = with_defaults({name: value}, defaults)
    if isinstance(value, dict):
        expected = dict(value)
        if name in {"subject", "resource"}:
            expected.setdefault("type", "default-type")
        assert merged[name] == expected
    else:
        assert merged[name] == value


@given(JSON | st.fixed_dictionaries(dict.fromkeys(["subject", "action", "resource"], JSON)))
def test_any_document_is_read_or_refused(document: Any) -> None:
    """Nothing but a refusal is raised, and what is read has all that is required."""
    try:
        read = read_document(json.dumps(document).encode())
        found = to_message(read_evaluation(read), tool_action)
    except (InvalidArgument, MalformedRequest):
        return
    for name, members in (("subject", "type id"), ("action", "name"), ("resource", "type id")):
        for member in members.split():
            assert read[name][member]
    assert found.message.subject.user_id or found.message.subject.agent_id


ENTITIES: Final = st.fixed_dictionaries(
    {
        "subject": st.just(ALICE) | st.just({"type": "agent", "id": "a"}),
        "action": st.sampled_from([{"name": "x"}, {"name": "a:b:c"}]),
        "resource": st.fixed_dictionaries(
            {"type": st.sampled_from(["model", "tool", "record"]), "id": st.just("x")},
            optional={
                "properties": st.dictionaries(
                    st.sampled_from(
                        ["provider", "server", "fields", "classifications", "sensitivity_level"]
                    ),
                    JSON,
                )
            },
        ),
        "context": st.dictionaries(
            st.sampled_from(
                [
                    "agent", "arguments", "authzen", "channel", "customer_id", "direction",
                    "payload", "prompt", "session_id", "supported_obligations", "text", "other",
                ]
            ),
            JSON,
        ),
    }
)  # fmt: skip


@given(ENTITIES)
def test_any_context_is_mapped_or_refused(document: Any) -> None:
    """A member that the mapping reads is never dropped in silence."""
    try:
        found = to_message(read_evaluation(document), tool_action)
    except InvalidArgument as error:
        assert error.violations  # noqa: PT017 - each refusal names its fields
        return
    message, context = found.message, document["context"]
    texts = [context[name] for name in ("text", "prompt") if name in context]
    assert message.content.text == (texts[0] or "" if texts else "")
    if "arguments" in context:
        assert json.loads(message.arguments_json) == context["arguments"]
    if "payload" in context:
        assert message.payload.body == context["payload"]["body"]
    assert found.supported == frozenset(context.get("supported_obligations") or ())


def test_tokens_are_not_for_conditions() -> None:
    found = mapped(tokens=["a", "b"], other=1)
    assert list(found.message.tokens) == ["a", "b"]
    assert json.loads(found.message.context_json).keys() == {"other", "authzen"}
    assert problems(tokens="a") == problems(tokens=[1]) == ["context.tokens"]


def test_a_reference_to_an_approval_is_not_for_conditions_if_it_is_taken() -> None:
    document = {
        "subject": ALICE,
        "action": {"name": "write"},
        "resource": RECORD,
        "context": {"approval": {"id": "01A", "more": 1}, "other": 1},
    }
    taken = to_message(read_evaluation(document), tool_action, takes_approval=True)
    assert taken.approval_id == "01A"
    assert json.loads(taken.message.context_json).keys() == {"other", "authzen"}
    left = to_message(read_evaluation(document), tool_action)
    assert left.approval_id == ""
    assert json.loads(left.message.context_json)["approval"] == {"id": "01A", "more": 1}


OBLIGATIONS: Final = {
    "redact": pb.Obligation(type=pb.OBLIGATION_TYPE_REDACT),
    "mask": pb.Obligation(type=pb.OBLIGATION_TYPE_MASK_FIELDS, fields=["ssn"]),
    "route": pb.Obligation(type=pb.OBLIGATION_TYPE_ROUTE_TO, model="m", provider="p"),
    "prompt": pb.Obligation(type=pb.OBLIGATION_TYPE_PROMPT, message="Sure?"),
    "approval": pb.Obligation(type=pb.OBLIGATION_TYPE_APPROVAL, approval_id="1", token="t"),
    "unknown": pb.Obligation(type=99),  # type: ignore[arg-type] # a newer server could send it
}


def test_every_type_of_obligation_has_a_form() -> None:
    known = {each.type for name, each in OBLIGATIONS.items() if name != "unknown"}
    assert known == set(pb.ObligationType.values()) - {pb.OBLIGATION_TYPE_UNSPECIFIED}
    for name in ("redact", "mask", "route", "prompt", "approval"):
        response = pb.DecideResponse(obligations=[OBLIGATIONS[name]])
        (form,) = to_answer(response, mapped())["context"]["obligations"]
        assert (form["id"], form["type"]) == (
            "obl-1",
            "step-up" if name == "prompt" else "custom",
        )


@pytest.mark.parametrize("outcome", pb.Outcome.values())
@pytest.mark.parametrize("names", [
    each for size in range(3) for each in itertools.combinations(OBLIGATIONS, size)
])  # fmt: skip
def test_what_is_permitted(outcome: pb.Outcome.ValueType, names: tuple[str, ...]) -> None:
    """Unchanged requests pass, others only if all of their obligations are supported."""
    allowed = pb.OUTCOME_ALLOW <= outcome <= pb.OUTCOME_REDACT
    response = pb.DecideResponse(
        outcome=outcome, allowed=allowed, obligations=[OBLIGATIONS[each] for each in names]
    )
    changed = outcome in (pb.OUTCOME_ROUTE_TO, pb.OUTCOME_REDACT)
    for supported in ((), ("custom",), ("step-up",), ("custom", "step-up"), ("unknown", "x")):
        expected = allowed and (not names if not changed else bool(names))
        if names:
            needed = {"step-up" if each == "prompt" else "custom" for each in names}
            can_be_done = {"unknown", "approval"}.isdisjoint(names)
            expected = allowed and can_be_done and needed <= set(supported)
        assert permits(response, frozenset(supported)) is expected
    response.allowed = False
    assert not permits(response, frozenset(ADVERTISED))


def test_an_unknown_outcome_is_denied() -> None:
    response = pb.DecideResponse(outcome=99, allowed=True)  # type: ignore[arg-type] # as above
    assert not permits(response, frozenset(ADVERTISED))


def test_errors_name_the_fields_of_authzen() -> None:
    of_prompt = mapped(resource=MODEL, prompt="x")
    of_tool = mapped(resource={"type": "tool", "id": "t", "properties": {"a": 1}})
    names = {
        "content.text": "context.prompt",
        "subject.user_id": "subject.id",
        "subject.groups[3]": "subject.properties.groups[3]",
        "target.classifications": "resource.properties.classifications",
        "context_json": "context",
        "direction": "context.direction",
        "payload.body": "context.payload.body",
        "min_revision": "min_revision",
    }
    error = InvalidArgument.of(*(Violation(each, "is bad") for each in names))
    assert [field for field, _ in renamed(error, of_prompt).violations] == [*names.values()]
    message = "requests[7].arguments_json: nested too deep; requests[7].channel: must be one of a"
    assert renamed_message(message, of_tool) == (
        "resource.properties: nested too deep; context.channel: must be one of a"
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"x"', b"{", b"\xff{}", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":1e999}',
     b'{"a":"\\ud800"}', b"[" * 50_000, b'{"a":' * 40 + b"1" + b"}" * 40],
)  # fmt: skip
def test_bodies_that_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_document(body)


def test_is_action() -> None:
    assert is_action("a:b:c.d")
    assert not is_action("A:b:c")
    assert not is_action("a:b")
    assert not is_action("a:b:" + "c" * 256)
