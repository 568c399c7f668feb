"""Payloads of model providers: their parts, and how one format differs from another."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.payloads import anthropic, bedrock, gemini, openai_chat, openai_responses
from pdp.payloads.formats import FORMATS, read_payload
from pdp.payloads.payload import PayloadError
from pdp.payloads.pointers import member, value_at
from pdp.payloads.redaction import PartChange, redacted_body
from tests.support.payload_samples import Sample, samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.payloads.payload import Payload, PayloadPart

NAMES: Final = (
    openai_chat.NAME,
    openai_responses.NAME,
    anthropic.NAME,
    gemini.NAME,
    bedrock.NAME,
)
SAMPLES: Final = [sample for name in NAMES for sample in samples(name)]
PROVIDERS: Final = {anthropic.NAME: "anthropic", gemini.NAME: "google"}

_UNJUDGED: Final = re.compile(r"[A-Za-z0-9_.:@|/+=-]*")
"""Identifiers, and signatures that only their writer can read."""


def read(document: Any, format_: str = "", direction: str = "") -> Payload:
    """Reads a document."""
    return read_payload(format_, json.dumps(document), direction)


def placed(payload: Payload) -> list[PayloadPart]:
    """Returns the parts without the rest."""
    return [part for part in payload.parts if part.pointer]


def calls(payload: Payload) -> list[tuple[str, str, Any]]:
    """Returns the server, the tool, and the arguments of each call."""
    return [
        (part.server, part.tool, part.text or part.values) for part in payload.parts if part.tool
    ]


def described(part: PayloadPart) -> dict[str, Any]:
    """Returns a part as samples describe it."""
    optional = {"tool": part.tool, "server": part.server, "is_earlier": part.is_earlier}
    return {
        "pointer": part.pointer,
        "scope": part.scope,
        "role": part.role,
        **{name: value for name, value in optional.items() if value},
    }


def test_each_format_has_samples() -> None:
    """Three requests and two responses at least."""
    directions = Counter((sample.format, sample.direction) for sample in SAMPLES)
    assert all(directions[name, "input"] >= 3 for name in NAMES)
    assert all(directions[name, "output"] >= 2 for name in NAMES)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_sample_has_its_parts(sample: Sample) -> None:
    """Each text, call, result and structure has its place, scope, role, tool and server."""
    payload = read_payload(sample.format, sample.body, sample.direction)
    assert [described(part) for part in placed(payload)] == sample.parts
    assert list(payload.unjudged) == sample.unjudged
    assert payload.model == sample.model
    assert payload.session_id == sample.session_id
    assert payload.provider == PROVIDERS.get(sample.format, "")
    assert payload.is_output == (sample.direction == "output")


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_sample_is_told_by_its_looks(sample: Sample) -> None:
    """Without a name and a direction, a document is recognized as what it is."""
    payload = read_payload("", sample.body)
    assert payload == read_payload(sample.format, sample.body, sample.direction)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_sample_is_of_one_format(sample: Sample) -> None:
    """No other format claims it, unless it is valid in both."""
    claims = {
        (name, is_output)
        for name, each in FORMATS.items()
        for is_output, looks_so in ((False, each.is_request), (True, each.is_response))
        if name != "json" and looks_so(sample.payload)
    }
    own = (sample.format, sample.direction == "output")
    assert (claims > {own}) if sample.is_ambiguous else (claims == {own})


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_sample_has_one_direction(sample: Sample) -> None:
    """A request is no answer, and an answer no request."""
    other = "input" if sample.direction == "output" else "output"
    with pytest.raises(PayloadError, match="is not a"):
        read_payload(sample.format, sample.body, other)


def test_an_ambiguous_request_is_read_as_it_is_named() -> None:
    """A minimal request with messages is OpenAI's unless it is said to be Anthropic's."""
    document = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi."}]}
    assert read(document).format == openai_chat.NAME
    assert read(document, anthropic.NAME).format == anthropic.NAME
    with pytest.raises(PayloadError, match=f"not a request or an answer of {bedrock.NAME}"):
        read(document, bedrock.NAME)


CHAT_MARKS: Final[list[dict[str, Any]]] = [
    {"messages": [{"role": "developer", "content": "Hi."}]},
    {"messages": [{"role": "assistant", "tool_calls": []}]},
    {"messages": [], "tools": [{"type": "function", "function": {"name": "f"}}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
]
ANTHROPIC_MARKS: Final[list[dict[str, Any]]] = [
    {"messages": [], "system": "Be kind."},
    {"messages": [], "system": [{"type": "text", "text": "Be kind."}]},
    {"messages": [], "tools": [{"name": "f", "input_schema": {}}]},
    {"messages": [], "tools": [{"type": "bash_20250124", "name": "bash"}]},
    {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
]
BEDROCK_MARKS: Final[list[dict[str, Any]]] = [
    {"messages": [], "inferenceConfig": {}},
    {"messages": [], "system": [{"text": "Be kind."}]},
    {"messages": [{"role": "user", "content": [{"text": "Hi."}]}]},
    {"messages": [{"role": "user", "content": [{"toolResult": {"content": []}}]}]},
]


@pytest.mark.parametrize(
    ("format_", "document"),
    [
        *((openai_chat.NAME, each) for each in CHAT_MARKS),
        *((anthropic.NAME, each) for each in ANTHROPIC_MARKS),
        *((bedrock.NAME, each) for each in BEDROCK_MARKS),
    ],
)
def test_one_mark_tells_a_request_with_messages(format_: str, document: dict[str, Any]) -> None:
    """Other formats with messages refuse it, by name too: they would miss its calls."""
    assert read(document).format == format_
    for other in {openai_chat.NAME, anthropic.NAME, bedrock.NAME} - {format_}:
        with pytest.raises(PayloadError, match=f"not a request or an answer of {other}"):
            read(document, other)


@pytest.mark.parametrize("marked", [*ANTHROPIC_MARKS, *BEDROCK_MARKS])
def test_marks_of_two_formats_are_refused(marked: dict[str, Any]) -> None:
    """It is unknown which parts the receiver of such a document would read."""
    with pytest.raises(PayloadError, match="no known format"):
        read({**marked, "functions": []})


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        "text",
        {"messages": "Hi."},
        {"messages": {}},
        {"input": ["a", "b"]},
        {"input": {}},
        {"output": ["a"]},
        {"output": {}},
        {"contents": "Hi."},
        {"contents": ["Hi."]},
        {"contents": [{"uri": "file:///a", "text": "Hi."}]},
        {"candidates": {}},
        {"content": [{"type": "text", "text": "Hi."}]},
        {"error": {"message": "overloaded"}},
        [{"candidates": []}, {}],
    ],
)
def test_a_document_of_no_format_is_refused(document: Any) -> None:
    """It is not guessed."""
    with pytest.raises(PayloadError, match="no known format"):
        read(document)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"choices": [{"message": {"tool_calls": [{"function": {"name": "now"}}]}}]},
            ("", "now", {"name": "now"}),
        ),
        (
            {"output": [{"type": "web_search_call", "id": "ws_1"}]},
            ("", "web_search", {"type": "web_search_call", "id": "ws_1"}),
        ),
        (
            {"output": [{"type": "teleport_call", "place": "Mars", "results": "sand"}]},
            ("", "teleport", {"type": "teleport_call", "place": "Mars"}),
        ),
        (
            {"output": [{"type": "shell_call", "name": "ls", "action": {"commands": ["rm"]}}]},
            ("", "shell", {"commands": ["rm"]}),
        ),
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "new_tool_use", "name": "now", "server_name": "s"}],
            },
            ("s", "now", {"type": "new_tool_use", "name": "now", "server_name": "s"}),
        ),
        (
            {"candidates": [{"content": {"parts": [{"function_call": {"name": "now"}}]}}]},
            ("", "now", {"name": "now"}),
        ),
        (
            {"output": {"message": {"content": [{"toolUse": {"name": "now"}}]}}},
            ("", "now", {"name": "now"}),
        ),
    ],
)
def test_a_call_without_known_arguments_is_a_call(
    document: dict[str, Any], expected: tuple[str, str, Any]
) -> None:
    """All of it counts as its arguments, and a type that OpenAI defines names the tool."""
    assert calls(read(document)) == [expected]


def test_both_spellings_of_a_member_are_read() -> None:
    """Google accepts either, so a call in one does not hide a call in the other."""
    part = {
        "functionCall": {"name": "read", "args": {"a": 1}},
        "function_call": {"name": "drop", "args": {"b": 2}},
    }
    payload = read({"contents": [{"role": "user", "parts": [part]}]})
    assert calls(payload) == [("", "read", {"a": 1}), ("", "drop", {"b": 2})]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gemini-3-flash", "gemini-3-flash"),
        ("models/gemini-3-flash", "gemini-3-flash"),
        ("projects/p/locations/l/publishers/google/models/gemini-3-flash", "gemini-3-flash"),
    ],
)
def test_a_resource_name_of_google_names_a_model(name: str, model: str) -> None:
    """Policies know the model without the path of its resource."""
    assert read({"model": name, "contents": []}).model == model


@pytest.mark.parametrize(
    ("format_", "document", "pointer"),
    [
        (
            openai_chat.NAME,
            {"messages": [{"content": [{"type": "file", "file": {"file_data": "a b"}}]}]},
            "/messages/0/content/0/file/file_data",
        ),
        (
            openai_responses.NAME,
            {"output": [{"type": "image_generation_call", "result": "a b"}]},
            "/output/0/result",
        ),
        (
            openai_responses.NAME,
            {"input": [{"type": "reasoning", "encrypted_content": "a b"}]},
            "/input/0/encrypted_content",
        ),
        (
            anthropic.NAME,
            {"messages": [{"content": [{"type": "redacted_thinking", "data": "a b"}]}]},
            "/messages/0/content/0/data",
        ),
        (
            gemini.NAME,
            {"contents": [{"parts": [{"inlineData": {"data": "a b"}}]}]},
            "/contents/0/parts/0/inlineData/data",
        ),
        (
            bedrock.NAME,
            {"messages": [{"content": [{"image": {"source": {"bytes": "a b"}}}]}]},
            "/messages/0/content/0/image/source/bytes",
        ),
    ],
)
def test_a_text_in_the_place_of_media_is_judged(
    format_: str, document: dict[str, Any], pointer: str
) -> None:
    """What is no base64 is neither media nor a signature."""
    payload = read(document, format_)
    assert payload.unjudged == ()
    (rest,) = [part for part in payload.parts if not part.pointer]
    assert value_at(rest.values, pointer) == "a b"


TURNS: Final[list[tuple[str, str, dict[str, Any], dict[str, Any]]]] = [
    (
        openai_chat.NAME,
        "messages",
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
    ),
    (
        openai_responses.NAME,
        "input",
        {"role": "user", "content": "q"},
        {"type": "function_call", "name": "f", "arguments": "{}"},
    ),
    (
        anthropic.NAME,
        "messages",
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
    ),
    (
        gemini.NAME,
        "contents",
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "model", "parts": [{"text": "a"}]},
    ),
    (
        bedrock.NAME,
        "messages",
        {"role": "user", "content": [{"text": "q"}]},
        {"role": "assistant", "content": [{"text": "a"}]},
    ),
]


@pytest.mark.parametrize("conversation", TURNS, ids=lambda conversation: conversation[0])
@pytest.mark.parametrize(
    ("turns", "earlier"),
    [
        ("q", 0),
        ("qa", 0),
        ("a", 0),
        ("qaq", 2),
        ("qaqa", 2),
        ("qqaqqaa", 3),
        ("aq", 1),
        ("qaaqq", 3),
    ],
)
def test_what_stands_before_the_last_answer_is_earlier(
    conversation: tuple[str, str, dict[str, Any], dict[str, Any]], turns: str, earlier: int
) -> None:
    """Answers at the end are the caller's words, and system prompts and tools are always new."""
    format_, name, question, answer = conversation
    document = {
        name: [question if turn == "q" else answer for turn in turns],
        "instructions" if format_ == openai_responses.NAME else "": "Be kind.",
        "tools": [{"name": "f"}],
    }
    payload = read(document, format_)
    spoken = [part for part in placed(payload) if part.pointer.startswith(f"/{name}/")]
    assert [part.is_earlier for part in spoken] == [index < earlier for index in range(len(turns))]
    assert not any(part.is_earlier for part in payload.parts if part not in spoken)


