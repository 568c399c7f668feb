"""The fenced blocks of documentation pages, which tests run as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: str, language: str, containing: str = "") -> list[str]:
    """Returns the blocks of a page.

    Args:
        page: the page below `docs`.
        language: of the blocks.
        containing: a text that the blocks have.
    """
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [code for kind, code in _BLOCK.findall(text) if kind == language and containing in code]


def block_of(page: str, language: str, containing: str = "") -> str:
    """Returns the only such block of a page; see `blocks_of`."""
    (code,) = blocks_of(page, language, containing)
    return code
