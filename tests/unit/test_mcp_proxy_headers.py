"""The headers of version 2026-07-28: they must say what the body says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.adapters.mcp.headers import (
    HeaderFault,
    Headers,
    check_headers,
    decoded,
    encoded,
    headers_for,
)
from pdp.adapters.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_VERSION,
    McpMessage,
)
from tests.support.mcp import MODERN_META, notification, request, result, tool

VERSION = ("mcp-protocol-version", "2026-07-28")
SCHEMA = tool(
    "sql",
    region={"type": "string", "x-mcp-header": "Region"},
    place={
        "type": "object",
        "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone"}},
    },
    dry={"type": "boolean", "x-mcp-header": "Dry-Run"},
)["inputSchema"]


def call(name: str = "sql", **arguments: Any) -> McpMessage:
    """Returns a call of version 2026-07-28."""
    params = {"name": name, "arguments": arguments, "_meta": MODERN_META}
    return request("tools/call", params)


def own(method: str = "tools/call", name: str | None = "sql", **params: str) -> Headers:
    """Returns the headers of a request of version 2026-07-28."""
    headers = [VERSION, ("mcp-method", method)]
    headers += [("mcp-name", name)] if name is not None else []
    return headers + [(f"mcp-param-{key.replace('_', '-')}", each) for key, each in params.items()]


FITTING: list[tuple[McpMessage, Headers, Any]] = [
    (call(), own(), None),
    (call("größe"), own(name="=?base64?Z3LDtsOfZQ==?="), None),
    (
        request("resources/read", {"uri": "a:b", "_meta": MODERN_META}),
        own("resources/read", "a:b"),
        None,
    ),
    (request("tools/list", {"_meta": MODERN_META}), own("tools/list", None), None),
    (request("tasks/get", {"taskId": "t", "_meta": MODERN_META}), own("tasks/get", "t"), None),
    (
        call(region="eu", place={"zone": 7}, dry=True),
        own(region="eu", zone="7", dry_run="true"),
        SCHEMA,
    ),
    (call(region="eu", place={"zone": 42}), own(region="eu", zone="42.0"), SCHEMA),
    (call(region=None), own(), SCHEMA),
    (call(), own(), SCHEMA),
    (call(), own(other="x"), SCHEMA),
    (call(region="eu"), own(region="eu"), None),
    (request("initialize", {"protocolVersion": "2025-11-25"}), [], None),
    (request("tools/call", {"name": "sql"}), [("mcp-protocol-version", "2025-06-18")], None),
    (notification("notifications/initialized"), [("mcp-protocol-version", "2025-11-25")], None),
    (result({}), [("mcp-protocol-version", "2025-11-25")], None),
]
"""Messages, headers that fit them, and the schema of the tool."""


@pytest.mark.parametrize(("message", "headers", "schema"), FITTING)
def test_headers_that_fit_pass(message: McpMessage, headers: Headers, schema: Any) -> None:
    check_headers(message, headers, schema)
    headers_for(message, headers, schema)


UNFIT: list[tuple[str, McpMessage, Headers, Any, int]] = [
    ("another tool", call(), own(name="add"), None, HEADER_MISMATCH),
    ("case", call(), own(name="SQL"), None, HEADER_MISMATCH),
    ("another method", call(), own("tools/list"), None, HEADER_MISMATCH),
    ("no name", call(), own(name=None), None, HEADER_MISMATCH),
    ("no method", call(), [VERSION, ("mcp-name", "sql")], None, HEADER_MISMATCH),
    ("no version", call(), own()[1:], None, HEADER_MISMATCH),
    (
        "an older version",
        call(),
        [("mcp-protocol-version", "2025-11-25"), *own()[1:]],
        None,
        HEADER_MISMATCH,
    ),
    ("no version in the body", request("tools/call", {"name": "sql"}), own(), None, INVALID_PARAMS),
    (
        "an unknown version",
        request("ping"),
        [("mcp-protocol-version", "2031-01-01")],
        None,
        UNSUPPORTED_VERSION,
    ),
    (
        "a name for nothing",
        request("tools/list", {"_meta": MODERN_META}),
        own("tools/list", "sql"),
        None,
        HEADER_MISMATCH,
    ),
    ("two names", call(), [*own(), ("mcp-name", "sql")], None, HEADER_MISMATCH),
    ("two methods", call(), [*own(), ("mcp-method", "tools/call")], None, HEADER_MISMATCH),
    ("broken base64", call(), own(name="=?base64?c3Fs!?="), None, HEADER_MISMATCH),
    ("base64 with other bits", call("a"), own(name="=?base64?YR==?="), None, HEADER_MISMATCH),
    ("not ASCII", call("größe"), own(name="größe"), None, HEADER_MISMATCH),
    ("another value", call(region="eu"), own(region="us"), SCHEMA, HEADER_MISMATCH),
    (
        "a value of another argument",
        call(region="eu", dry=False),
        own(region="false", dry_run="false"),
        SCHEMA,
        HEADER_MISMATCH,
    ),
    ("no header for a value", call(region="eu"), own(), SCHEMA, HEADER_MISMATCH),
    ("a header without a value", call(), own(region="eu"), SCHEMA, HEADER_MISMATCH),
    ("a header for null", call(region=None), own(region="null"), SCHEMA, HEADER_MISMATCH),
    ("another number", call(place={"zone": 7}), own(zone="8"), SCHEMA, HEADER_MISMATCH),
    ("no number", call(place={"zone": 7}), own(zone="seven"), SCHEMA, HEADER_MISMATCH),
    ("an endless number", call(place={"zone": 7}), own(zone="7" * 5000), SCHEMA, HEADER_MISMATCH),
    ("a value of no argument", call(region="eu"), own(region="us"), None, HEADER_MISMATCH),
    (
        "parameters without a call",
        request("tools/list", {"_meta": MODERN_META}),
        own("tools/list", None, region="eu"),
        None,
        HEADER_MISMATCH,
    ),
    (
        "an older version with another method",
        request("tools/call", {"name": "sql"}),
        [("mcp-method", "ping")],
        None,
        HEADER_MISMATCH,
    ),
    (
        "an older version with another name",
        request("tools/call", {"name": "sql"}),
        [("mcp-name", "add")],
        None,
        HEADER_MISMATCH,
    ),
]
"""Messages, headers that do not fit them, the schema of the tool, and the code of the error."""


@pytest.mark.parametrize(
    ("message", "headers", "schema", "code"),
    [each[1:] for each in UNFIT],
    ids=[each[0] for each in UNFIT],
)
def test_headers_that_do_not_fit_are_refused(
    message: McpMessage, headers: Headers, schema: Any, code: int
) -> None:
    with pytest.raises(HeaderFault) as caught:
        check_headers(message, headers, schema)
    assert caught.value.code == code


def test_an_unknown_version_gets_the_list_of_those_that_are_known() -> None:
    with pytest.raises(HeaderFault) as caught:
        check_headers(request("ping"), [("mcp-protocol-version", "2031-01-01")])
    assert caught.value.data is not None
    assert caught.value.data["requested"] == "2031-01-01"
    assert "2026-07-28" in caught.value.data["supported"]


def test_the_server_gets_headers_that_are_made_from_the_redacted_body() -> None:
    headers = own(region="secret", other="x")
    check_headers(call(region="secret"), headers, SCHEMA)
    sent = headers_for(call(region="[REDACTED]"), headers, SCHEMA)
    assert sent == own(region="[REDACTED]")


def test_older_versions_have_no_headers_of_parameters() -> None:
    message = request("tools/call", {"name": "sql", "arguments": {"region": "eu"}})
    headers = [("mcp-protocol-version", "2025-11-25")]
    check_headers(message, headers, SCHEMA)
    assert headers_for(message, headers, SCHEMA) == headers


def test_a_header_that_repeats_what_was_redacted_is_refused() -> None:
    """Without the schema, it is unknown which argument the header repeats."""
    headers = own(region="secret")
    check_headers(call(region="secret"), headers)
    with pytest.raises(HeaderFault):
        headers_for(call(region="[REDACTED]"), headers)


def test_other_headers_are_none_of_the_protocol() -> None:
    headers = [*own(), ("x-pdp-user", "root"), ("cookie", "a=b"), ("cookie", "c=d")]
    check_headers(call(), headers)
    assert headers_for(call(), headers) == own()


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("", ""),
    ],
)
def test_the_examples_of_the_specification(value: str, header: str) -> None:
    assert encoded(value) == header
    assert decoded(header) == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_value_survives_its_header(value: str) -> None:
    header = encoded(value)
    assert decoded(header) == value
    assert header.isascii()
    assert header.isprintable()


def test_a_deep_schema_is_looked_at_within_a_bound() -> None:
    schema: dict[str, Any] = {}
    for _ in range(20_000):
        schema = {"properties": {"a": schema, "b": {}}}
    check_headers(call(a={}), own(), schema)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region", "accept"]
            ),
            st.sampled_from(["2026-07-28", "tools/call", "sql", "eu", "=?base64?c3Fs?=", ""])
            | st.text(max_size=6),
        ),
        max_size=6,
    ),
    st.sampled_from([None, SCHEMA]),
)
def test_whatever_passes_says_what_the_body_says(headers: Headers, schema: Any) -> None:
    message = call(region="eu")
    try:
        check_headers(message, headers, schema)
    except HeaderFault:
        return
    given_headers = dict(headers)
    assert given_headers["mcp-protocol-version"] == "2026-07-28"
    assert given_headers["mcp-method"] == "tools/call"
    assert decoded(given_headers["mcp-name"]) == "sql"
    assert decoded(given_headers.get("mcp-param-region", "eu")) == "eu"
