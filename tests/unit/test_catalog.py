"""The system policies match their examples, and are accurate together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain.static_policy import ACTIONS, PROMPT_INJECTION, StaticPolicy
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan
from pdp.engine.text.patterns import CompiledPattern, PatternDetector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.catalog import SystemPolicy

CORPORA = Path(__file__).parent.parent / "corpora"

SYSTEM_POLICIES = catalog.static_policies()

KEYS = {
    *("id", "name", "description", "category", "family", "pattern", "action", "severity"),
    *("message", "examples"),
}

FAMILIES = {
    "sql": "security",
    "command": "security",
    "secret": "security",
    "prompt_injection": "security",
    "pii": "compliance",
    "financial": "compliance",
    "medical": "compliance",
}

each_policy = pytest.mark.parametrize(
    "system", SYSTEM_POLICIES, ids=[system.policy.id for system in SYSTEM_POLICIES]
)


def matches(policy: StaticPolicy, text: str) -> bool:
    """Returns whether `policy` matches `text`: one scan and the validator, as in a decision."""
    sets = (PatternSet().with_patterns([policy.pattern]),)
    findings = scan(sets, text, None, VALIDATORS)
    return findings.first(PatternDetector(policy.pattern, policy.validator)) is not None


def texts(name: str) -> list[str]:
    lines = (CORPORA / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


@each_policy
class TestEachPolicy:
    def test_matches_its_positive_examples(self, system: SystemPolicy) -> None:
        missed = [text for text in system.matching if not matches(system.policy, text)]
        assert len(system.matching) >= 2
        assert missed == []

    def test_does_not_match_its_negative_examples(self, system: SystemPolicy) -> None:
        flagged = [text for text in system.not_matching if matches(system.policy, text)]
        assert len(system.not_matching) >= 2
        assert flagged == []

    def test_does_not_match_an_empty_text(self, system: SystemPolicy) -> None:
        compiled = CompiledPattern(system.policy.pattern)
        assert list(compiled.spans("", b"")) == []

    def test_has_valid_values(self, system: SystemPolicy) -> None:
        policy = system.policy
        assert re.fullmatch(r"sys_[a-z0-9_]+", policy.id)
        assert policy.category == FAMILIES[policy.family]
        assert policy.action in ACTIONS
        assert policy.severity in {"critical", "high", "medium", "low"}
        assert not policy.validator or policy.validator in VALIDATORS

    def test_has_a_description(self, system: SystemPolicy) -> None:
        policy = system.policy
        assert len(policy.description) > 20
        assert policy.message.endswith(".")
        assert policy.name.strip() == policy.name != ""


class TestCatalog:
    def test_is_large_enough(self) -> None:
        assert len(SYSTEM_POLICIES) >= 40

    @pytest.mark.parametrize("attribute", ["id", "name", "pattern"])
    def test_values_are_unique(self, attribute: str) -> None:
        values = [getattr(system.policy, attribute) for system in SYSTEM_POLICIES]
        assert sorted(set(values)) == sorted(values)

    def test_uses_every_validator(self) -> None:
        of_policies = {system.policy.validator for system in SYSTEM_POLICIES}
        of_detectors = {
            name
            for detector in catalog.detectors().values()
            for name in (detector.validator, detector.label_validator)
        }
        assert (of_policies | of_detectors) - {""} == set(VALIDATORS)

    def test_blocks_only_injection_and_dangerous_commands(self) -> None:
        blocking = {p.policy.family for p in SYSTEM_POLICIES if p.policy.action == "block"}
        assert blocking == {"sql", "command"}

    def test_warns_of_cards_and_logs_other_personal_data(self) -> None:
        for policy in (system.policy for system in SYSTEM_POLICIES):
            if policy.category == "compliance":
                card = policy.id.startswith(("sys_pii_credit_card", "sys_pii_card"))
                assert policy.action == ("warn" if card else "log"), policy.id

    def test_warns_of_secrets(self) -> None:
        actions = {p.policy.action for p in SYSTEM_POLICIES if p.policy.family == "secret"}
        assert actions == {"warn"}

    def test_warns_of_prompt_injection(self) -> None:
        actions = {p.policy.action for p in SYSTEM_POLICIES if p.policy.family == PROMPT_INJECTION}
        assert actions == {"warn"}

    def test_has_the_policies_that_the_api_documents(self) -> None:
        by_id = {
            system.policy.id: (
                system.policy.name,
                system.policy.pattern,
                system.policy.category,
                system.policy.action,
                system.policy.severity,
                system.policy.validator,
            )
            for system in SYSTEM_POLICIES
        }
        assert by_id["sys_sqli_union"] == (
            "SQL Injection - UNION",
            r"(?i)union\s+(all\s+)?select",
            *("security", "block", "critical", ""),
        )
        assert by_id["sys_pii_credit_card"] == (
            "PII - Credit Card Detection",
            r"\b(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14})\b",
            *("compliance", "warn", "high", "luhn"),
        )


class TestFiles:
    FILES = sorted((Path(catalog.__file__).parent / "static_policies").glob("*.yaml"))

    @pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
    def test_has_a_version_and_only_known_keys(self, file: Path) -> None:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert content.keys() == {"version", "policies"}
        assert content["version"] >= 1
        for entry in content["policies"]:
            assert entry.keys() - {"validator", "scope_actions", "in_prose"} == KEYS
            assert entry["examples"].keys() == {"match", "no_match"}


class TestEverydayTexts:
    """Common texts in the work with an AI assistant, which must not be blocked."""

    TEXTS = (
        "SELECT id, name FROM users WHERE email = 'a@b.c' AND active = 1 ORDER BY name LIMIT 10;",
        "SELECT u.name FROM users u WHERE u.city = 'Rome' OR u.city = 'Pisa' GROUP BY u.name",
        'SELECT "name" FROM "users" WHERE "status" = \'active\' AND "role" = \'admin\'',
        "INSERT INTO t VALUES (1, 'a'); INSERT INTO t VALUES (2, 'b');",
        "UPDATE users SET name = 'Bob' WHERE id = 5;",
        "SELECT * FROM t WHERE a IN (SELECT id FROM b) AND c = (SELECT max(x) FROM d)",
        'cursor.execute("SELECT * FROM users WHERE name = %s", (name,))',
        "if (a == 1 && b == 2) { await sleep(1000); }",
        "x = 'yes' if a == 'b' and c == 'd' else 'no'",
        "the boys' and girls' teams, at 5 o'clock -- not later",
        'I need a 16" or 18" chain, 14" - 16" if not',
        "Solve: 3 < 4 and 4 < 5, x' = 3x - 2y and y' = x + y",
        "rm -rf ./build node_modules && npm ci",
        "RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*",
        "curl -s https://example.test/data.json | jq .",
        "git push --force-with-lease origin feature/main-menu",
        "kubectl delete pod web-1 -n staging",
        "terraform apply -auto-approve",
        "glob src/**/tests/*.py and docs/**/or.md",
    )

    @pytest.mark.parametrize("text", TEXTS)
    def test_nothing_blocks(self, text: str) -> None:
        blocking = [p.policy for p in SYSTEM_POLICIES if p.policy.action == "block"]
        assert [policy.id for policy in blocking if matches(policy, text)] == []


class TestAccuracy:
    """The required accuracy; `python -m bench.accuracy` prints details."""

    @staticmethod
    def share(rows: list[str]) -> float:
        """Returns the share of `rows` that a security policy matches."""
        policies = [p.policy for p in SYSTEM_POLICIES if p.policy.category == "security"]
        sets = (PatternSet().with_patterns(policy.pattern for policy in policies),)
        detectors = [PatternDetector(policy.pattern, policy.validator) for policy in policies]

        def flagged() -> Iterator[bool]:
            for row in rows:
                findings = scan(sets, row, None, VALIDATORS)
                yield any(findings.first(detector) for detector in detectors)

        return sum(flagged()) / len(rows)

    def test_at_least_97_percent_of_the_attacks_are_detected(self) -> None:
        assert self.share(texts("sqli_attacks.jsonl")) >= 0.97

    def test_only_a_documented_pattern_flags_harmless_texts(self) -> None:
        """`sys_sqli_union` blocks UNION SELECT anywhere, and some harmless texts mention it."""
        harmless = texts("sqli_benign.jsonl")
        assert self.share(harmless) <= 0.0045
        union = next(p.policy for p in SYSTEM_POLICIES if p.policy.id == "sys_sqli_union")
        others = [text for text in harmless if not matches(union, text)]
        assert self.share(others) == 0
