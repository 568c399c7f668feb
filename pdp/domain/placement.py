"""Where a policy looks, when it applies, whether it is enforced, and how it redacts.

Static policies, overrides of them, and DLP rules have these fields in common. Each is empty if it
was not set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from pdp.errors import Violation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

TEXT: Final = "text"
"""The text of a request."""

OUTPUT: Final = "output"
"""The text of a response."""

ARGUMENTS: Final = "arguments"
"""The arguments of a tool call, in both directions."""

TOOL_RESULT: Final = "tool_result"
SYSTEM: Final = "system"

SCOPES: Final = (TEXT, OUTPUT, ARGUMENTS, TOOL_RESULT, SYSTEM)

ENFORCE: Final = "enforce"
MONITOR: Final = "monitor"
MODES: Final = (ENFORCE, MONITOR)

NO_ACTIONS: Final[Mapping[str, str]] = {}

PLACEMENT_FIELDS: Final = ("expression", "scope", "scope_actions", "mode", "redaction")
"""The names of the fields of `Placed`."""


class Placed(Protocol):
    """A policy with a placement.

    Attributes:
        expression: the condition that a request must meet; empty for none.
        scope: the places of `SCOPES` where the policy looks; empty for all.
        scope_actions: the actions in single places, by place.
        mode: one of `MODES`; empty means `ENFORCE`.
        redaction: one of `pdp.domain.redaction_kind.REDACTION_KINDS`: what a redaction leaves of a
            value. If it is empty, a static policy redacts nothing, and a DLP rule replaces.
    """

    @property
    def expression(self) -> str: ...

    @property
    def scope(self) -> Sequence[str]: ...

    @property
    def scope_actions(self) -> Mapping[str, str]: ...

    @property
    def mode(self) -> str: ...

    @property
    def redaction(self) -> str: ...


def scope_action_violations(
    actions: Mapping[str, Any], allowed: Collection[str], prefix: str = ""
) -> Iterator[Violation]:
    """Yields what is wrong with the actions in single places.

    Args:
        actions: the actions by place, as they were sent.
        allowed: the actions that the policy may have.
        prefix: a prefix for the field paths, if the policy is part of another message.
    """
    for place, action in actions.items():
        if place not in SCOPES:
            field = f"{prefix}scope_actions.{place[:64]}"
            yield Violation(field, f"is no place; use {', '.join(SCOPES)}")
        elif action not in allowed:
            field = f"{prefix}scope_actions.{place}"
            yield Violation(field, f"must be one of {', '.join(allowed)}")
