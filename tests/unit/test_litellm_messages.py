"""LiteLLM's questions: what is read, what is refused, and which payload is judged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdp.adapters.litellm.messages import MAX_ITEMS, MAX_NAME, GuardrailQuestion, read_question
from pdp.adapters.litellm.payload import MAX_DEPTH, build_payload, redacted_texts
from pdp.errors import PdpError
from pdp.payloads.formats import read_payload


def question(**fields: Any) -> GuardrailQuestion:
    """Returns a question; by default about a request."""
    return read_question(json.dumps({"input_type": "request", **fields}).encode())


def nested(depth: int) -> Any:
    """Returns an object that is nested so deep."""
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


MALFORMED = {
    "no JSON": b"{",
    "not UTF-8": b'{"input_type":"request","texts":["\xff"]}',
    "a repeated name": b'{"input_type":"request","input_type":"response"}',
    "half of a surrogate pair": b'{"input_type":"request","texts":["\\ud83d"]}',
    "half of a surrogate pair in a message": (
        b'{"input_type":"request","structured_messages":[{"role":"user","content":"\\ud83d"}]}'
    ),
    **{
        name: json.dumps(value).encode()
        for name, value in {
            "an array": [],
            "no input_type": {"texts": ["x"]},
            "another input_type": {"input_type": "both"},
            "an input_type that is no string": {"input_type": ["request"]},
            "texts that are a string": {"input_type": "request", "texts": "x"},
            "a text that is null": {"input_type": "request", "texts": [None]},
            "an image that is an object": {"input_type": "request", "images": [{}]},
            "a message that is a string": {"input_type": "request", "structured_messages": ["x"]},
            "tools that are an object": {"input_type": "request", "tools": {}},
            "a tool call that is null": {"input_type": "request", "tool_calls": [None]},
            "a model that is a number": {"input_type": "request", "model": 1},
            "identity that is an array": {"input_type": "request", "request_data": []},
            "a user that is a number": {
                "input_type": "request",
                "request_data": {"user_api_key_user_id": 1},
            },
            "a long call id": {"input_type": "request", "litellm_call_id": "x" * (MAX_NAME + 1)},
            "many texts": {"input_type": "request", "texts": ["x"] * (MAX_ITEMS + 1)},
            "deep messages": {
                "input_type": "request",
                "structured_messages": [nested(MAX_DEPTH + 1)],
            },
        }.items()
    },
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_refused(body: bytes) -> None:
    with pytest.raises(PdpError):
        build_payload(read_question(body))


def test_null_stands_for_a_missing_field() -> None:
    lists = ("texts", "images", "tools", "tool_calls", "structured_messages")
    names = (*lists, "model", "request_data", "litellm_call_id", "litellm_trace_id")
    assert question(**dict.fromkeys(names)) == GuardrailQuestion(is_response=False)


def test_only_the_fields_of_the_key_say_who_asks() -> None:
    data = {"user_api_key_user_id": "u1", "user_api_key_team_id": None, "admin": "yes"}
    assert question(request_data=data).identity == {"user_api_key_user_id": "u1"}


MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "1", "content": "three"},
]
TEXTS = ["Be brief.", "one", "two", "three"]
CALLS = MESSAGES[2]["tool_calls"]


def parts(asked: GuardrailQuestion) -> set[tuple[str, str, str]]:
    """Returns the scope, text and tool of each text and call in a question's payload."""
    built = build_payload(asked)
    payload = read_payload(built.format, built.body, "output" if asked.is_response else "input")
    return {(each.scope, each.text, each.tool) for each in payload.parts if each.text or each.tool}


def test_the_messages_say_which_role_a_text_has() -> None:
    asked = question(texts=TEXTS, structured_messages=MESSAGES, tool_calls=CALLS, model="m")
    assert parts(asked) == {
        ("system", "Be brief.", ""),
        ("text", "one", ""),
        ("text", "two", ""),
        ("arguments", "", "f"),
        ("tool_result", "three", ""),
    }


def test_texts_that_are_not_those_of_the_messages_are_judged_too() -> None:
    """Other formats list other texts; what only the messages have is judged as well."""
    extra = [*MESSAGES, {"role": "user", "content": "hidden"}]
    asked = question(texts=TEXTS, structured_messages=extra, tool_calls=CALLS, model="m")
    judged = parts(asked)
    assert {("text", text, "") for text in (*TEXTS, "hidden")} <= judged
    assert ("arguments", "", "f") in judged


@pytest.mark.parametrize("is_response", [False, True])
def test_images_are_listed_as_unjudged(is_response: bool) -> None:
    fields = {"input_type": "response"} if is_response else {}
    asked = question(texts=["x"], images=["data:image/png;base64,AAAA"], model="m", **fields)
    built = build_payload(asked)
    payload = read_payload(built.format, built.body, "output" if is_response else "input")
    assert len(payload.unjudged) == 1


def test_a_call_of_an_mcp_tool_is_judged_as_one() -> None:
    tool = {"type": "function", "function": {"name": "run_sql", "description": "Runs SQL"}}
    asked = question(texts=["Runs SQL", "SELECT 1"], tools=[tool])
    built = build_payload(asked)
    (call, *rest) = read_payload(built.format, built.body, "input").parts
    assert (call.tool, call.values) == ("run_sql", {"texts": ["Runs SQL", "SELECT 1"]})
    assert all("Runs SQL" not in str(each.values) for each in rest)


def test_a_request_to_a_model_with_one_tool_is_no_mcp_call() -> None:
    tool = {"type": "function", "function": {"name": "run_sql"}}
    assert build_payload(question(texts=["x"], tools=[tool], model="m")).format != "mcp.jsonrpc"


@pytest.mark.parametrize(
    "asked",
    [
        question(texts=TEXTS, structured_messages=MESSAGES, tool_calls=CALLS, model="m"),
        question(texts=TEXTS, structured_messages=MESSAGES, model="m"),
        question(texts=TEXTS),
        question(texts=TEXTS, tools=[{"type": "function", "function": {"name": "f"}}]),
        question(input_type="response", texts=TEXTS, tool_calls=CALLS),
    ],
    ids=["aligned", "not aligned", "texts alone", "MCP", "response"],
)
def test_redacted_texts_come_back_in_their_order(asked: GuardrailQuestion) -> None:
    built = build_payload(asked)
    assert redacted_texts(built, built.body) == tuple(TEXTS)
    redacted = built.body.replace('"two"', '"[X]"').replace('"three"', '"[Y]"')
    assert redacted_texts(built, redacted) == ("Be brief.", "one", "[X]", "[Y]")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('\\"b\\"', '\\"[X]\\"'),
        ('"two"', "2"),
        ('"m"', '"n"'),
        ('"content":"three"', '"c":"three"'),
    ],
    ids=["arguments", "a text that is no string", "model", "a key"],
)
def test_a_redaction_outside_the_texts_is_none_of_texts(before: str, after: str) -> None:
    asked = question(texts=TEXTS, structured_messages=MESSAGES, tool_calls=CALLS, model="m")
    built = build_payload(asked)
    assert before in built.body
    assert redacted_texts(built, built.body.replace(before, after)) is None
