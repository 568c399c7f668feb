"""A payload as it is judged: its parts, each with its place in the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp.domain.placement import TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MAX_BODY_BYTES = 8 * 1024 * 1024
"""The largest body of a payload, in bytes of UTF-8."""

MAX_TEXT_BYTES = 1024 * 1024
"""The longest text in a payload, in bytes of UTF-8; that of all tool arguments is bounded too."""

MAX_PARTS = 4096
"""How many parts of a payload are judged."""

MAX_UNJUDGED = 1000
"""How many parts of a payload may be media."""


DETECT = "detect"
"""Stands for the format of a payload where a name is needed: the document is looked at."""


class PayloadPart(NamedTuple):
    """A part of a payload that is judged by itself.

    It is a text, the arguments of a tool call, or a structure of other values.

    Attributes:
        pointer: the JSON Pointer of the text, or of the structure, in the document; empty for the
            whole document.
        scope: the place of `pdp.domain.placement.SCOPES` that policies see.
        role: who wrote it, in the words of the protocol, for instance `user` or `tool`.
        text: the text; empty for a structure.
        values: the arguments of a call, or a structure; None for a text.
        tool: the name of the tool that is called; empty if the part is no call.
        server: the server that has the tool, if the protocol names it.
        is_wrapped: whether the structure is no object, so that `values` has it as its only member,
            with an empty name.
        as_text: whether the values stand in the document as JSON text, in a string at `pointer`.
        is_earlier: whether it stands before the last answer of the model, so that the caller only
            repeats it.
    """

    pointer: str
    scope: str = TEXT
    role: str = ""
    text: str = ""
    values: Mapping[str, Any] | None = None
    tool: str = ""
    server: str = ""
    is_wrapped: bool = False
    as_text: bool = False
    is_earlier: bool = False


class Payload(NamedTuple):
    """A request to a model or tool, or its answer.

    Attributes:
        format: its format, one of `pdp.payloads.formats.FORMATS`.
        body: the document as it was sent.
        is_output: whether it is an answer.
        parts: what is judged, in the order of the document.
        unjudged: JSON Pointers of media, which are not judged.
        provider: the provider of the model; empty if the payload does not say.
        model: the model; empty if the payload does not say.
        session_id: the conversation; empty if the payload does not say.
        document: the parsed document; a text for the format `text`.
        repetitions: JSON Pointers of what repeats texts token by token.
    """

    format: str
    body: str
    is_output: bool
    parts: tuple[PayloadPart, ...]
    unjudged: tuple[str, ...] = ()
    provider: str = ""
    model: str = ""
    session_id: str = ""
    document: object = None
    repetitions: tuple[str, ...] = ()


class PayloadError(ValueError):
    """A payload is not understood, or exceeds a bound; the message says what is wrong and where."""
