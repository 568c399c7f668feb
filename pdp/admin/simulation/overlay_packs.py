"""Candidate policy packs and a candidate chain, laid over a tenant's own for one simulation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.admin.packs.chains import PackPlace, entries_of
from pdp.admin.packs.rule_drafts import check_drafts, new_rules
from pdp.domain import policy_chain
from pdp.domain.policy_chain import PolicyChain
from pdp.domain.policy_pack import KIND, MAX_TENANT_RULES, RULE_KIND, PolicyPack, PolicyRule
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.packs.rule_drafts import RuleDraft
    from pdp.domain.policy_set import PolicySet

_PLACE: Final = "overlay.packs"


class PackCandidate(NamedTuple):
    """A pack, whole. `rule_ids` are its rules' own, empty where they have none."""

    pack: PolicyPack
    rules: Sequence[RuleDraft]
    rule_ids: Sequence[str]


class ChainCandidate(NamedTuple):
    """The tenant's own chain. A place may name a candidate pack by its name."""

    places: Sequence[PackPlace]
    combining_algorithm: str


def lay_packs(
    own: PolicySet,
    platform: PolicySet,
    packs: Sequence[PackCandidate],
    chain: ChainCandidate | None,
) -> PolicySet:
    """Returns `own` with the candidates in it.

    A pack replaces the one of its id, else of its name, else is added; a bundle can be replaced
    too. What is replaced is so whole, rules included.

    Args:
        own: the tenant's policies.
        platform: what ships with the product.
        packs: candidate packs.
        chain: takes the place of the tenant's own chain; None leaves it.

    Raises:
        InvalidArgument: a rule or the chain is not well-formed.
        InvalidPattern: a rule's pattern is not RE2.
    """
    known: dict[str, PolicyPack] = {**platform.of_kind(KIND), **own.of_kind(KIND)}
    laid, rules = _candidates(own, known, packs)
    if laid:
        own = own.with_policies(KIND, laid).with_policies(RULE_KIND, rules)
    if chain is None:
        return own
    return own.with_policies(policy_chain.KIND, {policy_chain.ORG_ID: _chain(chain, laid, known)})


def _candidates(
    own: PolicySet, known: Mapping[str, PolicyPack], packs: Sequence[PackCandidate]
) -> tuple[dict[str, PolicyPack], dict[str, PolicyRule]]:
    """Returns the packs, each under the id that it takes, and all rules that change with them."""
    if sum(len(candidate.rules) for candidate in packs) > MAX_TENANT_RULES:
        raise InvalidArgument.of(Violation(_PLACE, f"has more than {MAX_TENANT_RULES} rules"))
    for index, candidate in enumerate(packs):
        check_drafts(candidate.rules, f"{_PLACE}[{index}].rules")
    by_name = {pack.name: pack.id for pack in known.values()}
    laid: dict[str, PolicyPack] = {}
    rules: dict[str, PolicyRule] = {}
    for index, candidate in enumerate(packs):
        name = candidate.pack.name
        pack_id = candidate.pack.id or by_name.get(name) or f"overlay_pack_{index}"
        laid[pack_id] = replace(candidate.pack, id=pack_id, rule_count=len(candidate.rules))
        rules |= _retired(own.of_kind(RULE_KIND), pack_id)
        rules |= _rules(pack_id, candidate, f"{_PLACE}[{index}].rules")
    return laid, rules


def _chain(
    chain: ChainCandidate, laid: Mapping[str, PolicyPack], known: Mapping[str, PolicyPack]
) -> PolicyChain:
    """Returns the chain; a place that names a candidate pack by its name means that one."""
    ids = {pack.name: pack_id for pack_id, pack in laid.items()}
    places = [
        PackPlace(ids.get(each.pack_id, each.pack_id), each.sequence) for each in chain.places
    ]
    return PolicyChain(
        "overlay_chain",
        combining_algorithm=chain.combining_algorithm,
        packs=entries_of(places, {**known, **laid}, "overlay.chain.packs"),
    )


def _retired(rules: Mapping[str, PolicyRule], pack_id: str) -> dict[str, PolicyRule]:
    """The rules that a pack has had, out of force."""
    return {
        rule_id: replace(rule, is_active=False)
        for rule_id, rule in rules.items()
        if rule.pack_id == pack_id
    }


def _rules(pack_id: str, candidate: PackCandidate, place: str) -> dict[str, PolicyRule]:
    made = new_rules(pack_id, (), candidate.rules, 0.0, place)
    return {
        (rule_id or rule.id): replace(rule, id=rule_id or rule.id)
        for rule_id, rule in zip(candidate.rule_ids, made, strict=True)
    }
