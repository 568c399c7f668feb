"""What `pdp conditions check` and `pdp conditions eval` do."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from pdp.cli.asking import Misused, ending, message_of, read_source, request_from
from pdp.cli.exit_codes import Exit
from pdp.cli.report import Report, show
from pdp.domain.tenant import DEFAULT_TENANT
from pdp.engine.conditions import compile_condition
from pdp.messages.conversion import to_request

if TYPE_CHECKING:
    from pdp._gen.pdp.v1.decide_pb2 import DecideRequest
    from pdp.cli.options import RequestOptions
    from pdp.domain.request import Request
    from pdp.engine.conditions import Condition, Explanation, Truth

_HEADLINES: Final[dict[Truth, tuple[str, str]]] = {
    True: ("true (matches)", "bold green"),
    False: ("false (does not match)", "bold red"),
    None: ("unknown (does not match)", "bold yellow"),
}


def check(condition: str | None, file: str | None, timezone: str, *, as_json: bool) -> None:
    """Shows what a condition asks for, and exits with the codes that --help lists."""
    with ending(as_json=as_json):
        compiled = compile_condition(_source(condition, file), timezone)
    if as_json:
        _print(
            {
                "valid": True,
                "condition": compiled.source,
                "timezone": compiled.timezone,
                "names": list(compiled.names),
                "warnings": list(compiled.warnings),
            }
        )
    else:
        show(_of_condition(compiled))
    sys.exit(Exit.OK)


def evaluate(
    condition: str | None,
    file: str | None,
    timezone: str,
    request: RequestOptions,
    *,
    as_json: bool,
) -> None:
    """Shows what a condition comes to, and exits with the codes that --help lists."""
    with ending(as_json=as_json):
        if file == "-" == request.request:
            raise Misused("standard input is either the condition or the request")
        compiled = compile_condition(_source(condition, file), timezone)
        explanation = compiled.explain(_request(request))
    if as_json:
        _print(
            {
                "result": explanation.truth,
                "matches": explanation.truth is True,
                "unknown": list(explanation.unknown),
                "warnings": list(compiled.warnings),
            }
        )
    else:
        show(_of_explanation(explanation, compiled))
    sys.exit(Exit.OK if explanation.truth is True else Exit.NO)


def _source(condition: str | None, file: str | None) -> str:
    if (condition is None) == (file is None):
        raise Misused("give the condition itself, or a file of it with --file")
    if condition is not None:
        return condition
    try:
        return read_source(cast("str", file), "--file").decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Misused(f"--file {file} is not UTF-8") from None


def _request(options: RequestOptions) -> Request:
    if options.request is None:  # then nothing need be given: a condition may ask for nothing
        options = replace(options, direction=options.direction or "input")
    body = request_from(options)
    message = cast("DecideRequest", message_of("Decide", body))
    return to_request(message, message.tenant_id or DEFAULT_TENANT, message.request_id)


def _of_condition(condition: Condition) -> Report:
    facts = [("time zone", condition.timezone)]
    if condition.names:
        facts.append(("asks for", ", ".join(condition.names)))
    facts += [("warning", warning) for warning in condition.warnings]
    style = "bold yellow" if condition.warnings else "bold green"
    return Report("valid", style, facts)


def _of_explanation(explanation: Explanation, condition: Condition) -> Report:
    headline, style = _HEADLINES[explanation.truth]
    facts = [("unknown", reason) for reason in explanation.unknown]
    facts += [("warning", warning) for warning in condition.warnings]
    return Report(headline, style, facts)


def _print(answer: dict[str, Any]) -> None:
    print(json.dumps(answer, ensure_ascii=False, indent=2))
