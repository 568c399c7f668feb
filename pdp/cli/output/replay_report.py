"""The report of a replay. What the replay could not see comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp.cli.output.report import Report, Table
from pdp.domain.sampling import estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def add_samples(total: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Adds the samples of a page, or of a change in it, to those of the total.

    A part without samples has records that the logging level requires.

    Args:
        total: has the form of a page or of a change.
        part: a page, or a change.
    """
    replayed = part.get("replayed", part.get("count", 0))
    changed = part.get("changed", part.get("count", 0))
    samples = {each["sample_rate"]: each for each in total.get("samples", ())}
    for each in part.get("samples") or [
        {"sample_rate": 1.0, "replayed": replayed, "changed": changed}
    ]:
        rate = each["sample_rate"]
        sum_ = samples.setdefault(rate, {"sample_rate": rate, "replayed": 0, "changed": 0})
        sum_["replayed"] += each["replayed"]
        sum_["changed"] += each["changed"]
    total["samples"] = [samples[rate] for rate in sorted(samples)]


def add_estimates(total: dict[str, Any]) -> None:
    """Computes the estimates of a total from its samples; without samples, there are none."""
    for part, names in (
        (total, {"estimated_changed": "changed", "estimated_decisions": "replayed"}),
        *((change, {"estimate": "changed"}) for change in total["changes"]),
    ):
        samples = part.pop("samples")
        for name in names:
            part.pop(name, None)
        if all(each["sample_rate"] == 1 for each in samples):
            continue
        part["samples"] = samples
        for name, key in names.items():
            value, low, high = estimate({each["sample_rate"]: each[key] for each in samples})
            part[name] = {"count": value, "low": low, "high": high}


def replay_report(total: Mapping[str, Any]) -> Report:
    """Returns the report of a replay."""
    coverage = total.get("coverage")
    is_complete = coverage is None or coverage["complete"]
    changed = total["changed"]
    kind = "decisions" if is_complete else "recorded decisions"
    answer = f"{changed} of {total['replayed']} {kind} would change"
    facts = [("replayed", str(total["replayed"]))]
    if coverage is not None and not is_complete:
        headline = f"INCOMPLETE: {_coverage(coverage)}"
        facts.insert(0, ("result", answer))
    else:
        headline = answer
    if "estimated_changed" in total:
        facts.insert(
            int(not is_complete),
            (
                "estimate",
                f"{_estimate(total['estimated_changed'])} of about "
                f"{total['estimated_decisions']['count']:.0f} decisions would change",
            ),
        )
    if total["on_other_policies"]:
        facts.append(("decided on other policies", str(total["on_other_policies"])))
    style = "bold red" if not is_complete else "bold yellow" if changed else "bold green"
    return Report(headline, style, facts, [*_tables(total)])


def _coverage(coverage: Mapping[str, Any]) -> str:
    parts = []
    if coverage["unrecorded"]:
        parts.append(
            f"{coverage['unrecorded']} of {coverage['made']} decisions of the period were not"
            " recorded"
        )
    if coverage["removed"]:
        parts.append(f"{coverage['removed']} records were removed")
    if coverage.get("uncounted_before"):
        parts.append(f"decisions before {coverage['uncounted_before']} were not counted")
    share = int(coverage["share"] * 1000) / 10
    return f"{' and '.join(parts)}, so they may change too (coverage {share}%)"


def _estimate(value: Mapping[str, float]) -> str:
    return f"{value['count']:.0f} (95%: {value['low']:.0f} to {value['high']:.0f})"


def _tables(total: Mapping[str, Any]) -> Iterable[Table]:
    changes = total["changes"]
    is_sampled = "samples" in total
    yield Table(
        "Changes",
        ("from", "to", "decisions", *(("estimate",) if is_sampled else ())),
        [
            [
                each["from"],
                each["to"],
                str(each["count"]),
                *([_estimate(each["estimate"])] if "estimate" in each else ()),
            ]
            for each in changes
        ],
    )
    yield Table(
        "Policies",
        ("from", "to", "layer", "policy", "name", "effect", "decisions"),
        [
            [change["from"], change["to"], *_policy_row(policy)]
            for change in changes
            for policy in change["policies"]
        ],
    )
    yield Table(
        "Examples",
        ("from", "to", "decision", "time", "user", "policy", "why"),
        [_example_row(each) for change in changes for each in change["examples"]],
    )
    yield _counts("Not replayed", total["not_replayed"])
    yield _counts("Gaps", total["gaps"])
    coverage = total.get("coverage")
    if coverage is not None and not coverage["complete"]:
        yield Table(
            "Coverage",
            ("level", "outcome", "made", "recorded"),
            [
                [each["level"], each["outcome"], str(each["made"]), str(each["recorded"])]
                for each in coverage["counts"]
            ],
        )


def _policy_row(policy: Mapping[str, Any]) -> list[str]:
    effect = policy["effect"]
    if effect == "changed":
        effect = f"changed: {policy['from_action']} to {policy['to_action']}"
    keys = ("layer", "policy_id", "name")
    return [*(policy[key] for key in keys), effect, str(policy["count"])]


def _example_row(example: Mapping[str, Any]) -> list[str]:
    policy = f"{example['effect']}: {example['policy_name']}" if example["policy_id"] else ""
    why = example["reason"] or example["message"] or example["reason_code"]
    keys = ("from", "to", "decision_id", "time", "user_id")
    return [*(str(example[key]) for key in keys), policy, why]


def _counts(title: str, counts: Iterable[Mapping[str, Any]]) -> Table:
    rows = [[each["reason"], str(each["count"])] for each in counts]
    return Table(title, ("reason", "decisions"), rows)
