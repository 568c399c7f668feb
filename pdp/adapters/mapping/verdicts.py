"""What a decision means for an enforcement point that cannot do all that it may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PREFIX: Final = "OUTCOME_"
_OBLIGATION_PREFIX: Final = "OBLIGATION_TYPE_"

_PASSING: Final = frozenset({pb.OUTCOME_ALLOW, pb.OUTCOME_WARN, pb.OUTCOME_ALLOW_WITH_OVERRIDE})
_CONDITIONAL: Final = frozenset({pb.OUTCOME_ROUTE_TO, pb.OUTCOME_REDACT})
_CONDITIONS: Final = frozenset({"REDACT", "MASK_FIELDS", "ROUTE_TO"})


def may_pass(response: pb.DecideResponse, supported: Collection[str] = ()) -> bool:
    """Returns whether a request may pass.

    Args:
        response: the decision.
        supported: the obligations that the enforcement point carries out: REDACT, MASK_FIELDS and
            ROUTE_TO. Without them, only a request that may pass unchanged passes.
    """
    if not response.allowed or response.outcome not in _PASSING | _CONDITIONAL:
        return False
    obligations = obligation_names(response)
    if response.outcome in _CONDITIONAL and not obligations:
        return False
    return all(each in _CONDITIONS and each in supported for each in obligations)


def obligation_names(response: pb.DecideResponse) -> list[str]:
    """Returns the names of the types of a decision's obligations, without their prefix."""
    return [
        name_of(pb.ObligationType.Name(each.type), _OBLIGATION_PREFIX)
        if each.type in pb.ObligationType.values()
        else str(each.type)
        for each in response.obligations
    ]


def outcome_name(response: pb.DecideResponse) -> str:
    """Returns the name of a decision's outcome, such as BLOCK."""
    return name_of(pb.Outcome.Name(response.outcome), _PREFIX)


def name_of(value: str, prefix: str) -> str:
    """Returns the name of a value of an enumeration without its prefix."""
    return value.removeprefix(prefix)


def facts_of(response: pb.DecideResponse) -> dict[str, str]:
    """Returns the facts of a decision that headers may have, by their names in mapping files."""
    return {
        "decision_id": response.decision_id,
        "outcome": outcome_name(response),
        "reason_code": response.reason_code,
        "risk_score": str(response.risk.score),
        "revision": str(response.revision),
    }


def added_headers(names: Mapping[str, str], response: pb.DecideResponse) -> dict[str, str]:
    """Returns the headers that a route adds: the facts of a decision that are not empty.

    Args:
        names: the name of the header of each fact.
        response: the decision.
    """
    facts = facts_of(response)
    return {header: facts[fact] for fact, header in names.items() if facts[fact]}
