"""Runs `pdp policies lint` and `pdp policies promote`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.output.report import print_json, printable
from pdp.cli.run.policy_client import call, check_tenant, connect, print_changes, summary_of
from pdp.client import CallFailed
from pdp.domain.placement import ENFORCE, MONITOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.cli.options.policy_target import PolicyTargetOptions

_NAMES: Final = {
    "static_policies": "name",
    "overrides": "policy_id",
    "dlp": "detector_name",
    "dlp_settings": "rule",
    "customer_policies": "customer_id",
}
"""The sections whose entries have a mode, and the field that names an entry."""

_ORG_POLICY: Final = "org_policy"


def lint(tenant: str, target: PolicyTargetOptions, *, days: int, as_json: bool) -> None:
    """Prints the findings about the policies of a tenant, and exits with 1 if there are any."""
    with exit_on_failure(as_json=as_json):
        check_tenant(tenant)
        with connect(target) as client:
            answer = call(client, "LintPolicies", {"days": days}, tenant)
    findings = answer["findings"]
    if as_json:
        print_json(answer)
    else:
        for each in findings:
            _print_finding(each)
        print(_summary(answer, days))
    sys.exit(Exit.NO if findings else Exit.OK)


def _print_finding(finding: Mapping[str, Any]) -> None:
    what = finding.get("code") or finding["finding"]
    field = f" {finding['field']}" if finding.get("field") else ""
    name = printable(finding["name"])
    print(f"{what}: {finding['kind']} {name}{field}: {printable(finding['message'])}")
    if finding.get("example"):
        print(f"    example: {printable(json.dumps(finding['example'], ensure_ascii=False))}")


def _summary(answer: Mapping[str, Any], days: int) -> str:
    count = len(answer["findings"])
    text = f"{count} findings" if count != 1 else "1 finding"
    if answer["records"]:
        return f"{text}; the records of {days} days were searched for policies that never match"
    return f"{text}; no records were searched: use --server for policies that never match"


class _Monitored(NamedTuple):
    """A policy in monitor mode: its section, and the entry of the section with it enforced."""

    section: str
    entry: Any


def promote(policy: str, tenant: str, target: PolicyTargetOptions) -> None:
    """Enforces a policy that is in monitor mode, and prints the change."""
    with exit_on_failure(as_json=False):
        check_tenant(tenant)
        with connect(target) as client:
            document = call(client, "ExportPolicyFile", {}, tenant)["policies"]
            monitored = list(_monitored(document, policy))
            if not monitored:
                message = f"no policy of {tenant} in monitor mode has the name {policy!r}"
                raise CallFailed("POLICY_NOT_FOUND", message, unavailable=False)
            if len(monitored) > 1:
                sections = ", ".join(each.section for each in monitored)
                raise UsageError(f"several policies in monitor mode are {policy!r}: in {sections}")
            section, entry = monitored[0]
            entries = entry if section == _ORG_POLICY else [entry]
            body = {
                "policies": {section: entries},
                "mode": "merge",
                "summary": f"Promoted {policy}",
            }
            answer = call(client, "ImportPolicyFile", body, tenant)
    print_changes(answer)
    print(summary_of(answer))
    sys.exit(Exit.OK)


def _monitored(document: Mapping[str, Any], policy: str) -> Iterator[_Monitored]:
    """Yields the policies of a document that are in monitor mode and have a name."""
    for section, name_field in _NAMES.items():
        for entry in document.get(section, ()):
            if entry.get("mode") == MONITOR and entry.get(name_field) == policy:
                yield _Monitored(section, {**entry, "mode": ENFORCE})
    for pack in document.get("packs", ()):
        for rule in pack.get("rules", ()):
            if rule.get("mode") == MONITOR and rule.get("name") == policy:
                rules = [
                    {**each, "mode": ENFORCE} if each is rule else each for each in pack["rules"]
                ]
                yield _Monitored("packs", {**pack, "rules": rules})
    org = document.get(_ORG_POLICY) or {}
    if policy == _ORG_POLICY and org.get("mode") == MONITOR:
        yield _Monitored(_ORG_POLICY, {"mode": ENFORCE})
