"""Which strings of a tool's arguments are documents: text for people that a tool writes.

A string is a document if the tool is one of those that the tenant lists, the string is in a field
such as `content`, and each path in the arguments is that of a document, if there is any path.
Whatever is not certain is no document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.engine.text.tool_calls import ARGUMENT_KEYS, normal_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdp.engine.text.json_tree import Path
    from pdp.engine.text.tool_calls import Leaf

DOCUMENT_FIELDS: Final = frozenset({"content", "new_string", "message", "body", "description"})

DOCUMENT_ENDINGS: Final = (".md", ".rst", ".txt", ".adoc")

MAX_LEAVES: Final = 10_000
"""How many strings of the arguments are looked at; arguments with more hold no documents."""

_PROGRAMS: Final = frozenset({"cmakelists.txt"})
"""Names of files that end like documents and are run."""

_PATH_KEYS: Final = frozenset({
    "as", "basename", "dest", "destination", "dir", "directory", "dst", "ext", "extension", "file",
    "filename", "filenames", "files", "fname", "folder", "location", "object", "out", "output",
    "outputs", "path", "paths", "saveas", "script", "suffix", "target", "targets", "uri", "uris",
    "url", "urls",
})  # fmt: skip
_PATH_ENDINGS: Final = ("path", "paths", "file", "filename", "directory", "folder", "uri")


def is_document(path: Path, leaves: Iterable[Leaf]) -> bool:
    """Returns whether a string in the arguments of a tool for documents is a document.

    Args:
        path: the keys and indexes that lead to the string.
        leaves: all strings in the arguments.
    """
    field = _inner_path(path)
    if not (_is_field(field) and field[-1] in DOCUMENT_FIELDS):
        return False
    for count, leaf in enumerate(leaves):
        if count == MAX_LEAVES:
            return False
        if _is_path(_inner_path(leaf.path) or ("",)) and not _is_document_path(leaf.segment.text):
            return False
    return True


def _inner_path(path: Path) -> Sequence[str | int]:
    """Returns a path without a first key that only says that arguments follow."""
    return path[1:] if len(path) > 1 and normal_key(path[0]) in ARGUMENT_KEYS else path


def _is_field(path: Sequence[str | int]) -> bool:
    """Whether a path leads to a member, or to one of the objects in a list of edits or files."""
    if len(path) == 1:
        return True
    return len(path) == 3 and isinstance(path[1], int)  # noqa: PLR2004 - list, index, member


def _is_path(path: Sequence[str | int]) -> bool:
    """Whether a string is the name or the path of a file, or a part of it."""
    words = [normal_key(key) for key in path]
    if words[0] == "name":
        return True
    for index, word in enumerate(words):
        if word in _PATH_KEYS or word.endswith(_PATH_ENDINGS):
            # The objects in a list of files have members of their own.
            is_list_of_objects = len(path) > index + 2 and isinstance(path[index + 1], int)
            if not (is_list_of_objects and words[index + 2]):
                return True
    return False


def _is_document_path(text: str) -> bool:
    name = text.lower()
    if not name.endswith(DOCUMENT_ENDINGS) or not name.isprintable():
        return False
    return name.replace("\\", "/").rpartition("/")[2] not in _PROGRAMS
