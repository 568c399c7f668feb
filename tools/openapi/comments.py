"""The comments of the contracts, by the full names of what they stand before."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf import descriptor_pb2

Path = tuple[int, ...]

_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6  # the fields' numbers in FileDescriptorProto
_FIELDS, _NESTED, _NESTED_ENUMS = 2, 3, 4  # in DescriptorProto
_VALUES = 2  # in EnumDescriptorProto
_METHODS = 2  # in ServiceDescriptorProto


def comments(files: descriptor_pb2.FileDescriptorSet) -> Mapping[str, str]:
    """Returns the comment before each element: paragraphs on one line each, code as it stands.

    Args:
        files: what `protoc --include_source_info --descriptor_set_out` wrote.

    """
    found: dict[str, str] = {}
    for file in files.file:
        names = dict(_named(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name and location.leading_comments:
                found[name] = _text(location.leading_comments)
    return found


def first_sentence(comment: str) -> str:
    """Returns a comment's first sentence, without its full stop."""
    paragraph = comment.split("\n\n", 1)[0]
    return paragraph.split(". ", 1)[0].removesuffix(".")


def _named(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[Path, str]]:
    for index, message in enumerate(file.message_type):
        yield from _in_message((_MESSAGES, index), file.package, message)
    for index, enum in enumerate(file.enum_type):
        yield from _in_enum((_ENUMS, index), file.package, enum)
    for index, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield (_SERVICES, index), name
        yield from _members((_SERVICES, index, _METHODS), name, service.method)


def _in_message(
    path: Path, package: str, message: descriptor_pb2.DescriptorProto
) -> Iterator[tuple[Path, str]]:
    name = f"{package}.{message.name}"
    yield path, name
    yield from _members((*path, _FIELDS), name, message.field)
    for index, nested in enumerate(message.nested_type):
        yield from _in_message((*path, _NESTED, index), name, nested)
    for index, enum in enumerate(message.enum_type):
        yield from _in_enum((*path, _NESTED_ENUMS, index), name, enum)


def _in_enum(
    path: Path, package: str, enum: descriptor_pb2.EnumDescriptorProto
) -> Iterator[tuple[Path, str]]:
    name = f"{package}.{enum.name}"
    yield path, name
    yield from _members((*path, _VALUES), name, enum.value)


def _members(path: Path, name: str, members: Any) -> Iterator[tuple[Path, str]]:
    for index, member in enumerate(members):
        yield (*path, index), f"{name}.{member.name}"


def _text(comment: str) -> str:
    paragraphs = textwrap.dedent(comment).strip("\n").rstrip().split("\n\n")
    return "\n\n".join(
        each if each.startswith("    ") else " ".join(each.split("\n")) for each in paragraphs
    )
