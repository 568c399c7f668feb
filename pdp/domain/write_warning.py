"""What the answer of a write warns of: the policy is valid, but its author may not mean it."""

from __future__ import annotations

from typing import Final, NamedTuple

PATTERN_MATCHES_NEARLY_EVERYTHING: Final = "PATTERN_MATCHES_NEARLY_EVERYTHING"
UNKNOWN_MODEL: Final = "UNKNOWN_MODEL"
UNKNOWN_PROVIDER: Final = "UNKNOWN_PROVIDER"
UNKNOWN_GROUP: Final = "UNKNOWN_GROUP"
UNKNOWN_ENTITY_TYPE: Final = "UNKNOWN_ENTITY_TYPE"
PACK_IN_NO_CHAIN: Final = "PACK_IN_NO_CHAIN"
RULE_NEVER_REACHED: Final = "RULE_NEVER_REACHED"
NEVER_TRUE: Final = "NEVER_TRUE"
CONDITION_ALWAYS_UNKNOWN: Final = "CONDITION_ALWAYS_UNKNOWN"
OVERRIDE_IS_WEAKER: Final = "OVERRIDE_IS_WEAKER"

MAX_WARNINGS: Final = 100
"""The warnings of one write. Those of the others come with the writes that follow."""


class WriteWarning(NamedTuple):
    """A warning about a value of a write that was made. It never changes the status.

    Attributes:
        field: the path of the value, as in errors.
        code: one of the codes of this module.
        message: what the author may not expect, and what to do.
        suggestions: values that the author may mean; empty if there are none.
    """

    field: str
    code: str
    message: str
    suggestions: tuple[str, ...] = ()
