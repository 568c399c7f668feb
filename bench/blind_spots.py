"""Cases of what slipped past other guardrails, checked against a running server.

`tests/corpora/README.md` describes the files. `python -m bench.blind_spots` starts a server and
prints recall and precision by kind; the tests hold each case.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2

from bench.servers import pdp_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CORPORA: Final = Path(__file__).parent.parent / "tests" / "corpora"

PASSED: Final = ("ALLOW", "WARN", "ALLOW_WITH_OVERRIDE", "ROUTE_TO", "REDACT")
"""The outcomes that let a request pass, so that what goes out must not hold a secret."""

RISKY: Final = 40
"""The risk score from which a case counts as risky."""

LEFT: Final = 8
"""The number of characters in a row of a secret that may not be left."""

MODELS: Final = "/api/admin/kill-switch/models"


class Case(NamedTuple):
    """A request and what is expected of its decision; `tests/corpora/README.md` has the fields."""

    kind: str
    positive: bool
    request: Mapping[str, Any]
    expect: Mapping[str, Any]
    why: str = ""
    tenant: str = ""
    setup: tuple[tuple[str, str, Any], ...] = ()
    killed: tuple[str, ...] = ()


def read_cases(name: str) -> list[Case]:
    """Returns the cases of a file of `CORPORA`."""
    lines = (CORPORA / name).read_text(encoding="utf-8").splitlines()
    rows = map(json.loads, lines)
    return [
        Case(
            **{
                **row,
                "setup": tuple(map(tuple, row.get("setup", ()))),
                "killed": tuple(row.get("killed", ())),
            }
        )
        for row in rows
    ]


def kind_cases() -> list[Case]:
    """Returns the values of `sqli_kinds.jsonl` as cases: in arguments, and as a text."""
    cases: list[Case] = []
    for line in (CORPORA / "sqli_kinds.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        value = row["value"]
        text = value if isinstance(value, str) else json.dumps(value)
        arguments = {"tool": "run_sql", "arguments": {"q": value}}
        kind, positive = row["kind"], row["positive"]
        cases.append(Case(kind, positive, arguments, {"security": positive}))
        if not positive:
            cases.append(Case(kind, positive, {"content": {"text": text}}, {"security": False}))
    return cases


def injection_cases() -> list[Case]:
    """Returns the texts of `injection_kinds.jsonl` as cases: as text, and in arguments."""
    cases: list[Case] = []
    for line in (CORPORA / "injection_kinds.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        kind, positive, text = f"injection: {row['kind']}", row["positive"], row["text"]
        requests: tuple[dict[str, Any], ...] = (
            {"content": {"text": text}},
            {"tool": "fetch", "arguments": {"value": text}},
        )
        cases += (
            Case(kind, positive, request, {"seen": positive}, why=text[:60]) for request in requests
        )
    return cases


class Runner:
    """Decides cases on a server, each kind of preparation in a tenant of its own."""

    def __init__(self, client: httpx2.Client) -> None:
        """Args:
        client: a client of a server in development mode that nothing else uses.
        """
        self._client = client
        self._tenants: dict[Any, str] = {}
        self._killed: tuple[str, ...] = ()
        self._security = {
            each["id"]
            for each in self._list_policies()
            if str(each["category"]).startswith("security")
        }

    def _list_policies(self) -> Iterator[Mapping[str, Any]]:
        page = 1
        while True:
            answer = self._client.get(
                "/api/v1/static-policies", params={"page": page, "page_size": 100}
            ).json()
            yield from answer["policies"]
            if page * 100 >= answer["pagination"]["total_count"]:
                return
            page += 1

    def _call(self, method: str, path: str, body: Any = None, tenant: str = "") -> Any:
        headers = {"X-Tenant-ID": tenant} if tenant else {}
        answer = self._client.request(method, path, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _tenant_for(self, case: Case) -> str:
        key = (case.tenant, json.dumps(case.setup))
        tenant = self._tenants.get(key)
        if tenant is None:
            tenant = self._tenants[key] = f"blind-{len(self._tenants)}"
            if case.tenant == "strict":
                self._make_strict(tenant)
            for method, path, body in case.setup:
                self._call(method, path, body, tenant)
        return tenant

    def _make_strict(self, tenant: str) -> None:
        for rule in self._call("GET", "/api/admin/dlp-rules/", tenant=tenant):
            if rule["enabled"] and rule["action_tier"] == "log_only":
                path = f"/api/admin/dlp-rules/{rule['id']}"
                self._call("PUT", path, {"action_tier": "redact"}, tenant)

    def _switch(self, models: tuple[str, ...]) -> None:
        """Switches off these models and no others."""
        if models == self._killed:
            return
        for provider in self._call("GET", "/api/admin/kill-switch/providers"):
            for model in provider["models"]:
                wanted = model["model_id"] in models
                if wanted == bool(model["is_active"] and not model["kill_switch_active"]):
                    verb, body = ("disable", {"reason": "other"}) if wanted else ("enable", None)
                    self._call("POST", f"{MODELS}/{model['id']}/{verb}", body)
        self._killed = models

    def decide(self, case: Case) -> Mapping[str, Any]:
        """Returns the decision on a case, in its JSON form."""
        self._switch(case.killed)
        decision: Mapping[str, Any] = self._call(
            "POST", "/v1/decide", case.request, self._tenant_for(case)
        )
        return decision

    def faults(self, case: Case) -> list[str]:
        """Returns what is wrong with the decision on a case; empty if nothing is."""
        return list(self._faults(case, self.decide(case)))

    def _faults(self, case: Case, decision: Mapping[str, Any]) -> Iterator[str]:
        expect, outcome = case.expect, decision["outcome"]
        if outcome not in expect.get("outcome", (outcome,)):
            yield f"outcome {outcome}, not {' or '.join(expect['outcome'])}"
        if "allowed" in expect and decision["allowed"] is not expect["allowed"]:
            yield f"allowed {decision['allowed']}"
        if "reason" in expect and decision["reason_code"] != expect["reason"]:
            yield f"reason {decision['reason_code']}, not {expect['reason']}"
        if "risk" in expect and (decision["risk"]["score"] >= RISKY) is not expect["risk"]:
            yield f"risk {decision['risk']['score']}"
        if "mask" in expect and _masked(decision) != {each.lower() for each in expect["mask"]}:
            yield f"masks {_masked(decision)}, not {expect['mask']}"
        if "seen" in expect and _is_seen(decision) is not expect["seen"]:
            yield f"seen {_is_seen(decision)}"
        if "security" in expect:
            ids = [each["policy_id"] for each in decision["matches"]]
            found = [each for each in ids if each in self._security]
            if bool(found) is not expect["security"]:
                yield f"security policies that match: {found}"
        if outcome in PASSED:
            yield from _leaks(case.request, decision, expect)


def _masked(decision: Mapping[str, Any]) -> set[str]:
    return {name.lower() for each in decision["obligations"] for name in each.get("fields") or ()}


def _is_seen(decision: Mapping[str, Any]) -> bool:
    """Whether anything but personal data and secrets matched, warned or changed the outcome."""
    others = [
        each
        for each in decision["matches"]
        if each["layer"] != "dlp"
        and not str(each["policy_id"]).startswith(("sys_pii", "sys_secret"))
    ]
    return bool(others or decision["warnings"] or decision["outcome"] != "ALLOW")


def _leaks(
    request: Mapping[str, Any], decision: Mapping[str, Any], expect: Mapping[str, Any]
) -> Iterator[str]:
    secrets = expect.get("gone", ())
    text = (request.get("content") or {}).get("text")
    redacted_text = decision.get("redacted_text")
    arguments, redacted = request.get("arguments"), decision.get("redacted_arguments")
    passed = [
        *strings(text if redacted_text is None else redacted_text),
        *strings(arguments if redacted is None else redacted),
    ]
    for secret in secrets:
        rests = {secret[at : at + LEFT] for at in range(max(1, len(secret) - LEFT + 1))}
        if any(rest in each for each in passed for rest in rests):
            yield f"a part of {secret!r} is left"
    if expect.get("intact"):
        if redacted_text is not None:
            yield from changes(text, redacted_text, secrets, "text")
        if redacted is not None:
            yield from changes(arguments, redacted, secrets, "arguments")


def strings(value: Any) -> Iterator[str]:
    """Yields the strings, keys and numbers in a JSON value, and in JSON in its strings."""
    if isinstance(value, str):
        yield value
        inner = parsed(value)
        if inner is not None:
            yield from strings(inner)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif value is not None:
        yield json.dumps(value)


def parsed(text: str) -> Any:
    """Returns the object or list that a string holds as JSON; None if it holds none."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, (dict, list)) else None


