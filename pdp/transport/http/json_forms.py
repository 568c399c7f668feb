"""The two forms of JSON that answers have: that of the REST API, and canonical ProtoJSON.

ProtoJSON is what `google.protobuf.json_format` and its equals in other languages read and write. A
client asks for it with `Accept: application/json;profile=protojson`. Requests and errors have the
form of the REST API in any case (docs/decide.md, JSON).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.json_format import MessageToDict

from pdp.jsonpb import encode
from pdp.transport.http.headers import JSON_HEADERS, NDJSON, UNCACHED, Header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

PROFILE: Final = "protojson"

_MEDIA_TYPES: Final = frozenset({"application/json", NDJSON})


class JsonForm(NamedTuple):
    """A form of JSON.

    Attributes:
        encode: returns a message as a JSON object.
        name: returns the name of a field in that object.
        headers: of a response with such a body.
        line_type: the media type of a stream of such lines.
    """

    encode: Callable[[Message], dict[str, Any]]
    name: Callable[[Message, str], str]
    headers: tuple[Header, ...]
    line_type: str

    def body(self, message: Message, field: str) -> Any:
        """Returns the body of a response.

        Args:
            message: the response.
            field: the field that makes the whole body; empty for the whole message.
        """
        value = self.encode(message)
        if not field:
            return value
        name = self.name(message, field)
        if name in value or self is REST:
            return value.get(name)
        return [] if message.DESCRIPTOR.fields_by_name[field].is_repeated else {}


def _own_name(_message: Message, field: str) -> str:
    return field


def _json_name(message: Message, field: str) -> str:
    name: str = message.DESCRIPTOR.fields_by_name[field].json_name
    return name


def _canonical(message: Message) -> dict[str, Any]:
    value: dict[str, Any] = MessageToDict(message)
    return value


REST: Final = JsonForm(encode, _own_name, JSON_HEADERS, NDJSON)
PROTOJSON: Final = JsonForm(
    _canonical,
    _json_name,
    ((b"content-type", b"application/json;profile=protojson"), *UNCACHED),
    f"{NDJSON};profile={PROFILE}",
)


def form_of(headers: Mapping[str, str]) -> JsonForm:
    """Returns the form that the headers of a request ask for."""
    accept = headers.get("accept")
    if accept is None or PROFILE not in accept.lower():  # most requests
        return REST
    return PROTOJSON if any(map(_is_protojson, accept.lower().split(","))) else REST


def _is_protojson(media_range: str) -> bool:
    media_type, *parameters = (part.strip() for part in media_range.split(";"))
    values = {
        name.strip(): value.strip().strip('"')
        for name, _, value in (each.partition("=") for each in parameters)
    }
    refused = values.get("q", "1").strip("0.") == ""
    return media_type in _MEDIA_TYPES and values.get("profile") == PROFILE and not refused
