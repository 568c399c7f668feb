"""How the JSON of a webhook is read and answered, as a mapping file says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.adapters.mapping.context import Context

if TYPE_CHECKING:
    from collections.abc import Mapping


class Answer(NamedTuple):
    """An answer: its HTTP status, and the template of its JSON body."""

    status: int
    body: Any


class Answers(NamedTuple):
    """The answers of a webhook.

    Attributes:
        allow: the request may pass unchanged.
        deny: it may not pass.
        redact: it may pass with the redactions; None if the caller cannot redact.
    """

    allow: Answer
    deny: Answer
    redact: Answer | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook. It has either a text or a payload.

    Attributes:
        name: its name, which is the last part of its path.
        answers: what it answers.
        direction: `input` or `output`; empty if the body says it.
        direction_pointer: the place of the direction in the body.
        directions: the direction of each text that can stand there.
        text: the JSON Pointer of the text; None if it has a payload.
        payload: the JSON Pointer of the payload; None if it has a text.
        payload_format: a name of `pdp.payloads.formats`, or `detect`.
        history: `all` or `latest`; see the contract of payloads.
        context: the sources of the facts about a request.
    """

    name: str
    answers: Answers
    direction: str = ""
    direction_pointer: str = ""
    directions: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    payload: str | None = None
    payload_format: str = "detect"
    history: str = "all"
    context: Context = field(default_factory=Context)
