"""The messages of MCP, and how they are framed: lines and events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.adapters.mcp.events import KEEP_ALIVE, EventParser, ServerEvent, StreamFault
from pdp.adapters.mcp.lines import TOO_LONG, LineSplitter
from pdp.adapters.mcp.messages import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_MESSAGE_BYTES,
    PARSE_ERROR,
    MalformedMessage,
    McpMessage,
    error_answer,
    read_aside,
    read_message,
    take_tokens,
)

MALFORMED: list[tuple[bytes, int, Any]] = [
    (b"", PARSE_ERROR, None),
    (b"{", PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping"} x', PARSE_ERROR, None),
    (b'\xff{"jsonrpc":"2.0"}', PARSE_ERROR, None),
    (b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}', PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}', PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\\ud800"}}', PARSE_ERROR, None),
    (b"[" * 200 + b"]" * 200, PARSE_ERROR, None),
    (b"null", INVALID_REQUEST, None),
    (b'"ping"', INVALID_REQUEST, None),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', INVALID_REQUEST, None),
    (b"[]", INVALID_REQUEST, None),
    (b"{}", INVALID_REQUEST, None),
    (b'{"id":1,"method":"ping"}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":2.0,"id":1,"method":"ping"}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":"%s","method":"ping"}' % (b"x" * 300), INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":1,"method":""}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":1,"method":["tools/call"]}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":1,"method":null,"result":{}}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', INVALID_PARAMS, 1),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', INVALID_PARAMS, 1),
    (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":1,"result":[]}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":1,"result":null}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","id":1,"error":"no"}', INVALID_REQUEST, 1),
    (b'{"jsonrpc":"2.0","result":{}}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":1}', INVALID_REQUEST, 1),
]
"""What is no message, with the code and the id of the error that answers it."""


@pytest.mark.parametrize(("raw", "code", "message_id"), MALFORMED)
def test_what_is_no_message_has_the_error_of_the_protocol(
    raw: bytes, code: int, message_id: Any
) -> None:
    with pytest.raises(MalformedMessage) as caught:
        read_message(raw)
    assert (caught.value.code, caught.value.id) == (code, message_id)


def test_a_message_may_be_as_large_as_the_bound_and_no_larger() -> None:
    head, tail = b'{"jsonrpc":"2.0","method":"x","params":{"a":"', b'"}}'
    fitting = head + b"a" * (MAX_MESSAGE_BYTES - len(head) - len(tail)) + tail
    assert read_message(fitting).method == "x"
    with pytest.raises(MalformedMessage) as caught:
        read_message(fitting + b" ")
    assert caught.value.code == INVALID_REQUEST


async def test_a_thread_reads_a_large_message_as_any_other() -> None:
    raw = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"a": "b" * 100_000}}).encode()
    assert await read_aside(raw) == read_message(raw)
    with pytest.raises(MalformedMessage):
        await read_aside(raw + b"x")


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"jsonrpc": "2.0", "id": "a", "method": "m"}, "request"),
        ({"jsonrpc": "2.0", "id": 0, "method": "m", "params": {}}, "request"),
        ({"jsonrpc": "2.0", "method": "m"}, "notification"),
        ({"jsonrpc": "2.0", "id": -1, "result": {}}, "answer"),
        ({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": ""}}, "answer"),
        ({"jsonrpc": "2.0", "error": {"code": 1, "message": ""}}, "answer"),
    ],
)
def test_the_kinds_of_messages(document: dict[str, Any], kind: str) -> None:
    message = read_message(json.dumps(document).encode())
    assert message.is_request is (kind == "request")
    assert message.is_notification is (kind == "notification")
    assert message.document == document


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.integers() | st.text(max_size=4) | JSON,
        "method": st.sampled_from(["ping", "tools/call", ""]) | JSON,
        "params": st.dictionaries(st.text(max_size=4), JSON, max_size=3) | JSON,
        "result": st.dictionaries(st.text(max_size=4), JSON, max_size=3) | JSON,
        "error": JSON,
        "Method": JSON,
    },
)


@given(
    st.binary(max_size=64)
    | MEMBERS.map(lambda value: json.dumps(value).encode())
    | st.builds(lambda value, end: json.dumps(value).encode()[:end], MEMBERS, st.integers(0, 40))
)
def test_any_bytes_are_one_kind_of_message_or_an_error(raw: bytes) -> None:
    """There is no other exception, and nothing is two kinds of messages."""
    try:
        message = read_message(raw)
    except MalformedMessage as fault:
        answer = json.loads(error_answer(fault.id, fault.code, fault.message))
        error = answer["error"]
        is_error = answer["id"] == fault.id and error["code"] < 0 and bool(error["message"])
        assert is_error, answer
        return
    assert isinstance(message, McpMessage)
    assert json.loads(message.text) == message.document
    is_answer = ("result" in message.document) != ("error" in message.document)
    assert message.is_request + message.is_notification + (not message.method and is_answer) == 1


def split(data: list[bytes], max_bytes: int = 8) -> list[bytes | None]:
    """Returns the lines in chunks; None for each that is too long."""
    lines = LineSplitter(max_bytes)
    return [
        None if line is TOO_LONG else line  # type: ignore[misc] # what is not TOO_LONG is bytes
        for chunk in data
        for line in lines.feed(chunk)
    ]


class TestLines:
    """The framing of stdio."""

    def test_lines_are_split_wherever_the_chunks_end(self) -> None:
        assert split([b"ab", b"c\nd", b"\r\n\n \ne", b"f\n"]) == [b"abc", b"d", b"ef"]

    def test_a_line_without_an_end_is_not_returned(self) -> None:
        assert split([b"abc"]) == []

    def test_a_line_of_the_largest_size_is_returned(self) -> None:
        assert split([b"12345678\n", b"12345678\r\n"]) == [b"12345678", b"12345678"]

    def test_a_longer_line_is_reported_once_and_left_out(self) -> None:
        assert split([b"123456789\nab\n"]) == [None, b"ab"]
        assert split([b"123", b"456789000", b"0000000", b"00\nab\n"]) == [None, b"ab"]

    @given(st.lists(st.binary(max_size=12), max_size=8))
    def test_chunks_do_not_matter(self, chunks: list[bytes]) -> None:
        whole = b"".join(chunks)
        one_by_one = [whole[index : index + 1] for index in range(len(whole))]
        assert split(chunks) == split([whole]) == split(one_by_one)


def parse(*chunks: bytes, max_bytes: int = 64) -> list[ServerEvent]:
    """Returns the events in chunks."""
    parser = EventParser(max_bytes)
    return [event for chunk in chunks for event in parser.feed(chunk)]


class TestEvents:
    """The framing of HTTP streams."""

    def test_an_event_has_its_data_and_its_id(self) -> None:
        assert parse(b"event: message\nid: 7\ndata: {}\n\n") == [ServerEvent("{}", "7")]

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_lines_end_in_three_ways(self, end: bytes) -> None:
        raw = end.join([b"data: a", b"data:b", b"", b"data: c", b"", b""])
        assert parse(raw) == [ServerEvent("a\nb"), ServerEvent("c")]
        assert parse(*(raw[i : i + 1] for i in range(len(raw)))) == parse(raw)

    def test_comments_keep_the_connection_open(self) -> None:
        (event,) = parse(b": ping - 1\n\n")
        assert event.encoded() == KEEP_ALIVE

    def test_an_event_without_data_has_the_id_to_resume_from(self) -> None:
        (event,) = parse(b"id: 3\nretry: 500\ndata:\n\n")
        assert event == ServerEvent("", "3", "500")
        assert event.encoded() == b"id: 3\nretry: 500\ndata: \n\n"

    def test_an_event_that_the_stream_does_not_complete_is_left_out(self) -> None:
        assert parse(b"data: a\n") == []

    def test_events_of_other_types_are_left_out(self) -> None:
        assert parse(b"event: endpoint\ndata: /x\n\ndata: a\n\n") == [ServerEvent("a")]

    @pytest.mark.parametrize(
        "raw",
        [
            b"data: " + b"x" * 65 + b"\n\n",
            (b"data: " + b"x" * 30 + b"\n") * 3 + b"\n",
            b"data:\n" * 100 + b"\n",
            b"x" * 100_000,
            b"data: \xff\n\n",
            b"id: " + b"1" * 2000 + b"\n\n",
        ],
    )
    def test_a_stream_beyond_a_bound_is_a_fault(self, raw: bytes) -> None:
        with pytest.raises(StreamFault):
            parse(raw)

    @given(st.binary(max_size=80))
    def test_any_bytes_are_events_or_a_fault(self, raw: bytes) -> None:
        try:
            events = parse(raw)
        except StreamFault:
            return
        for event in events:
            assert parse(event.encoded()) == [event] or event.data is None

    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=40))
    def test_data_is_encoded_so_that_it_is_read_again(self, text: str) -> None:
        (event,) = parse(ServerEvent(text, "1").encoded(), max_bytes=400)
        assert event == ServerEvent(text, "1")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = st.dictionaries(st.text(max_size=6) | st.just("dev.pdp/other"), JSON_VALUES, max_size=3)


@given(
    params=MEMBERS,
    meta=MEMBERS,
    first=st.booleans(),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", " :\t")]),
)
async def test_only_the_confirmations_are_taken_out(
    params: dict[str, Any], meta: dict[str, Any], first: bool, separators: tuple[str, str]
) -> None:
    """The rest is the text that the client would have sent without them, but for spaces."""

    def request_with(tokens: dict[str, Any]) -> bytes:
        own = {**tokens, **meta} if first else {**meta, **tokens}
        both = {"_meta": own, **params} if first else {**params, "_meta": own}
        document = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": both}
        if not own:
            del both["_meta"]
        return json.dumps(document, separators=separators).encode()

    params.pop("_meta", None)
    plain = read_message(request_with({}))
    taken = await take_tokens(read_message(request_with({"dev.pdp/tokens": ["a.b.c", "d"]})))
    assert taken.tokens == ("a.b.c", "d")
    assert taken.message.document == plain.document
    assert read_message(taken.message.text.encode()).document == plain.document
    spaces = str.maketrans("", "", " \n\t")
    assert taken.message.text.translate(spaces) == plain.text.translate(spaces)
    assert await take_tokens(plain) == (plain, ())


@pytest.mark.parametrize(
    "value", ["x.y.z", None, 7, {}, [None], [["x.y.z"]], ["x y"], [""], ["x"] * 9, ["x" * 8193]]
)
async def test_what_is_no_list_of_confirmations_is_refused(value: Any) -> None:
    params = {"name": "f", "_meta": {"dev.pdp/tokens": value}}
    document = {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": params}
    with pytest.raises(MalformedMessage) as raised:
        await take_tokens(read_message(json.dumps(document).encode()))
    assert (raised.value.code, raised.value.id) == (INVALID_PARAMS, "a")
    assert "dev.pdp/tokens" in raised.value.message
    assert "x.y.z" not in raised.value.message


async def test_a_full_list_of_confirmations_is_taken_out_of_a_large_message() -> None:
    tokens = ["x" * 8192] * 8
    params = {"text": "y" * 100_000, "_meta": {"dev.pdp/tokens": tokens}}
    document = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    taken = await take_tokens(read_message(json.dumps(document).encode()))
    assert taken.tokens == tuple(tokens)
    assert taken.message.params == {"text": "y" * 100_000}
