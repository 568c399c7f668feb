"""Runs `pdp replay`: calls the RPC page by page, shows the progress, and prints one report."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.connect import connect
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.input import parse_json, read_bytes, read_overlay
from pdp.cli.output.progress import progress_bar
from pdp.cli.output.replay_report import add_estimates, add_samples, replay_report
from pdp.cli.output.report import print_json, show
from pdp.cli.request import to_message
from pdp.cli.run.overlay_errors import overlay_errors
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.cli.options.replay import ReplayOptions
    from pdp.cli.options.target import TargetOptions
    from pdp.client import Client

_RECORDS_PER_PAGE: Final = 2000
_REQUESTS_PER_PAGE: Final = 500
_STRICT: Final = (
    "not all decisions of the period were recorded. Raise the logging level of the org policy, or"
    " replay a period in which all were (--since, --until)."
)


def replay(options: ReplayOptions, target: TargetOptions, *, strict: bool, as_json: bool) -> None:
    """Prints which decisions would change, and exits with 0 if none would.

    Args:
        options: what to replay.
        target: the server.
        strict: fail if not all decisions of the period were recorded.
        as_json: print JSON.
    """
    with exit_on_failure(as_json=as_json):
        if options.overlay is None and options.revision is None:
            raise UsageError("there are no policies to compare with: give --overlay or --revision")
        options.check()
        if options.overlay == "-" == options.requests:
            raise UsageError(
                "standard input is either the requests or the overlay; give one of them as a file"
            )
        body = options.body()
        if options.overlay is not None:
            body["overlay"] = read_overlay(options.overlay)
        total: dict[str, Any] = {}
        with overlay_errors(options.overlay), progress_bar("Replaying") as show_progress:
            if options.records is not None:
                pages = _replay_export(body, options, target, show_progress)
            else:
                pages = _call_pages(body, options, target)
            for page in pages:
                _add(total, page, options.examples)
                show_progress(page["progress"])
    add_estimates(total)
    if as_json:
        print_json(total)
    else:
        show(replay_report(total))
    is_complete = total.get("coverage", {}).get("complete", True)
    if strict and not is_complete:
        print(f"Error: {_STRICT}", file=sys.stderr)
        sys.exit(Exit.INCOMPLETE)
    if total["changed"]:
        sys.exit(Exit.NO)
    sys.exit(Exit.OK if is_complete else Exit.INCOMPLETE)


def _replay_export(
    body: dict[str, Any],
    options: ReplayOptions,
    target: TargetOptions,
    show_progress: Callable[[float], None],
) -> Iterator[dict[str, Any]]:
    """Yields the result of a replay of an export, as one page."""
    from pdp.cli.run.replay_export import replay_records  # noqa: PLC0415 - loads Arrow

    yield encode(replay_records(to_message("Replay", body), options, target, show_progress))


def _call_pages(
    body: dict[str, Any], options: ReplayOptions, target: TargetOptions
) -> Iterator[dict[str, Any]]:
    """Yields the pages that a server, or a database, answers with."""
    with connect(target) as client:
        if options.requests:
            yield from _replay_requests(client, body, options.requests)
        else:
            yield from _replay_records(client, body)


def _replay_records(client: Client, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = _call(client, {**body, "limit": _RECORDS_PER_PAGE, "cursor": cursor})
        yield page
        cursor = page["next_cursor"]
        if not cursor:
            return


def _replay_requests(client: Client, body: dict[str, Any], file: str) -> Iterator[dict[str, Any]]:
    if body["recorded"]:
        raise UsageError("--requests cannot be combined with options that select records")
    lines = read_bytes(file, "--requests").splitlines()
    place = f"--requests {file}, line"
    requests = [parse_json(line, f"{place} {n}") for n, line in enumerate(lines, 1) if line.strip()]
    if not requests:
        raise UsageError(f"--requests {file} holds no request")
    for start in range(0, len(requests), _REQUESTS_PER_PAGE):
        part = requests[start : start + _REQUESTS_PER_PAGE]
        page = _call(client, {**body, "requests": part})
        page["progress"] = min(1.0, (start + len(part)) / len(requests))
        yield page


def _call(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    return encode(client.call("Replay", to_message("Replay", body)).message)


def _add(total: dict[str, Any], page: dict[str, Any], max_examples: int) -> None:
    """Adds a page to the total, which has the form of a page."""
    if "coverage" in page:
        total["coverage"] = page["coverage"]
    for name in ("replayed", "changed", "on_other_policies"):
        total[name] = total.get(name, 0) + page[name]
    for name in ("not_replayed", "gaps"):
        counts = Counter({each["reason"]: each["count"] for each in total.get(name, ())})
        counts.update({each["reason"]: each["count"] for each in page[name]})
        total[name] = [{"reason": key, "count": count} for key, count in counts.most_common()]
    add_samples(total, page)
    changes = {(each["from"], each["to"]): each for each in total.get("changes", ())}
    for each in page["changes"]:
        change = changes.setdefault(
            (each["from"], each["to"]),
            {"from": each["from"], "to": each["to"], "count": 0, "policies": [], "examples": []},
        )
        add_samples(change, each)
        change["count"] += each["count"]
        change["examples"] = [*change["examples"], *each["examples"]][:max_examples]
        change["policies"] = _add_policies(change["policies"], each["policies"])
    total["changes"] = sorted(changes.values(), key=lambda each: -each["count"])


def _add_policies(
    policies: list[dict[str, Any]], more: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    by_key: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in (*policies, *more):
        actions = (each.get("from_action", ""), each.get("to_action", ""))
        key = (each["layer"], each["policy_id"], each["effect"], *actions)
        count = by_key[key]["count"] if key in by_key else 0
        by_key[key] = {**each, "count": count + each["count"]}
    return sorted(by_key.values(), key=lambda each: -each["count"])
