"""Compiled exceptions: which ones lift a policy in a request (docs/exceptions.md).

An exception that cannot be judged lifts nothing: its expression is unknown, its time is over, or a
value does not match as a whole.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import re2

from pdp.domain.entity_types import expand_entity_types
from pdp.domain.group_resolver import normalize_group
from pdp.domain.policy_exception import APPROVED, KIND
from pdp.engine.rules.expressions import Expression, known_expression
from pdp.engine.rules.model_matcher import ModelMatcher
from pdp.engine.rules.models import ModelIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pdp.domain.policy_exception import PolicyException
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Request
    from pdp.domain.static_policy import StaticPolicy
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.findings import Findings

_GROUP_NAMES: Final = frozenset({"groups", "subject.groups"})
"""Names of conditions whose values depend on the groups that a request names."""

_SPACED_DIGITS: Final = re.compile(r"[0-9][0-9 .-]*\Z")
_GAPS: Final = str.maketrans("", "", " .-")

_NO_CATALOG: Final = ModelIndex()
"""An exception says which names it means: no catalog adds a provider or another name."""


class CompiledException(NamedTuple):
    """An approved exception.

    Attributes:
        exception: the exception.
        groups: its groups, by `normalize_group`.
        models: compares models with those that it names; None if it names none.
        expression: its expression; None for none.
        scopes: the places for which it holds; empty for all.
        values: the values that it lifts, by `_plain`.
        patterns: match the values that it lifts, as a whole.
    """

    exception: PolicyException
    groups: frozenset[str]
    models: ModelMatcher | None
    expression: Expression | None
    scopes: frozenset[str]
    values: frozenset[str]
    patterns: tuple[Callable[[str], object], ...]

    def holds(self, request: Request, findings: Findings, facts: FactSource, now: float) -> bool:
        """Whether a request meets everything of the exception but its places and values.

        Args:
            request: the request.
            findings: the findings of the scan.
            facts: computes the groups of the subject.
            now: the time by the server's clock.
        """
        exception = self.exception
        begins, ends = exception.valid_from, exception.valid_until
        if (begins is not None and now < begins) or (ends is not None and now >= ends):
            return False
        return (
            self._is_for(request, facts)
            and (not exception.tools or request.tool in exception.tools)
            and (
                self.models is None
                or self.models.matches(request.provider, request.model, wide=False)
            )
            and (self.expression is None or self._is_met(self.expression, request, findings, facts))
        )

    @staticmethod
    def _is_met(
        expression: Expression, request: Request, findings: Findings, facts: FactSource
    ) -> bool:
        names = expression.condition.names
        if not (request.caller.groups_trusted or _GROUP_NAMES.isdisjoint(names)):
            return False  # it is unknown in which groups the subject is
        return expression.judge(request, findings, facts).is_met

    def _is_for(self, request: Request, facts: FactSource) -> bool:
        exception, subject = self.exception, request.subject
        if exception.users and subject.user_id not in exception.users:
            return False
        if exception.agents and subject.agent_id not in exception.agents:
            return False
        if exception.customers and request.customer_id not in exception.customers:
            return False
        if not self.groups:
            return True
        if not request.caller.groups_trusted:
            subject = subject._replace(groups=())
        return not self.groups.isdisjoint(facts.groups.names_of(subject))

    def lifts(self, scope: str, value: str) -> bool:
        """Whether the exception lifts a finding, if it holds for the request.

        Args:
            scope: the place of the finding; one of `pdp.domain.placement.SCOPES`.
            value: the whole value that was found.
        """
        if self.scopes and scope not in self.scopes:
            return False
        if not self.exception.is_by_value:
            return True
        return _plain(value) in self.values or any(match(value) for match in self.patterns)

    @property
    def lifts_everything(self) -> bool:
        """Whether it lifts every finding of a request for which it holds."""
        return not (self.scopes or self.exception.is_by_value)


Exceptions = tuple[CompiledException, ...]

NO_EXCEPTIONS: Final[Exceptions] = ()


@dataclass(frozen=True, slots=True)
class ExceptionBook:
    """The approved exceptions of a tenant, by what they lift.

    Attributes:
        source: the exceptions that it was compiled from.
        org_risk: those that lift the block of the org policy by risk.
    """

    source: Mapping[str, PolicyException] = field(default_factory=dict)
    policies: Mapping[str, Exceptions] = field(default_factory=dict)
    families: Mapping[str, Exceptions] = field(default_factory=dict)
    dlp_rules: Mapping[str, Exceptions] = field(default_factory=dict)
    entity_types: Mapping[str, Exceptions] = field(default_factory=dict)
    rules: Mapping[str, Exceptions] = field(default_factory=dict)
    org_risk: Exceptions = NO_EXCEPTIONS

    def __bool__(self) -> bool:
        """Returns whether the tenant has any exception, approved or not."""
        return bool(self.source)

    def of_static_policy(self, policy: StaticPolicy) -> Exceptions:
        """Returns the exceptions that may lift a static policy."""
        of_family = self.families.get(policy.family, NO_EXCEPTIONS) if policy.family else ()
        return (*self.policies.get(policy.id, NO_EXCEPTIONS), *of_family)

    def of_dlp_finding(self, rule_id: str, entity_type: str) -> Exceptions:
        """Returns the exceptions that may lift a finding of a DLP rule."""
        of_type = self.entity_types.get(entity_type, NO_EXCEPTIONS)
        return (*self.dlp_rules.get(rule_id, NO_EXCEPTIONS), *of_type)


NO_BOOK: Final = ExceptionBook()


def build_exceptions(own: PolicySet, previous: ExceptionBook = NO_BOOK) -> ExceptionBook:
    """Compiles the exceptions of a tenant.

    Args:
        own: the tenant's policies.
        previous: an earlier book of the tenant; it is returned if nothing has changed.

    Raises:
        InvalidCondition: an expression does not compile.
    """
    source: Mapping[str, PolicyException] = own.of_kind(KIND)
    if source is previous.source or not source:
        return previous if source is previous.source else NO_BOOK
    approved = [_compile(each) for each in source.values() if each.state == APPROVED]
    return ExceptionBook(
        source,
        policies=_by(approved, lambda each: each.policies),
        families=_by(approved, lambda each: each.families),
        dlp_rules=_by(approved, lambda each: each.dlp_rules),
        entity_types=_by(approved, lambda each: expand_entity_types(tuple(each.entity_types))),
        rules=_by(approved, lambda each: each.rules),
        org_risk=tuple(each for each in approved if each.exception.org_risk),
    )


def that_hold(
    exceptions: Exceptions, request: Request, findings: Findings, facts: FactSource
) -> Exceptions:
    """Returns those exceptions that hold for a request; see `CompiledException.holds`."""
    if not exceptions:
        return NO_EXCEPTIONS
    now = time.time()
    return tuple(each for each in exceptions if each.holds(request, findings, facts, now))


def that_lifts(exceptions: Exceptions, scope: str, value: str) -> CompiledException | None:
    """Returns the first exception that lifts a finding; None if none does.

    Args:
        exceptions: exceptions that hold for the request.
        scope: the place of the finding.
        value: the whole value that was found.
    """
    return next((each for each in exceptions if each.lifts(scope, value)), None)


def with_effect(
    reason: str,
    exception: PolicyException | None,
    *,
    is_monitored: bool = False,
    approved_by: str = "",
) -> str:
    """Returns the reason of a match, with why the match has no effect."""
    if exception is not None:
        return f'{reason}; excepted by "{exception.name}"'
    if approved_by:
        return f"{reason}; passed by {approved_by}"
    return f"{reason}; in monitor mode" if is_monitored else reason


def _compile(exception: PolicyException) -> CompiledException:
    return CompiledException(
        exception,
        groups=frozenset(map(normalize_group, exception.groups)),
        models=ModelMatcher(exception.models, (), _NO_CATALOG) if exception.models else None,
        expression=known_expression(exception.expression) if exception.expression else None,
        scopes=frozenset(exception.scope),
        values=frozenset(map(_plain, exception.values)),
        patterns=tuple(re2.compile(each).fullmatch for each in exception.value_patterns),
    )


def _by(
    exceptions: Sequence[CompiledException],
    targets: Callable[[PolicyException], Iterable[str]],
) -> dict[str, Exceptions]:
    by_target: dict[str, list[CompiledException]] = {}
    for each in exceptions:
        for target in targets(each.exception):
            by_target.setdefault(target, []).append(each)
    return {target: tuple(each) for target, each in by_target.items()}


def _plain(value: str) -> str:
    """Returns a value for comparison: digits, such as a card number, without gaps."""
    return value.translate(_GAPS) if _SPACED_DIGITS.match(value) else value
