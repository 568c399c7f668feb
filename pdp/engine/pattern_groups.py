"""The groups of the patterns that all tenants share: each has automata of its own.

The states of an automaton are combinations of those of its patterns. Patterns of one kind move
together, such as two that wait for the next digit; those of different kinds multiply. With the
wrong neighbours, a text of words that are new takes milliseconds, because its states are new too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.static_policy import COMMAND, FORMER_SQL, PROMPT_INJECTION, SQL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdp.domain.static_policy import StaticPolicy

WORDS: Final = "words"
"""Labels of values, in many languages, and commands of a shell."""

PROMPTS: Final = "prompts"
"""Phrases of prompt injection."""

VALUES: Final = "values"
"""Values by their shape: numbers, tokens, addresses."""

STATEMENTS: Final = "statements"
"""Statements of SQL, and parts of them."""

LINES: Final = "lines"
"""SQL that reads on to the end of the line, for instance behind a comment: a state that stays."""

_CHOICE: Final = "(?i)(?:"
"""How a pattern begins that is a choice of words."""

_REST_OF_LINE: Final = r"[^\n]*"

_SQL_FAMILIES: Final = frozenset({SQL, FORMER_SQL})


def pattern_groups(patterns: Iterable[str], policies: Iterable[StaticPolicy]) -> dict[str, str]:
    """Returns the group of each pattern.

    Args:
        patterns: the patterns of detectors and policies.
        policies: the policies that some of the patterns belong to.
    """
    groups = {each: WORDS if each.startswith(_CHOICE) else VALUES for each in patterns}
    for policy in policies:
        if policy.family in _SQL_FAMILIES:
            groups[policy.pattern] = LINES if _REST_OF_LINE in policy.pattern else STATEMENTS
        elif policy.family == COMMAND:
            groups[policy.pattern] = WORDS
        elif policy.family == PROMPT_INJECTION:
            groups[policy.pattern] = PROMPTS
    return groups
