"""`pdp conditions check` and `pdp conditions eval`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pdp.cli.options.common import Json  # noqa: TC001 - read by typer
from pdp.cli.options.request import RequestOptions  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread

_CHECK_EPILOG: Final = """
\b
Exit codes:
  0  the condition is valid
  2  the options do not fit together, or the file cannot be read
  3  the condition or the time zone is invalid; stderr shows the place

\b
Examples:
  pdp conditions check "batch_size > 100 AND target.sensitivity_level >= 3"
  pdp conditions check --file condition.txt --json
"""

_EVAL_EPILOG: Final = """
\b
Exit codes:
  0  true: the condition matches
  1  false or unknown: the condition does not match
  2  the options do not fit together, or a file cannot be read
  3  the condition, the time zone or the request is invalid

\b
Examples:
  pdp conditions eval "batch_size > 100" --context '{"batch_size": 200}'
  pdp conditions eval "arguments.sql LIKE 'DROP %'" --arg sql="DROP TABLE users"
  pdp conditions eval --file condition.txt --request request.json --timezone Europe/Berlin
"""

_Source = Annotated[
    str | None,
    typer.Argument(metavar="CONDITION", help="The condition.", show_default=False),
]
_File = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Read the condition from FILE, or from standard input if FILE is -.",
    ),
]
_Timezone = Annotated[
    str,
    typer.Option(metavar="NAME", help="The IANA time zone for hours, dates and weekdays."),
]


def _check(
    condition: _Source = None,
    file: _File = None,
    timezone: _Timezone = "UTC",
    as_json: Json = False,
) -> None:
    """Check a condition, and show which names it reads.

    The command applies the same checks as the policies API. It warns about parts that are unknown
    for every request, for example a text that is compared with a number.
    """
    from pdp.cli.run.conditions import check  # noqa: PLC0415 - loads the engine

    check(condition, file, timezone, as_json=as_json)


@spread
def _evaluate(
    request: RequestOptions,
    condition: _Source = None,
    file: _File = None,
    timezone: _Timezone = "UTC",
    as_json: Json = False,
) -> None:
    """Show the result of a condition for a request.

    The command names the parts that are unknown. The request comes from options, a JSON file or
    standard input, as in pdp decide. If it has no timestamp, its timestamp is now. No server is
    needed.
    """
    from pdp.cli.run.conditions import evaluate  # noqa: PLC0415 - as above

    evaluate(condition, file, timezone, request, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="conditions",
        help="Check and evaluate the conditions of custom rules. See docs/conditions.md.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("check", epilog=_CHECK_EPILOG)(_check)
    app.command("eval", epilog=_EVAL_EPILOG)(_evaluate)
    return typer.main.get_command(app)