def changes(before: Any, after: Any, secrets: Iterable[str], place: str) -> Iterator[str]:
    """Yields what a redaction changed although it holds no part of a secret."""
    if isinstance(before, str) and isinstance(after, str):
        yield from _text_changes(before, after, secrets, place)
    elif isinstance(before, dict) and isinstance(after, dict):
        if set(before) != set(after):
            yield f"{place}: the keys changed"
            return
        for key in before:
            yield from changes(before[key], after[key], secrets, f"{place}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from changes(old, new, secrets, f"{place}[{index}]")
    elif (type(before), before) != (type(after), after):
        text = json.dumps(before)
        if not any(secret in text or text in secret for secret in secrets):
            yield f"{place}: {before!r} became {after!r}"


def _text_changes(before: str, after: str, secrets: Iterable[str], place: str) -> Iterator[str]:
    if before == after:
        return
    inner = parsed(before)
    if inner is not None:
        changed = parsed(after)
        if changed is None:
            yield f"{place}: is no longer JSON: {after!r}"
        else:
            yield from changes(inner, changed, secrets, place)
    elif not any(secret in before for secret in secrets):
        yield f"{place}: {before!r} became {after!r}"


def main() -> int:
    """Prints the table. Returns 1 if a case fails, else 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.blind_spots", description=__doc__)
    parser.add_argument("--rows", action="store_true", help="print each case that fails, and why")
    parser.add_argument("--kind", help="only the cases of this kind")
    options = parser.parse_args()
    cases = [
        *read_cases("blind_spots.jsonl"),
        *read_cases("mentions.jsonl"),
        *kind_cases(),
        *injection_cases(),
    ]
    if options.kind:
        cases = [each for each in cases if each.kind == options.kind]
    total: Counter[tuple[str, bool]] = Counter()
    right: Counter[tuple[str, bool]] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        pdp_server(Path(folder)) as server,
        httpx2.Client(base_url=server.http_url, trust_env=False, timeout=60) as client,
    ):
        runner = Runner(client)
        for case in sorted(cases, key=lambda each: each.killed):
            faults = runner.faults(case)
            key = (case.kind, case.positive)
            total[key] += 1
            right[key] += not faults
            if faults and options.rows:
                request = json.dumps(case.request, ensure_ascii=False)
                print(f"{case.kind} {'+' if case.positive else '-'} {request[:300]}")
                print(f"    {case.why}: {'; '.join(faults)}")
    print(f"{'kind':58} {'seen':>11} {'left alone':>11}")
    for kind in dict.fromkeys(case.kind for case in cases):
        both = ((kind, True), (kind, False))
        print(f"{kind:58}", *(f"{right[each]:4} of {total[each]:<4}" for each in both))
    failing = {kind for kind, positive in total if right[kind, positive] < total[kind, positive]}
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