def test_a_call_that_waits_for_approval_is_not_earlier() -> None:
    """It runs as soon as the caller's approval arrives."""
    payload = read(
        {
            "input": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"},
                {
                    "type": "mcp_approval_request",
                    "server_label": "files",
                    "name": "drop",
                    "arguments": "{}",
                },
                {"type": "mcp_approval_response", "approve": True},
            ]
        }
    )
    assert [part.is_earlier for part in placed(payload)] == [True, True, False]
    assert calls(payload) == [("files", "drop", {})]


json_values: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(max_size=6).map(lambda text: f"\u20ac {text}"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
KNOWN_NAMES: Final = sorted(
    {
        *("text", "content", "type", "role", "input", "arguments", "action", "output", "results"),
        *("source", "data", "parts", "functionCall", "toolUse", "toolResult", "citations", "title"),
        *("summary", "tools", "tool_calls", "refusal", "reason", "json", "name", "system"),
    }
)


@given(
    sample=st.sampled_from(SAMPLES),
    extras=st.lists(
        st.tuples(
            st.integers(0, 10_000), st.sampled_from(KNOWN_NAMES) | st.text(max_size=6), json_values
        ),
        max_size=6,
    ),
)
def test_no_text_is_lost(sample: Sample, extras: list[tuple[int, str, Any]]) -> None:
    """Each string and number is in exactly one part, wherever unknown members stand."""
    document = copy.deepcopy(sample.payload)
    for index, name, value in extras:
        owners = list(objects_in(document))
        owners[index % len(owners)].setdefault(name, value)
    try:
        payload = read(document, sample.format, sample.direction)
    except PayloadError:
        return  # refused: it has become a document of another format, or its call is none
    judged = Counter(pointer for part in payload.parts for pointer in places(part))
    for pointer, value in leaves(payload.document, ""):
        if pointer in payload.unjudged:
            assert judged[pointer] == 0, pointer
        elif isinstance(value, str) and _UNJUDGED.fullmatch(value):
            assert judged[pointer] <= 1, pointer
        else:
            assert judged[pointer] == 1, pointer


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yields the objects in a value, at any depth."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            yield from objects_in(item)


def leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Yields the pointer and the value of each string and number."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, member(pointer, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{pointer}/{index}")
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield pointer, value


