"""The groups of the patterns that all tenants share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain import static_policy
from pdp.domain.policy_set import PolicySet
from pdp.engine.compiler import compile_platform
from pdp.engine.pattern_groups import (
    LINES,
    PROMPTS,
    STATEMENTS,
    VALUES,
    WORDS,
    pattern_groups,
)

POLICIES = [each.policy for each in catalog.static_policies()]
DETECTORS = catalog.detectors()


def test_every_pattern_that_ships_has_a_group_of_its_kind() -> None:
    sources = [source for each in DETECTORS.values() for source in each.patterns]
    groups = pattern_groups(sources, POLICIES)
    kinds = {family: Counter[str]() for family in ("sql", "command", "prompt_injection")}
    for policy in POLICIES:
        if policy.family in kinds:
            kinds[policy.family][groups[policy.pattern]] += 1
    assert {family: set(found) for family, found in kinds.items()} == {
        "sql": {STATEMENTS, LINES},
        "command": {WORDS},
        "prompt_injection": {PROMPTS},
    }
    assert {groups[source] for source in sources} == {WORDS, VALUES}


def test_labels_and_values_are_apart() -> None:
    label, number = r"(?i)(?:passport|reisepass)\W{1,3}(?P<value>\w{9})", r"\b\d{9}\b"
    assert pattern_groups([label, number], []) == {label: WORDS, number: VALUES}


def test_sql_that_reads_on_to_the_end_of_the_line_is_apart() -> None:
    base = next(each for each in POLICIES if each.family == static_policy.SQL)
    short = replace(base, pattern="union select")
    long = replace(base, pattern=r"'--[^\n]*union")
    former = replace(long, family=static_policy.FORMER_SQL, pattern=r"'#[^\n]*union")
    command = replace(long, family=static_policy.COMMAND, pattern=r"rm [^\n]*/")
    groups = pattern_groups([], [short, long, former, command])
    assert list(groups.values()) == [STATEMENTS, LINES, LINES, WORDS]


def test_the_platform_has_no_pattern_without_a_group() -> None:
    policies = PolicySet({static_policy.KIND: {each.id: each for each in POLICIES}})
    platform = compile_platform(policies, VALIDATORS, detectors=DETECTORS)
    groups = {WORDS, PROMPTS, VALUES, STATEMENTS, LINES}
    assert {shard.group for shard in platform.patterns.shards} == groups
