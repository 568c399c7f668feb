"""Runs `pdp simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.input import read_overlay
from pdp.cli.output.decision_report import simulation_report
from pdp.cli.request import decide_request
from pdp.cli.run.decide import call, finish
from pdp.cli.run.overlay_errors import overlay_errors

if TYPE_CHECKING:
    from pdp.cli.options.request import RequestOptions
    from pdp.cli.options.target import TargetOptions


def simulate(
    request: RequestOptions, target: TargetOptions, overlay: str | None, *, as_json: bool
) -> None:
    """Prints the decision with candidate policies, and exits with 0 if the request is allowed."""
    with exit_on_failure(as_json=as_json):
        if overlay == "-" == request.request:
            raise UsageError(
                "standard input is either the request or the overlay; give one of them as a file"
            )
        body: dict[str, Any] = {"request": decide_request(request)}
        if overlay is not None:
            body["overlay"] = read_overlay(overlay)
        with overlay_errors(overlay):
            response = call("Simulate", body, target)
    finish(response, response["decision"], simulation_report, as_json=as_json)
