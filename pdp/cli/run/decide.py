"""Runs `pdp decide`, and has the steps that `pdp simulate` shares with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pdp.cli.connect import connect
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import exit_on_failure
from pdp.cli.output.decision_report import decision_report
from pdp.cli.output.report import Report, print_json, show
from pdp.cli.request import decide_request, to_message
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.cli.options.request import RequestOptions
    from pdp.cli.options.target import TargetOptions


def decide(request: RequestOptions, target: TargetOptions, *, as_json: bool) -> None:
    """Prints the decision on a request, and exits with 0 if the request is allowed."""
    with exit_on_failure(as_json=as_json):
        response = call("Decide", decide_request(request), target)
    finish(response, response, decision_report, as_json=as_json)


def call(rpc_name: str, body: dict[str, Any], target: TargetOptions) -> dict[str, Any]:
    """Returns the response of an RPC in JSON form."""
    message = to_message(rpc_name, body)
    with connect(target, create=True) as client:
        return encode(client.call(rpc_name, message).message)


def finish(
    response: dict[str, Any],
    decision: dict[str, Any],
    report: Callable[[dict[str, Any]], Report],
    *,
    as_json: bool,
) -> None:
    """Prints a response, and exits with 0 if its decision allows the request."""
    if as_json:
        print_json(response)
    else:
        show(report(response))
    sys.exit(Exit.OK if decision["allowed"] else Exit.NO)
