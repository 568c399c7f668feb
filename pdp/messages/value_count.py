"""Counts the values in the documents of requests: arguments, context and attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.request import MAX_VALUES
from pdp.errors import InvalidArgument, Violation
from pdp.jsonpb.value_count import count_values, value_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from google.protobuf.struct_pb2 import Struct

    from pdp._gen.pdp.v1 import decide_pb2 as pb

CERTAINLY_FEW: Final = 2 * MAX_VALUES
"""The size in bytes up to which a message cannot hold too many values. A value takes two bytes or
more."""

TOO_MANY: Final = f"holds more than {MAX_VALUES} values"


def check_values(message: pb.DecideRequest, prefix: str = "") -> None:
    """Checks that a request holds at most `MAX_VALUES` values, before they are converted.

    Args:
        message: the request.
        prefix: the prefix of paths in errors, for a message within another.

    Raises:
        InvalidArgument: it holds more; the error names the field.
    """
    _check([(prefix, message)])


def check_all_values(messages: Iterable[pb.DecideRequest], field: str) -> None:
    """Checks that requests hold at most `MAX_VALUES` values together.

    Args:
        messages: the requests.
        field: the name of the list that they are in, for errors.

    Raises:
        InvalidArgument: they hold more; the error names the field.
    """
    _check([(f"{field}[{index}].", message) for index, message in enumerate(messages)])


def _check(messages: Sequence[tuple[str, pb.DecideRequest]]) -> None:
    if _field_beyond(messages, value_bound):
        field = _field_beyond(messages, count_values)
        if field:
            raise InvalidArgument.of(Violation(field, TOO_MANY))


def _field_beyond(
    messages: Sequence[tuple[str, pb.DecideRequest]], count_text: Callable[[bytes, int], int]
) -> str:
    """Returns the field with which there are more than `MAX_VALUES` values; empty if none is."""
    left = MAX_VALUES
    for prefix, message in messages:
        for name, document in _documents(message):
            if isinstance(document, str):
                left -= count_text(document.encode(), left)
            else:
                left -= _count_struct(document, left)
            if left < 0:
                return prefix + name
    return ""


_DOCUMENTS: Final = (("arguments", "arguments_json"), ("context", "context_json"))
_SUBJECT_DOCUMENTS: Final = (("attributes", "attributes_json"),)
"""The fields of each document: as a Struct, and as text."""


def _documents(message: pb.DecideRequest) -> Iterator[tuple[str, Struct | str]]:
    """Yields the documents of a request that are set, with the names of their fields."""
    yield from _documents_in(message, _DOCUMENTS, "")
    if message.HasField("subject"):
        yield from _documents_in(message.subject, _SUBJECT_DOCUMENTS, "subject.")


def _documents_in(
    parent: Any, names: Iterable[tuple[str, str]], prefix: str
) -> Iterator[tuple[str, Struct | str]]:
    for of_struct, of_text in names:
        if parent.HasField(of_struct):
            yield prefix + of_struct, getattr(parent, of_struct)
        text: str = getattr(parent, of_text)
        if text:
            yield prefix + of_text, text


def _count_struct(struct: Struct, most: int) -> int:
    """Returns the number of values in a Struct; if there are more than `most`, a number above."""
    count = 1
    parents: list[Any] = [struct]
    while parents:
        parent = parents.pop()
        members = parent.fields if parent.DESCRIPTOR.name == "Struct" else parent.values
        count += len(members)
        if count > most:
            break
        values = members.values() if parent.DESCRIPTOR.name == "Struct" else members
        for value in values:
            kind = value.WhichOneof("kind")
            if kind in {"struct_value", "list_value"}:
                parents.append(getattr(value, kind))
    return count
