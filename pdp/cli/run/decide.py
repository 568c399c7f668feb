"""What `pdp decide` and `pdp simulate` do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from pdp.cli.asking import (
    Misused,
    caller_for,
    ending,
    message_of,
    read_overlay,
    request_from,
)
from pdp.cli.decisions import of_decision, of_simulation
from pdp.cli.exit_codes import Exit
from pdp.cli.report import Report, show
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.cli.options import RequestOptions, TargetOptions


def decide(request: RequestOptions, target: TargetOptions, *, as_json: bool) -> None:
    """Shows the decision on a request, and exits with its code."""
    with ending(as_json=as_json):
        answer = _ask("Decide", request_from(request), target)
    _finish(answer, answer, of_decision, as_json=as_json)


def simulate(
    request: RequestOptions, target: TargetOptions, overlay: str | None, *, as_json: bool
) -> None:
    """Shows what would be decided on a request, and exits with its code."""
    with ending(as_json=as_json):
        if overlay == "-" == request.request:
            raise Misused("standard input is either the request or the overlay")
        body: dict[str, Any] = {"request": request_from(request)}
        if overlay is not None:
            body["overlay"] = read_overlay(overlay)
        answer = _ask("Simulate", body, target)
    _finish(answer, answer["decision"], of_simulation, as_json=as_json)


def _ask(name: str, body: dict[str, Any], target: TargetOptions) -> dict[str, Any]:
    message = message_of(name, body)
    with caller_for(target, make=True) as caller:
        return encode(caller.call(name, message).message)


def _finish(
    answer: dict[str, Any],
    decision: dict[str, Any],
    report: Callable[[dict[str, Any]], Report],
    *,
    as_json: bool,
) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        show(report(answer))
    sys.exit(Exit.OK if decision["allowed"] else Exit.NO)
