"""The formats of payloads: by their names, and by their looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.payloads import openai_chat, plain
from pdp.payloads.payload import MAX_TEXT_BYTES, Part, Payload, PayloadError
from pdp.payloads.reader import Reader, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FORMAT: Final = 64


class Format(NamedTuple):
    """A format.

    Attributes:
        is_request, is_response: whether a document looks like one.
        read_request, read_response: read the parts of one.
        provider: the provider of the models, if the format has only one.
    """

    is_request: Callable[[Any], bool]
    is_response: Callable[[Any], bool]
    read_request: Callable[[Reader], None]
    read_response: Callable[[Reader], None]
    provider: str = ""


_ANY: Final = Format(plain.is_any, plain.is_any, plain.read_any, plain.read_any)

FORMATS: Final[dict[str, Format]] = {
    openai_chat.NAME: Format(
        openai_chat.is_request,
        openai_chat.is_response,
        openai_chat.read_request,
        openai_chat.read_response,
    ),
    plain.JSON: _ANY,
}
"""The formats of JSON documents, in the order in which a document is compared with them."""

NAMES: Final = (*FORMATS, plain.TEXT)


def read_payload(format_: str, body: str, direction: str = "") -> Payload:
    """Returns a payload.

    Args:
        format_: one of `NAMES`; empty to look at the document.
        body: the document as it was sent.
        direction: `input` for a request, `output` for an answer; empty to look at the document.

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
    name = format_ or _format_of(document, direction)
    own = FORMATS[name]
    looks = [
        is_output
        for is_output, looks_so in ((False, own.is_request), (True, own.is_response))
        if (not direction or (direction == "output") is is_output) and looks_so(document)
    ]
    if not looks:
        kind = {"input": "a request", "output": "an answer"}.get(
            direction, "a request or an answer"
        )
        raise PayloadError(f"is not {kind} of {name}")
    reader = Reader(name, body, document, is_output=looks[0])
    reader.provider = own.provider
    (own.read_response if looks[0] else own.read_request)(reader)
    return reader.payload()


def _format_of(document: Any, direction: str) -> str:
    for name, each in FORMATS.items():
        is_request = direction != "output" and each.is_request(document)
        if name != plain.JSON and (
            is_request or (direction != "input" and each.is_response(document))
        ):
            return name
    raise PayloadError(f"is of no known format; name it: one of {', '.join(NAMES)}")


def _plain_text(body: str, direction: str) -> Payload:
    if len(body.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise PayloadError(f"has a text of more than {MAX_TEXT_BYTES} bytes")
    is_output = direction == "output"
    part = Part("", "output" if is_output else "text", text=body)
    return Payload(plain.TEXT, body, is_output, (part,) if body else (), document=body)
