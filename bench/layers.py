"""Measures the share of each layer in a decision, for a tenant that uses every policy system.

The tenant has a chain of 8 packs with 20 rules each, a customer policy with 20 custom rules and 40
action patterns, and the default catalog. The larger tenant has ten times the pack rules and action
patterns, which are indexed. Custom rules are conditions of any form, so each one is evaluated.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.engine import catalog_platform, microseconds, prose
from pdp.domain import customer_policy, policy_chain, policy_pack
from pdp.domain.customer_policy import CustomerPolicy
from pdp.domain.policy_chain import ChainEntry, PolicyChain
from pdp.domain.policy_pack import PolicyPack, PolicyRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Subject
from pdp.engine.compiler import compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.scan import scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.engine.snapshot import Snapshot

PACKS: Final = 8
RULES: Final = 20
CUSTOM_RULES: Final = 20
ACTION_PATTERNS: Final = 40
FACTOR: Final = 10
"""The larger tenant has this many times the pack rules and action patterns."""

CHANGED_RULES: Final = 500
"""The number of rules of the tenant for which a change is compiled."""


class Share(NamedTuple):
    """One part of a decision and its microseconds."""

    part: str
    spent_us: float


def request() -> Request:
    """Returns a request of 200 characters that every layer evaluates, and none blocks."""
    return Request(
        text=prose(200),
        action="storage:report:read",
        tool="read_file",
        provider="openai",
        model="gpt-4o",
        customer_id="cust_bench",
        tenant_id="bench",
        subject=Subject("user-1", ("engineering", "emea"), "agent-1", 0.2, None),
        context={"batch_size": 20, "environment": "staging"},
        timestamp=1_770_000_000.0,
    )


def snapshot(factor: int = 1) -> Snapshot:
    """Returns the compiled tenant, with `factor` times the rules and patterns."""
    return compile_tenant(catalog_platform(), "bench", _policies(factor), 1)


def shares(tenant: Snapshot) -> tuple[float, list[Share]]:
    """Returns the microseconds of the whole decision, and of each of its parts."""
    example = request()
    decision = evaluate(tenant, example, "id")
    if decision.incomplete or decision.outcome.name != "ALLOW":
        raise SystemExit(
            f"the outcome must be ALLOW, not {decision.outcome.name}: {decision.message}"
        )
    validators = tenant.platform.validators
    sets = tenant.pattern_sets
    findings = scan(sets, example.text, example.arguments, validators)
    parts = [
        *(Share(gate.name, microseconds(lambda g=gate: g.admit(example))) for gate in tenant.gates),  # type: ignore[misc]
        Share(
            "scan",
            microseconds(lambda: scan(sets, example.text, example.arguments, validators)),
        ),
        *(
            Share(layer.name, microseconds(lambda one=layer: one.evaluate(example, findings)))  # type: ignore[misc]
            for layer in tenant.layers
        ),
    ]
    whole = microseconds(lambda: evaluate(tenant, example, "id"))
    parts.append(Share("the rest", whole - sum(share.spent_us for share in parts)))
    return whole, parts


def change_ms(rounds: int = 9) -> float:
    """Returns the time to compile one changed rule of a tenant with `CHANGED_RULES`."""
    tenant = compile_tenant(catalog_platform(), "bench", _chain_of(CHANGED_RULES // RULES), 1)
    rules = tenant.policies.of_kind(policy_pack.RULE_KIND)
    spent = []
    for index in range(rounds):
        changed = _rule(index, 0, f"changed {index}")
        assert changed.id in rules  # noqa: S101 - made by _rule
        policies = tenant.policies.with_policies(policy_pack.RULE_KIND, {changed.id: changed})
        begin = time.perf_counter()
        tenant = compile_tenant(tenant.platform, "bench", policies, index + 2, tenant)
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent) * 1e3


def one_change() -> Callable[[], Snapshot]:
    """Returns a function that compiles the same change of a tenant with `CHANGED_RULES` rules."""
    tenant = compile_tenant(catalog_platform(), "bench", _chain_of(CHANGED_RULES // RULES), 1)
    changed = {"rule-0_0": _rule(0, 0, "changed")}
    policies = tenant.policies.with_policies(policy_pack.RULE_KIND, changed)
    return lambda: compile_tenant(tenant.platform, "bench", policies, 2, tenant)


def _policies(factor: int) -> PolicySet:
    chain = _chain_of(PACKS * factor)
    customer = CustomerPolicy("cust_bench", _document(factor))
    return chain.with_policies(customer_policy.KIND, {customer.customer_id: customer})


def _chain_of(packs: int) -> PolicySet:
    entries = tuple(ChainEntry(f"entry-{pack}", f"pack-{pack}", pack) for pack in range(packs))
    rules = [_rule(pack, index) for pack in range(packs) for index in range(RULES)]
    return PolicySet(
        {
            policy_pack.KIND: {
                f"pack-{pack}": PolicyPack(f"pack-{pack}", f"Pack {pack}") for pack in range(packs)
            },
            policy_pack.RULE_KIND: {rule.id: rule for rule in rules},
            policy_chain.KIND: {
                policy_chain.ORG_ID: PolicyChain(policy_chain.ORG_ID, packs=entries)
            },
        }
    )


def _rule(pack: int, index: int, name: str = "") -> PolicyRule:
    """Returns a rule like those of tenants; the request of the benchmark matches none."""
    key = f"{pack}_{index}"
    shapes: tuple[dict[str, Any], ...] = (
        {"user_groups": [f"contractors-{key}"], "models": ["gpt-4o"]},
        {"content_regex": rf"(?i)\bproject-{key}\b"},
        {"providers": ["mistral"], "user_groups": ["engineering"]},
        {"entity_types": ["US_SSN"], "entity_confidence_min": 0.8, "channel": ["interactive"]},
        {"user_risk_score_min": 0.7, "models": ["gpt-4o"]},
    )
    return PolicyRule(
        id=f"rule-{key}",
        pack_id=f"pack-{pack}",
        sequence=index,
        name=name or f"Rule {key}",
        action={"type": "BLOCK", "message": "Not for you."},
        conditions=shapes[index % len(shapes)],
    )


def _document(factor: int) -> dict[str, Any]:
    patterns = range(ACTION_PATTERNS * factor // 2)
    return {
        "blocked_action_patterns": [f"database:table_{index}:*" for index in patterns],
        "allowed_action_patterns": [
            *(f"storage:bucket_{index}:read" for index in patterns[1:]),
            "storage:*:read",
        ],
        "custom_rules": {
            f"rule_{index}": {
                "condition": f"batch_size > {100 + index} AND environment = 'production'",
                "score_impact": 10,
            }
            for index in range(CUSTOM_RULES)
        },
    }
