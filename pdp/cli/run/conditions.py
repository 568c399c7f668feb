"""Runs `pdp conditions`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.input import read_bytes
from pdp.cli.output.report import Report, print_json, show
from pdp.cli.request import decide_request, to_message
from pdp.domain.tenant import DEFAULT_TENANT
from pdp.engine.conditions import compile_condition, refuse_unclear_names
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.findings import NOT_SCANNED
from pdp.messages.conversion import to_request

if TYPE_CHECKING:
    from pdp._gen.pdp.v1.decide_pb2 import DecideRequest
    from pdp.cli.options.request import RequestOptions
    from pdp.domain.request import Request
    from pdp.engine.conditions import Condition, Explanation, Truth

_HEADLINES: Final[dict[Truth, tuple[str, str]]] = {
    True: ("true (matches)", "bold green"),
    False: ("false (does not match)", "bold red"),
    None: ("unknown (does not match)", "bold yellow"),
}


def check(condition: str | None, file: str | None, timezone: str, *, as_json: bool) -> None:
    """Prints whether a condition is valid and which names it reads, and exits."""
    with exit_on_failure(as_json=as_json):
        compiled = compile_condition(_source(condition, file), timezone)
        refuse_unclear_names(compiled.source)
    if as_json:
        print_json(
            {
                "valid": True,
                "condition": compiled.source,
                "timezone": compiled.timezone,
                "names": list(compiled.names),
                "warnings": list(compiled.warnings),
            }
        )
    else:
        show(_condition_report(compiled))
    sys.exit(Exit.OK)


def evaluate(
    condition: str | None,
    file: str | None,
    timezone: str,
    request: RequestOptions,
    *,
    as_json: bool,
) -> None:
    """Prints the result of a condition for a request, and exits."""
    with exit_on_failure(as_json=as_json):
        if file == "-" == request.request:
            raise UsageError(
                "standard input is either the condition or the request; give one of them as a file"
            )
        compiled = compile_condition(_source(condition, file), timezone)
        asked = _request(request)
        explanation = compiled.explain(asked, NO_FACT_SOURCE.of(asked, NOT_SCANNED))
    if as_json:
        print_json(
            {
                "result": explanation.truth,
                "matches": explanation.truth is True,
                "unknown": list(explanation.unknown),
                "warnings": list(compiled.warnings),
            }
        )
    else:
        show(_result_report(explanation, compiled))
    sys.exit(Exit.OK if explanation.truth is True else Exit.NO)


def _source(condition: str | None, file: str | None) -> str:
    if (condition is None) == (file is None):
        raise UsageError("give either CONDITION or --file")
    if condition is not None:
        return condition
    try:
        return read_bytes(cast("str", file), "--file").decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(f"--file {file} is not UTF-8") from None


def _request(options: RequestOptions) -> Request:
    if options.request is None:  # an empty request is fine: a condition may read nothing
        options = replace(options, direction=options.direction or "input")
    body = decide_request(options)
    message = cast("DecideRequest", to_message("Decide", body))
    return to_request(message, message.tenant_id or DEFAULT_TENANT, message.request_id)


def _condition_report(condition: Condition) -> Report:
    facts = [("time zone", condition.timezone)]
    if condition.names:
        facts.append(("reads", ", ".join(condition.names)))
    facts += [("warning", warning) for warning in condition.warnings]
    style = "bold yellow" if condition.warnings else "bold green"
    return Report("valid", style, facts)


def _result_report(explanation: Explanation, condition: Condition) -> Report:
    headline, style = _HEADLINES[explanation.truth]
    facts = [("unknown", reason) for reason in explanation.unknown]
    facts += [("warning", warning) for warning in condition.warnings]
    return Report(headline, style, facts)
