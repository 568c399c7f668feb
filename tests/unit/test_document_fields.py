"""Documents among the strings of a tool's arguments: fields, paths, and what is not certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp.engine.text.document_fields import MAX_LEAVES, is_document
from pdp.engine.text.locations import Segment
from pdp.engine.text.tool_calls import Leaf

if TYPE_CHECKING:
    from collections.abc import Iterator


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Leaf]:
    if isinstance(value, str):
        yield Leaf(path, Segment(None, value, value.encode()))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))


@pytest.mark.parametrize("field", ["content", "new_string", "message", "body", "description"])
def test_a_field_for_text_is_a_document(field: str) -> None:
    assert is_document((field,), leaves({field: "x", "title": "run.sh"}))


@pytest.mark.parametrize("field", ["title", "command", "old_string", "Content", "text"])
def test_another_field_is_none(field: str) -> None:
    assert not is_document((field,), leaves({field: "x"}))


@pytest.mark.parametrize(
    "path", ["a.md", "docs/a.MD", "a.rst", "notes.txt", "a.adoc", "C:\\docs\\a.md"]
)
def test_the_path_of_a_document(path: str) -> None:
    assert is_document(("content",), leaves({"path": path, "content": "x"}))


@pytest.mark.parametrize(
    "path",
    [
        *("run.sh", "Makefile", "a.md.sh", "md", "", ".md/run", "a.md ", "a.md\n", "a\x00.md"),
        *("CMakeLists.txt", "src/cmakelists.TXT", "src\\CMakeLists.txt"),
    ],
)
def test_another_path(path: str) -> None:
    assert not is_document(("content",), leaves({"path": path, "content": "x"}))


@pytest.mark.parametrize(
    "key",
    [
        *("path", "file_path", "filePath", "file-path", "filename", "file", "target", "uri", "url"),
        *("absolute_path", "output_file", "destination", "name", "save_as", "dir", "extension"),
    ],
)
def test_each_key_of_a_path_counts(key: str) -> None:
    assert not is_document(("content",), leaves({key: "run.sh", "content": "x"}))
    assert is_document(("content",), leaves({key: "a.md", "content": "x"}))


def test_all_paths_must_be_those_of_documents() -> None:
    for other in ({"target": "b.sh"}, {"paths": ["b.md", "c.sh"]}, {"path": {"value": "b.sh"}}):
        assert not is_document(("content",), leaves({"file": "a.md", "content": "x", **other}))
    assert is_document(("content",), leaves({"paths": ["a.md", "b.md"], "content": "x"}))


def test_the_name_of_a_label_is_no_path() -> None:
    assert is_document(("body",), leaves({"body": "x", "labels": [{"name": "docs"}]}))


def test_the_objects_of_a_list_have_documents() -> None:
    files = {"files": [{"path": "a.md", "content": "x"}, {"path": "b.md", "content": "y"}]}
    assert is_document(("files", 1, "content"), leaves(files))
    files["files"].append({"path": "c.sh", "content": "z"})
    assert not is_document(("files", 1, "content"), leaves(files))


def test_a_string_further_inside_is_none() -> None:
    assert not is_document(("content", "script"), leaves({"content": {"script": "x"}}))
    assert not is_document(("content", 0), leaves({"content": ["x"]}))
    assert not is_document(("a", "content"), leaves({"a": {"content": "x"}}))


def test_arguments_in_a_member_are_the_arguments() -> None:
    document = {"arguments": {"path": "a.md", "content": "x"}}
    assert is_document(("arguments", "content"), leaves(document))
    script = {"arguments": {"path": "a.sh", "content": "x"}}
    assert not is_document(("arguments", "content"), leaves(script))


def test_the_number_of_strings_is_bounded() -> None:
    arguments = {"content": "x", "tags": ["y"] * (MAX_LEAVES - 1)}
    assert is_document(("content",), leaves(arguments))
    arguments["tags"].append("y")  # type: ignore[attr-defined]
    assert not is_document(("content",), leaves(arguments))
