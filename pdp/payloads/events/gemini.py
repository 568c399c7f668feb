"""Google Gemini `streamGenerateContent`: the responses of a streamed answer.

All texts of a candidate are one lane, and its thoughts are another: clients join them. Some models
set a finish reason in each response, so a lane ends only with the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.payloads.events.reading import EventReader, index_of
from pdp.payloads.gemini import is_response, read_response
from pdp.payloads.payload import PayloadError
from pdp.payloads.pointers import keys_of, value_at
from pdp.payloads.shapes import objects_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_PARTS: Final = ("partialArgs", "partial_args", "willContinue", "will_continue")
"""Members of a function call whose arguments come piece by piece, as Vertex AI has it."""

_CALLS: Final = ("functionCall", "function_call")


def is_event(document: dict[str, Any]) -> bool:
    """Whether an event looks like a response."""
    return is_response(document)


class GenerateEvents:
    """Reads the responses of one stream."""

    def read(self, reader: EventReader) -> None:
        """See `EventFormat.read`."""
        document = reader.document
        for name in ("usageMetadata", "usage_metadata"):
            reader.numbers(f"/{name}", document.get(name))
        for pointer, candidate in objects_of(document.get("candidates"), "/candidates"):
            reader.number(f"{pointer}/index", index_of(candidate, "index", _position(pointer)))
            for name in ("avgLogprobs", "avg_logprobs", "tokenCount", "token_count"):
                reader.number(f"{pointer}/{name}", candidate.get(name))
            for call in _calls(candidate):
                if any(call.get(name) for name in _IN_PARTS):
                    raise PayloadError(
                        "has a function call in parts (partialArgs), which is not supported; "
                        "turn streamFunctionCallArguments off"
                    )
        texts: dict[str, list[str]] = {}

        def lane_of(pointer: str) -> str:
            _, position, *below = keys_of(pointer)
            candidate = f"/candidates/{position}"
            texts.setdefault(candidate, []).append(pointer)
            index = index_of(value_at(document, candidate), "index", int(position))
            part = value_at(document, pointer.rpartition("/")[0])
            kind = "text" if below[-2:-1] != ["audioTranscription"] else "audioTranscription"
            if isinstance(part, dict) and part.get("thought"):
                kind = "thoughts"
            return f"/candidates/{index}/{kind}"

        reader.texts_are_pieces(lane_of)
        read_response(reader)
        for pointer, candidate in objects_of(document.get("candidates"), "/candidates"):
            for name in ("logprobsResult", "logprobs_result"):
                value = candidate.get(name)
                reader.repeats(f"{pointer}/{name}", value, texts.get(pointer, ()), None)


def _position(pointer: str) -> int:
    return int(pointer.rpartition("/")[2])


def _calls(candidate: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    for part in parts if isinstance(parts, list) else [parts]:
        for name in _CALLS:
            call = part.get(name) if isinstance(part, dict) else None
            if isinstance(call, dict):
                yield call
