"""The formats of payloads: by their names, and by their looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.payloads import (
    a2a,
    anthropic,
    bedrock,
    gemini,
    mcp,
    openai_chat,
    openai_responses,
    plain,
)
from pdp.payloads.payload import MAX_TEXT_BYTES, Payload, PayloadError, PayloadPart
from pdp.payloads.reader import PartReader, read_json, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_FORMAT: Final = 64


class Format(NamedTuple):
    """A format.

    Attributes:
        is_request, is_response: whether a document looks like one.
        read_request, read_response: read the parts of one.
        provider: the provider of the models, if the format has only one.
        looks_like: if given, it says instead of `is_request` and `is_response` whether a document
            without the name of a format is of this one; its second argument is whether answers are
            meant. Then no other format may claim the document.
    """

    is_request: Callable[[Any], bool]
    is_response: Callable[[Any], bool]
    read_request: Callable[[PartReader], None]
    read_response: Callable[[PartReader], None]
    provider: str = ""
    looks_like: Callable[[Any, bool], bool] | None = None


_ANY: Final = Format(plain.is_any, plain.is_any, plain.read_any, plain.read_any)

FORMATS: Final[dict[str, Format]] = {
    mcp.NAME: Format(
        mcp.is_request,
        mcp.is_response,
        mcp.read_request,
        mcp.read_response,
        looks_like=mcp.looks_like,
    ),
    a2a.NAME: Format(
        a2a.is_request,
        a2a.is_response,
        a2a.read_request,
        a2a.read_response,
        looks_like=a2a.looks_like,
    ),
    openai_chat.NAME: Format(
        openai_chat.is_request,
        openai_chat.is_response,
        openai_chat.read_request,
        openai_chat.read_response,
    ),
    openai_responses.NAME: Format(
        openai_responses.is_request,
        openai_responses.is_response,
        openai_responses.read_request,
        openai_responses.read_response,
    ),
    anthropic.NAME: Format(
        anthropic.is_request,
        anthropic.is_response,
        anthropic.read_request,
        anthropic.read_response,
        provider="anthropic",
    ),
    gemini.NAME: Format(
        gemini.is_request,
        gemini.is_response,
        gemini.read_request,
        gemini.read_response,
        provider="google",
    ),
    bedrock.NAME: Format(
        bedrock.is_request,
        bedrock.is_response,
        bedrock.read_request,
        bedrock.read_response,
    ),
    plain.JSON: _ANY,
}
"""The formats of JSON documents, in the order in which a document is compared with them."""

NAMES: Final = (*FORMATS, plain.TEXT)


def read_payload(format_: str, body: str, direction: str = "", *, answers: str = "") -> Payload:
    """Returns a payload.

    Args:
        format_: one of `NAMES`; empty to look at the document.
        body: the document as it was sent.
        direction: `input` for a request, `output` for an answer; empty to look at the document.
        answers: the method of the request that an answer of MCP belongs to, if it is known.

    Raises:
        PayloadError: the document is not of this format and direction, or exceeds a bound. An
            empty format stands for any that the document looks like; one of no known format is
            refused.
    """
    if format_ == plain.TEXT:
        return _plain_text(body, direction)
    if format_ and format_ not in FORMATS:
        raise PayloadError(
            f'has the unknown format "{format_[:MAX_FORMAT]}"; use {", ".join(NAMES)}'
        )
    document = read_json(body)
    name, is_output = (
        (format_, _kind_of(format_, document, direction))
        if format_
        else _format_of(document, direction)
    )
    reader = PartReader(name, body, document, is_output=is_output)
    own = FORMATS[name]
    reader.provider = own.provider
    reader.answers = answers
    (own.read_response if is_output else own.read_request)(reader)
    return reader.payload()


_KINDS: Final = {"input": "a request", "output": "an answer", "": "a request or an answer"}


def _kind_of(name: str, document: Any, direction: str) -> bool:
    """Returns whether a document of a format that is named is an answer."""
    own = FORMATS[name]
    for is_output in _possible(direction):
        if (own.is_response if is_output else own.is_request)(document):
            return is_output
    raise PayloadError(f"is not {_KINDS[direction]} of {name}")


def _possible(direction: str) -> tuple[bool, ...]:
    """Returns which kinds of document a direction allows: requests, answers."""
    return (direction == "output",) if direction else (False, True)


def _format_of(document: Any, direction: str) -> tuple[str, bool]:
    """Returns the format that a document looks like, and whether it is an answer."""
    found = _formats_like(document, direction)
    first = next(found, None)
    if first is None:
        raise PayloadError(f"is of no known format; name it: one of {', '.join(NAMES)}")
    if FORMATS[first[0]].looks_like is not None:
        other = next((each for each in found if each[0] != first[0]), None)
        if other is not None:
            raise PayloadError(f"may be {first[0]} or {other[0]}; name its format")
    return first


def _formats_like(document: Any, direction: str) -> Iterator[tuple[str, bool]]:
    for name, own in FORMATS.items():
        if own is _ANY:
            continue
        for is_output in _possible(direction):
            looks_like = own.is_response if is_output else own.is_request
            if own.looks_like(document, is_output) if own.looks_like else looks_like(document):
                yield name, is_output


def _plain_text(body: str, direction: str) -> Payload:
    if size_of(body) > MAX_TEXT_BYTES:
        raise PayloadError(f"has a text of more than {MAX_TEXT_BYTES} bytes")
    is_output = direction == "output"
    part = PayloadPart("", "output" if is_output else "text", text=body)
    return Payload(plain.TEXT, body, is_output, (part,) if body else (), document=body)