def places(part: PayloadPart) -> Iterator[str]:
    """Yields the pointers of the strings and numbers of a document that a part has."""
    if part.as_text or part.text or part.values is None:
        yield part.pointer
    else:
        value = part.values[""] if part.is_wrapped else part.values
        yield from (pointer for pointer, _ in leaves(value, part.pointer))


REPEATED: Final = {
    "openai.chat_completions": {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "my zinc"},
                "logprobs": {"content": [{"token": "my zi", "logprob": -0.1, "bytes": [109]}]},
            }
        ]
    },
    "openai.responses": {
        "object": "response",
        "output": [
            {
                "type": "message",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "my zinc", "logprobs": [{"token": "my zi"}]}
                ],
            }
        ],
    },
    "google.generate_content": {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "my zinc"}]},
                "logprobsResult": {"chosenCandidates": [{"token": "my zi"}]},
            }
        ]
    },
}


@pytest.mark.parametrize("format_", REPEATED)
def test_what_repeats_a_redacted_text_goes_with_it(format_: str) -> None:
    """Its tokens are judged, but a value may be split between two of them."""
    body = json.dumps(REPEATED[format_])
    payload = read_payload(format_, body)
    assert len(payload.repetitions) == 1
    assert any("my zi" in json.dumps(each.values) for each in payload.parts if each.values)
    part = next(each for each in payload.parts if each.text == "my zinc")
    redacted = redacted_body(payload, [PartChange(part, text="my [REDACTED]")])
    assert "zi" not in redacted
    assert value_at(json.loads(redacted), payload.repetitions[0]) is None
    assert redacted_body(payload, []) == body
