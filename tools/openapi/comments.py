"""Reads the comments of the contracts, by the full names of the elements."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf import descriptor_pb2

Path = tuple[int, ...]

_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6  # field numbers in FileDescriptorProto
_FIELDS, _NESTED, _NESTED_ENUMS = 2, 3, 4  # in DescriptorProto
_VALUES = 2  # in EnumDescriptorProto
_METHODS = 2  # in ServiceDescriptorProto


def read_comments(files: descriptor_pb2.FileDescriptorSet) -> Mapping[str, str]:
    """Returns the comment of each element as Markdown.

    A paragraph and an item of a list are one line each; code blocks stay as they are.

    Args:
        files: the contracts, with source information.
    """
    comments: dict[str, str] = {}
    for file in files.file:
        names = dict(_elements(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name and location.leading_comments:
                comments[name] = _markdown(location.leading_comments)
    return comments


def first_sentence(comment: str) -> str:
    """Returns the first sentence of a comment, without its full stop."""
    paragraph = comment.split("\n\n", 1)[0]
    return paragraph.split(". ", 1)[0].removesuffix(".")


def _elements(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[Path, str]]:
    for index, message in enumerate(file.message_type):
        yield from _message_elements((_MESSAGES, index), file.package, message)
    for index, enum in enumerate(file.enum_type):
        yield from _enum_elements((_ENUMS, index), file.package, enum)
    for index, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield (_SERVICES, index), name
        yield from _members((_SERVICES, index, _METHODS), name, service.method)


def _message_elements(
    path: Path, package: str, message: descriptor_pb2.DescriptorProto
) -> Iterator[tuple[Path, str]]:
    name = f"{package}.{message.name}"
    yield path, name
    yield from _members((*path, _FIELDS), name, message.field)
    for index, nested in enumerate(message.nested_type):
        yield from _message_elements((*path, _NESTED, index), name, nested)
    for index, enum in enumerate(message.enum_type):
        yield from _enum_elements((*path, _NESTED_ENUMS, index), name, enum)


def _enum_elements(
    path: Path, package: str, enum: descriptor_pb2.EnumDescriptorProto
) -> Iterator[tuple[Path, str]]:
    name = f"{package}.{enum.name}"
    yield path, name
    yield from _members((*path, _VALUES), name, enum.value)


def _members(path: Path, name: str, members: Any) -> Iterator[tuple[Path, str]]:
    for index, member in enumerate(members):
        yield (*path, index), f"{name}.{member.name}"


def _markdown(comment: str) -> str:
    paragraphs = textwrap.dedent(comment).strip("\n").rstrip().split("\n\n")
    return "\n\n".join(
        each if each.startswith("    ") else _join_lines(each) for each in paragraphs
    )


def _join_lines(paragraph: str) -> str:
    """Returns a paragraph, or each item of a list, on one line."""
    text = ""
    for line in paragraph.split("\n"):
        separator = "\n" if line.startswith("- ") else " "
        text += f"{separator}{line.strip()}"
    return text[1:]
