"""Arrays as PostgreSQL reads them, for parameters with very many values.

psycopg adapts each value of a list on its own, which costs ten times as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def text_array(values: Sequence[str | None]) -> str:
    """Returns an array of texts."""
    quoted = ["NULL" if each is None else f'"{_escape(each)}"' if each else '""' for each in values]
    return f"{{{','.join(quoted)}}}"


def number_array(values: Sequence[float | bool | None]) -> str:
    """Returns an array of numbers or of truth values."""
    return f"{{{','.join(['NULL' if each is None else repr(each) for each in values])}}}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
