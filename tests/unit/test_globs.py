"""Names with `*`: what they match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.rules.globs import GlobIndex, glob_matches


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        ("claude-*", "claude-", True),
        ("claude-*", "claude", False),
        ("*/gpt-4*", "openai/gpt-4o", True),
        ("*/gpt-4*", "gpt-4o", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*", "", True),
        ("**", "x", True),
        ("a.c", "abc", False),
    ],
)
def test_globs(glob: str, text: str, expected: bool) -> None:
    assert glob_matches(glob, text) is expected


words = st.text("ab-/*", max_size=8)


@given(st.lists(words, max_size=5), st.text("ab-/", max_size=10))
def test_globs_are_as_regular_expressions(globs: list[str], text: str) -> None:
    expected = {glob for glob in globs if re.fullmatch(re.escape(glob).replace(r"\*", ".*"), text)}
    assert {glob for glob in globs if glob_matches(glob, text)} == expected
    assert GlobIndex(globs).matching([text]) == expected


def test_a_long_glob_takes_linear_time() -> None:
    """No backtracking: each part is found once."""
    assert not glob_matches("*a" * 100 + "b", "a" * 256)
