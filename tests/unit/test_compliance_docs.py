"""The page on compliance bundles lists every built-in rule with its clause."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pdp.catalog.compliance import compliance_bundles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.catalog.compliance import SeededBundle

PAGE = Path(__file__).parents[2] / "docs" / "compliance.md"
HEADING = "## Bundles, clauses, detectors\n"


def rows(seeded: SeededBundle) -> Iterator[str]:
    """Yields the rows of a bundle's rules."""
    definitions = seeded.bundle.definitions
    for rule in seeded.rules:
        versions = [each["version"] for each in definitions if rule.id in each["rule_ids"]]
        cells = [
            rule.clause,
            f"`{rule.config_json['detector']}`",
            f"`{rule.entity_type}`",
            rule.action_tier,
            str(rule.confidence_threshold),
            "" if len(versions) == len(definitions) else ", ".join(versions),
        ]
        yield f"| {' | '.join(cells)} |"


def tables() -> str:
    """Returns the tables of all bundles."""
    parts = []
    for seeded in compliance_bundles():
        bundle = seeded.bundle
        code = f"Framework code `{bundle.regulatory_framework}`."
        head = f"### {bundle.name}\n\n{bundle.description} {code}\n"
        table = [
            "| clause | detector | entity type | tier | threshold | only in |",
            "|---|---|---|---|---|---|",
            *rows(seeded),
        ]
        parts.append("\n".join([head, *table]))
    return "\n\n".join(parts) + "\n"


def test_the_page_lists_the_rules_of_the_catalog() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(HEADING)[2].partition("\n### ")[2] == tables().removeprefix("### ")
