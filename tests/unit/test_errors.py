"""The tree of errors."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from pdp import errors
from pdp.errors import PdpError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BRANCH = re.compile(r"((?:│   |    )*)[├└]── (\w+)")


def subclasses(parent: type[PdpError]) -> Iterator[tuple[str, str]]:
    """Yields (parent, class) for each error of the package."""
    for child in parent.__subclasses__():
        if child.__module__.startswith("pdp.errors."):
            yield parent.__name__, child.__name__
            yield from subclasses(child)


def documented(text: str) -> Iterator[tuple[str, str]]:
    """Yields (parent, class) for each branch of the tree in a docstring."""
    parents = ["PdpError"]
    for line in text.splitlines():
        branch = _BRANCH.match(line.removeprefix("    "))
        if branch:
            depth = len(branch[1]) // 4
            parents = [*parents[: depth + 1], branch[2]]
            yield parents[depth], branch[2]


def test_the_tree_in_the_docstring_is_complete() -> None:
    """The docstring of `pdp.errors` shows each class once, below its parent."""
    for module in iter_modules(errors.__path__, "pdp.errors."):
        import_module(module.name)
    pairs = list(documented(errors.__doc__ or ""))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == set(subclasses(PdpError))


def test_all_errors_are_exported() -> None:
    """Each class can be imported from `pdp.errors`."""
    assert {name for _, name in subclasses(PdpError)} <= set(errors.__all__)
