"""Conversions of message fields that several servicers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def to_timestamp(seconds: float) -> Timestamp:
    """Returns a time in whole seconds, as the REST contracts show times."""
    return Timestamp(seconds=int(seconds))


def to_optional_timestamp(seconds: float | None) -> Timestamp | None:
    """Returns a time in whole seconds, or None for None."""
    return None if seconds is None else to_timestamp(seconds)


def to_struct(document: Mapping[str, Any]) -> Struct:
    """Returns the message of a JSON object."""
    struct = Struct()
    struct.update(document)
    return struct


def present_fields(message: Any, names: Iterable[str]) -> dict[str, Any]:
    """Returns those of the named fields that are set in a message."""
    return {name: getattr(message, name) for name in names if message.HasField(name)}
