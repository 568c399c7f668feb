"""JSON templates of answers: texts such as $message stand for facts of a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REDACTED: Final = "redacted"

NAMES: Final = (
    "decision_id",
    "outcome",
    "reason_code",
    "message",
    "status_hint",
    "approval_id",
    "approval_state",
    "confirmation",
    "expires_at",
    REDACTED,
)

MAX_TEMPLATE_DEPTH: Final = 16
MAX_TEMPLATE_VALUES: Final = 1000


def template_problems(template: Any, *, redacted: bool) -> Iterator[str]:
    """Yields what is wrong with a template.

    Args:
        template: a JSON value.
        redacted: whether the answer has a redacted text or payload.
    """
    count = 0
    pending = [(template, 0)]
    while pending:
        value, depth = pending.pop()
        count += 1
        if depth > MAX_TEMPLATE_DEPTH or count > MAX_TEMPLATE_VALUES:
            yield (
                f"is nested more than {MAX_TEMPLATE_DEPTH} deep, "
                f"or has more than {MAX_TEMPLATE_VALUES} values"
            )
            return
        if isinstance(value, dict):
            pending += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list):
            pending += [(each, depth + 1) for each in value]
        elif isinstance(value, str) and value.startswith("$") and not value.startswith("$$"):
            if value[1:] not in NAMES:
                known = ", ".join(f"${name}" for name in NAMES)
                yield f'has "{value[:64]}"; it can have {known}, and $$ for a dollar sign'
            elif value[1:] == REDACTED and not redacted:
                yield "has $redacted, which only the answer redact can have"


def names_in(template: Any) -> set[str]:
    """Returns the names of the facts in a template that has no problems."""
    if isinstance(template, dict):
        return {name for each in template.values() for name in names_in(each)}
    if isinstance(template, list):
        return {name for each in template for name in names_in(each)}
    if isinstance(template, str) and template.startswith("$") and not template.startswith("$$"):
        return {template[1:]}
    return set()


def render(template: Any, facts: Mapping[str, Any]) -> Any:
    """Returns a template with the facts in it. A fact that is not there is null.

    Args:
        template: a JSON value without problems.
        facts: by name.
    """
    if isinstance(template, dict):
        return {key: render(value, facts) for key, value in template.items()}
    if isinstance(template, list):
        return [render(each, facts) for each in template]
    if isinstance(template, str) and template.startswith("$"):
        return template[1:] if template.startswith("$$") else facts.get(template[1:])
    return template
