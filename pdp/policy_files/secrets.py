"""Secrets of policies: the URLs of webhooks. A policy file has references in their place.

The server never reads its own environment for a file: a caller could then read it. The command
line resolves references from its environment (`resolve`). Of the others, the server restores those
that its own export has written (`restore_secrets`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,127})\}")
_NO_WORD: Final = re.compile(r"[^A-Z0-9]+")
_MASK: Final = "https://reference.invalid/"
"""What stands for a reference while a file is checked: the contract requires a URL."""


def _stand_in(name: str) -> str:
    return f"https://secret.invalid/{name}"


STAND_IN: Final = _stand_in
"""Resolves all references to URLs that lead nowhere, for policies that send no alerts."""


def resolve(policies: Mapping[str, Any], value_of: Callable[[str], str | None]) -> dict[str, Any]:
    """Returns a document with values in place of the references that can be resolved.

    Args:
        policies: the document.
        value_of: returns the value of a reference; None if it is not known.
    """

    def replace(url: str) -> str:
        match = _REFERENCE.fullmatch(url)
        value = value_of(match[1]) if match else None
        return url if value is None else value

    return _with_urls(policies, replace)


def masked(policies: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a document in which each reference is a URL, for the checks of the contract."""
    return _with_urls(
        policies,
        lambda url: (
            _REFERENCE.sub(lambda match: f"{_MASK}{match[1]}", url, count=1)
            if _REFERENCE.fullmatch(url)
            else url
        ),
    )


def restore_secrets(
    rules: Sequence[Mapping[str, Any]], present: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[tuple[int, str]]]:
    """Returns alert rules with the URLs of present rules in place of their references.

    Args:
        rules: the rules of a file, with `masked` references.
        present: the tenant's rules.

    Returns:
        The rules, and the indexes of those with an unknown reference, each with the reason.
    """
    known = dict(zip(_names(present), map(_url, present), strict=True))
    restored: list[Mapping[str, Any]] = []
    missing: list[tuple[int, str]] = []
    for index, rule in enumerate(rules):
        url = _url(rule)
        name = url.removeprefix(_MASK)
        if name == url:
            restored.append(rule)
            continue
        if name not in known:
            reason = f"${{{name}}} is not set; set it in the environment of the import"
            missing.append((index, reason))
        notify = {**rule["notify"], "slack_webhook_url": known.get(name, url)}
        restored.append({**rule, "notify": notify})
    return restored, missing


def with_references(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns alert rules with references in place of URLs."""
    return [
        {**rule, "notify": {**rule["notify"], "slack_webhook_url": f"${{{name}}}"}}
        for name, rule in zip(_names(rules), rules, strict=True)
    ]


def _names(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the name of each rule's secret, made of the name of the rule."""
    names: dict[str, int] = {}
    result = []
    for rule in rules:
        word = _NO_WORD.sub("_", str(rule["name"]).upper()).strip("_")[:64]
        name = f"ALERT_{word}_WEBHOOK" if word else "ALERT_WEBHOOK"
        number = names[name] = names.get(name, 0) + 1
        result.append(name if number == 1 else f"{name}_{number}")
    return result


def _url(rule: Mapping[str, Any]) -> str:
    return str(rule["notify"]["slack_webhook_url"])


def _with_urls(policies: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Returns a document with changed URLs of webhooks; what has another form stays."""
    result = dict(policies)
    section = result.get("org_policy")
    if isinstance(section, dict):
        result["org_policy"] = _changed(section, change)
    elif isinstance(section, list):
        result["org_policy"] = [_changed(each, change) for each in section]
    return result


def _changed(policy: Any, change: Callable[[str], str]) -> Any:
    rules = policy.get("alert_rules") if isinstance(policy, dict) else None
    if not isinstance(rules, list):
        return policy
    return {**policy, "alert_rules": list(_changed_rules(rules, change))}


def _changed_rules(rules: Sequence[Any], change: Callable[[str], str]) -> Iterator[Any]:
    for rule in rules:
        notify = rule.get("notify") if isinstance(rule, dict) else None
        url = notify.get("slack_webhook_url") if isinstance(notify, dict) else None
        if isinstance(notify, dict) and isinstance(url, str):
            yield {**rule, "notify": {**notify, "slack_webhook_url": change(url)}}
        else:
            yield rule
