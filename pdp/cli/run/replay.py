"""What `pdp replay` does: page by page, with its progress, then all of it in one table."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.asking import (
    Misused,
    caller_for,
    ending,
    message_of,
    parsed,
    read_overlay,
    read_source,
)
from pdp.cli.audit_options import moment
from pdp.cli.exit_codes import Exit
from pdp.cli.report import Report, Table, show
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.cli.commands.replay import ReplayOptions
    from pdp.cli.options import TargetOptions
    from pdp.client import Client

_RECORDS_A_PAGE: Final = 2000
_REQUESTS_A_PAGE: Final = 500


def replay(what: ReplayOptions, target: TargetOptions, *, as_json: bool) -> None:
    """Shows what would change, and exits with its code."""
    with ending(as_json=as_json):
        if what.overlay is None and what.revision is None:
            raise Misused("nothing to compare with: give --overlay or --revision")
        if what.overlay == "-" == what.requests:
            raise Misused("standard input is either the requests or the overlay")
        body = _body(what)
        pages = _of_requests if what.requests else _of_records
        whole: dict[str, Any] = {}
        with caller_for(target) as caller, _progress() as show_progress:
            for page in pages(caller, body, what):
                _add(whole, page, what.examples)
                show_progress(page["progress"])
    if as_json:
        print(json.dumps(whole, ensure_ascii=False, indent=2))
    else:
        show(_report(whole))
    sys.exit(Exit.NO if whole["changed"] else Exit.OK)


def _body(what: ReplayOptions) -> dict[str, Any]:
    recorded = {
        "since": moment(what.since or "", "--since"),
        "until": moment(what.until or "", "--until"),
        "outcomes": what.outcome,
        "user_id": what.user,
        "customer_id": what.customer,
        "policy_id": what.policy,
    }
    body = {
        "tenant_id": what.tenant,
        "revision": what.revision,
        "recorded": {name: value for name, value in recorded.items() if value},
        "examples": what.examples,
    }
    if what.overlay is not None:
        body["overlay"] = read_overlay(what.overlay)
    return {name: value for name, value in body.items() if value is not None}


def _of_records(
    caller: Client, body: dict[str, Any], what: ReplayOptions
) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = _ask(caller, {**body, "limit": _RECORDS_A_PAGE, "cursor": cursor})
        yield page
        cursor = page["next_cursor"]
        if not cursor:
            return


def _of_requests(
    caller: Client, body: dict[str, Any], what: ReplayOptions
) -> Iterator[dict[str, Any]]:
    if body["recorded"]:
        raise Misused("--requests are not recorded decisions: leave the options that select those")
    lines = read_source(what.requests or "-", "--requests").splitlines()
    place = f"--requests {what.requests}, line"
    requests = [parsed(line, f"{place} {n}") for n, line in enumerate(lines, 1) if line.strip()]
    if not requests:
        raise Misused(f"--requests {what.requests} holds no request")
    for start in range(0, len(requests), _REQUESTS_A_PAGE):
        part = requests[start : start + _REQUESTS_A_PAGE]
        page = _ask(caller, {**body, "requests": part})
        page["progress"] = min(1.0, (start + len(part)) / len(requests))
        yield page


def _ask(caller: Client, body: dict[str, Any]) -> dict[str, Any]:
    return encode(caller.call("Replay", message_of("Replay", body)).message)


def _add(whole: dict[str, Any], page: dict[str, Any], examples: int) -> None:
    """Adds a page to the whole, which comes out in the shape of a page."""
    for name in ("replayed", "changed", "on_other_policies"):
        whole[name] = whole.get(name, 0) + page[name]
    for name in ("not_replayed", "gaps"):
        counts = Counter({each["reason"]: each["count"] for each in whole.get(name, ())})
        counts.update({each["reason"]: each["count"] for each in page[name]})
        whole[name] = [{"reason": key, "count": count} for key, count in counts.most_common()]
    changes = {(each["from"], each["to"]): each for each in whole.get("changes", ())}
    for each in page["changes"]:
        known = changes.setdefault(
            (each["from"], each["to"]), {**each, "count": 0, "policies": [], "examples": []}
        )
        known["count"] += each["count"]
        known["examples"] = [*known["examples"], *each["examples"]][:examples]
        known["policies"] = _policies(known["policies"], each["policies"])
    whole["changes"] = sorted(changes.values(), key=lambda each: -each["count"])


def _policies(known: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_key: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in (*known, *more):
        key = (each["layer"], each["policy_id"], each["effect"])
        count = by_key[key]["count"] if key in by_key else 0
        by_key[key] = {**each, "count": count + each["count"]}
    return sorted(by_key.values(), key=lambda each: -each["count"])


def _report(whole: dict[str, Any]) -> Report:
    changed, replayed = whole["changed"], whole["replayed"]
    facts = [("judged again", str(replayed))]
    if whole["on_other_policies"]:
        facts.append(("decided on other policies", str(whole["on_other_policies"])))
    return Report(
        headline=f"{changed} of {replayed} decisions would change",
        style="bold yellow" if changed else "bold green",
        facts=facts,
        tables=[
            Table(
                "Changes",
                ("from", "to", "decisions"),
                [[each["from"], each["to"], str(each["count"])] for each in whole["changes"]],
            ),
            Table(
                "Policies",
                ("from", "to", "layer", "policy", "name", "effect", "decisions"),
                [
                    [change["from"], change["to"], *_policy_row(policy)]
                    for change in whole["changes"]
                    for policy in change["policies"]
                ],
            ),
            Table(
                "Examples",
                ("from", "to", "decision", "time", "message"),
                [
                    [
                        change["from"],
                        change["to"],
                        each["decision_id"],
                        each["time"],
                        each["message"],
                    ]
                    for change in whole["changes"]
                    for each in change["examples"]
                ],
            ),
            _counts("Not judged again", whole["not_replayed"]),
            _counts("Gaps", whole["gaps"]),
        ],
    )


def _policy_row(policy: dict[str, Any]) -> list[str]:
    keys = ("layer", "policy_id", "name", "effect")
    return [*(policy[key] for key in keys), str(policy["count"])]


def _counts(title: str, counts: list[dict[str, Any]]) -> Table:
    rows = [[each["reason"], str(each["count"])] for each in counts]
    return Table(title, ("reason", "decisions"), rows)


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """Gives a function that shows how far the work is, on a terminal alone."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second, for terminals only
    from rich.progress import Progress  # noqa: PLC0415 - as above

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Judging again", total=1.0)
        yield lambda done: progress.update(task, completed=done)
