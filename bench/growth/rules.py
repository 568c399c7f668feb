"""How cost grows with the rules of a tenant: from ten to the bound of each kind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.engine import catalog_platform, prose
from bench.growth import isolated
from bench.growth.row import Row
from pdp.admin.customer_policies import MAX_CUSTOMERS
from pdp.admin.dlp.entities import MAX_RULES as MAX_DLP_RULES
from pdp.admin.static_policies import MAX_POLICIES
from pdp.domain import customer_policy, dlp_rule, policy_chain, policy_pack, static_policy
from pdp.domain.customer_policy import MAX_ITEMS, CustomerPolicy
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.policy_chain import ChainEntry, PolicyChain
from pdp.domain.policy_pack import MAX_RULES, MAX_TENANT_RULES, PolicyPack, PolicyRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Subject
from pdp.domain.static_policy import StaticPolicy
from pdp.engine.compiler import compile_tenant
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEAST: Final = 10
CUSTOMER: Final = "customer-0"


class Kind(NamedTuple):
    """Rules of one kind: makes so many, and how many a tenant can have."""

    make: Callable[[int], PolicySet]
    bound: int


def _chain_rules(count: int) -> PolicySet:
    rules = [_chain_rule(number) for number in range(count)]
    packs = list(dict.fromkeys(rule.pack_id for rule in rules))
    entries = tuple(ChainEntry(f"entry-{each}", each, place) for place, each in enumerate(packs))
    chain = PolicyChain(policy_chain.ORG_ID, packs=entries)
    return PolicySet(
        {
            policy_pack.KIND: {each: PolicyPack(each, each) for each in packs},
            policy_pack.RULE_KIND: {rule.id: rule for rule in rules},
            policy_chain.KIND: {policy_chain.ORG_ID: chain},
        }
    )


def _chain_rule(number: int) -> PolicyRule:
    conditions: tuple[dict[str, Any], ...] = (
        {"user_groups": [f"contractors-{number}"], "models": ["gpt-4o"]},
        {"content_regex": rf"(?i)\bproject-{number}\b"},
        {"providers": ["mistral"], "user_groups": ["engineering"]},
    )
    return PolicyRule(
        id=f"rule-{number}",
        pack_id=f"pack-{number // MAX_RULES}",
        sequence=number % MAX_RULES,
        name=f"Rule {number}",
        action={"type": "BLOCK", "message": "Not allowed."},
        conditions=conditions[number % len(conditions)],
    )


def _static_policies(count: int) -> PolicySet:
    policies = (
        StaticPolicy(
            id=f"pol_{number}",
            name=f"Project {number}",
            category="custom",
            pattern=rf"(?i)\bproject-{number}\b",
            action="block",
        )
        for number in range(count)
    )
    return PolicySet({static_policy.KIND: {each.id: each for each in policies}})


def _dlp_rules(count: int) -> PolicySet:
    rules = (
        DlpRule(
            id=f"dlp_{number}",
            detector_name=f"Employee {number}",
            detector_type=dlp_rule.REGEX,
            entity_type="EMPLOYEE",
            action_tier="redact",
            config_json={"pattern": rf"\bE{number}-\d{{5}}\b"},
        )
        for number in range(count)
    )
    return PolicySet({dlp_rule.KIND: {each.id: each for each in rules}})


def _customers(count: int) -> PolicySet:
    policies = (CustomerPolicy(f"customer-{i}", _document(i, 3)) for i in range(count))
    return PolicySet({customer_policy.KIND: {each.customer_id: each for each in policies}})


def _conditions(count: int) -> PolicySet:
    policy = CustomerPolicy(CUSTOMER, _document(0, count))
    return PolicySet({customer_policy.KIND: {CUSTOMER: policy}})


def _document(seed: int, conditions: int) -> dict[str, Any]:
    return {
        "allowed_tools": ["read_file", f"tool_{seed}"],
        "blocked_action_patterns": [f"database:table_{seed}:*", "*:*:delete"],
        "custom_rules": {
            f"rule_{index}": {
                "condition": f"batch_size > {100 + index} AND region = 'zone-{seed}'",
                "score_impact": 10,
            }
            for index in range(conditions)
        },
    }


KINDS: Final = {
    "chain rules": Kind(_chain_rules, MAX_TENANT_RULES),
    "static policies": Kind(_static_policies, MAX_POLICIES),
    "DLP rules": Kind(_dlp_rules, MAX_DLP_RULES),
    "customers with 3 conditions": Kind(_customers, MAX_CUSTOMERS),
    "conditions of one customer": Kind(_conditions, MAX_ITEMS),
}


def rows(most: int = 0) -> Iterator[Row]:
    """Yields the curves: CPU time of a decision, of compiling, and memory, by number of rules."""
    for name, kind in KINDS.items():
        for count in isolated.steps(LEAST, min(most or kind.bound, kind.bound)):
            yield from isolated.run(_measure, name, count)


def _measure(name: str, count: int) -> Iterator[Row]:
    platform = catalog_platform()
    compile_tenant(platform, "bench", KINDS[name].make(1), 1)
    before = isolated.resident_mb()
    policies = KINDS[name].make(count)
    begin = time.process_time()
    compiled = compile_tenant(platform, "bench", policies, 1)
    spent = time.process_time() - begin
    memory = isolated.resident_mb() - before
    request = Request(
        text=prose(200),
        action="storage:report:read",
        tool="read_file",
        provider="openai",
        model="gpt-4o",
        customer_id=CUSTOMER if "customer" in name else "",
        subject=Subject("user-1", ("engineering",)),
        context={"batch_size": 20, "region": "eu"},
    )
    decision = evaluate(compiled, request, "id")
    if decision.incomplete or not decision.allowed:
        raise RuntimeError(f"{name}: {decision.reason_code}")
    decide = isolated.cpu_us(lambda: evaluate(compiled, request, "id"))
    yield Row(f"Decide, {name}", count, decide, "µs CPU")
    yield Row(f"compile, {name}", count, 1_000 * spent, "ms CPU")
    yield Row(f"memory, {name}", count, max(0.0, memory), "MB")
