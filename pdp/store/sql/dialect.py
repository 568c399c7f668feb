"""The statements of the store in the words of a database.

A statement has `?` for each parameter, and these words, in capitals, for what databases write
differently:

- `TEXT_FIELD(name)`, `NUMBER_FIELD(name)`, `TRUTH_FIELD(name)`: a field of the JSON in the column
  `body`.
- `GREATEST(a, b)`, `LEAST(a, b)`.
- `NOW_S`: the time, in seconds since the epoch.
- `USING_INDEX(name)`: the index that the statement must use, if the database lets one say so.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Rows = list[tuple[Any, ...]]

Parameter = str | float | bool | None

INT64_MAX: Final = 2**63 - 1

_WORD: Final = re.compile(
    r"(TEXT_FIELD|NUMBER_FIELD|TRUTH_FIELD|USING_INDEX)\((\w+)\)|(GREATEST|LEAST)(?=\()|(NOW_S)\b"
)


class Dialect:
    """How a database writes statements."""

    def __init__(self, words: Mapping[str, str], parameter: str) -> None:
        """Args:
        words: the replacement of each word. `{}` is replaced by the name in its parentheses.
        parameter: the placeholder of a parameter.
        """
        self._words = words
        self._parameter = parameter
        self.statement = cache(self._translate)
        """Returns a statement in this dialect. Its text is one of the few of this package."""

    def _translate(self, sql: str) -> str:
        text = _WORD.sub(
            lambda match: self._replacement(match[1] or match[3] or match[4], match[2] or ""), sql
        )
        return text.replace("?", self._parameter)

    def _replacement(self, word: str, name: str) -> str:
        return self._words[word].replace("{}", name)


class StoreSession(Protocol):
    """A connection that is in a transaction."""

    def execute(self, sql: str, parameters: Sequence[Parameter]) -> Rows:
        """Runs a statement with the words of `dialect`, and returns its rows.

        Raises:
            StoreUnavailable: the database cannot be read or written.
        """
