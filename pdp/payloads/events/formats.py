"""The formats of streamed answers: by their names, and by the looks of an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.payloads import anthropic, bedrock, gemini, openai_chat, openai_responses
from pdp.payloads.events import anthropic as anthropic_events
from pdp.payloads.events import bedrock as bedrock_events
from pdp.payloads.events import gemini as gemini_events
from pdp.payloads.events import openai_chat as chat_events
from pdp.payloads.events import openai_responses as responses_events
from pdp.payloads.events.reading import EventReader
from pdp.payloads.payload import PayloadError
from pdp.payloads.reader import read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.payloads.events.reading import EventFormat, StreamEvent

DONE: Final = "[DONE]"
"""The data of the frame that ends a stream of OpenAI. It is no JSON."""

MAX_FORMAT: Final = 64


class _Format(NamedTuple):
    """A format.

    Attributes:
        is_event: whether an object looks like one of its events.
        begin: returns a reader for a new stream.
        provider: the provider of the models, if the format has only one.
    """

    is_event: Callable[[dict[str, Any]], bool]
    begin: Callable[[], EventFormat]
    provider: str = ""


_FORMATS: Final[dict[str, _Format]] = {
    openai_chat.NAME: _Format(chat_events.is_event, chat_events.ChatEvents),
    openai_responses.NAME: _Format(responses_events.is_event, responses_events.ResponsesEvents),
    anthropic.NAME: _Format(anthropic_events.is_event, anthropic_events.MessageEvents, "anthropic"),
    gemini.NAME: _Format(gemini_events.is_event, gemini_events.GenerateEvents, "google"),
    bedrock.NAME: _Format(bedrock_events.is_event, bedrock_events.ConverseEvents),
}

NAMES: Final = tuple(_FORMATS)
"""The formats of streamed answers."""


class EventStream:
    """Reads the events of one stream, in order.

    Attributes:
        format: the name of its format; empty until it is known.
    """

    def __init__(self, format_: str = "") -> None:
        """Begins a stream.

        Args:
            format_: one of `NAMES`; empty to look at the first event.

        Raises:
            PayloadError: it is no format of streams.
        """
        if format_ and format_ not in _FORMATS:
            raise PayloadError(
                f'"{format_[:MAX_FORMAT]}" is no format of streams; use {", ".join(NAMES)}'
            )
        self.format = ""
        self._events: EventFormat | None = None
        self._begin(format_)

    def read(self, data: str) -> StreamEvent:
        """Returns the event in the data of a frame.

        An event of an unknown type is judged as one structure.

        Raises:
            PayloadError: it is not JSON, or exceeds a bound; or the first event is of no known
                format.
        """
        document = read_json(data)
        if self._events is None:
            self._begin(_format_of(document))
        reader = EventReader(self.format, data, document)
        reader.provider = _FORMATS[self.format].provider
        if self._events is not None and isinstance(document, dict):
            self._events.read(reader)
        return reader.event()

    def _begin(self, format_: str) -> None:
        if format_:
            self.format = format_
            self._events = _FORMATS[format_].begin()


def _format_of(document: Any) -> str:
    if isinstance(document, dict):
        for name, each in _FORMATS.items():
            if each.is_event(document):
                return name
    raise PayloadError(f"is of no known format; name it: one of {', '.join(NAMES)}")
