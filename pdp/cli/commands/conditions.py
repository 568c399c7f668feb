"""`pdp conditions check` and `pdp conditions eval`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pdp.cli.options import RequestOptions, spread

_CHECK_EPILOG: Final = """
\b
Exit codes:
  0  the condition can be used
  2  these options make no sense together, or the file cannot be read
  3  the condition, or the time zone, is refused; stderr points to the place

\b
Examples:
  pdp conditions check "batch_size > 100 AND target.sensitivity_level >= 3"
  pdp conditions check --file condition.txt --json
"""

_EVAL_EPILOG: Final = """
\b
Exit codes:
  0  true: the condition matches
  1  false or unknown: it does not
  2  these options make no sense together, or a file cannot be read
  3  the condition, the time zone or the request is refused

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
    typer.Option(metavar="FILE", help="Read the condition from FILE; - reads standard input."),
]
_Timezone = Annotated[
    str,
    typer.Option(metavar="NAME", help="The IANA time zone that hours, dates and the like are in."),
]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def _check(
    condition: _Source = None,
    file: _File = None,
    timezone: _Timezone = "UTC",
    as_json: _Json = False,
) -> None:
    """Check a condition as policies do, and show what it asks for.

    What in it is unknown whatever the request is, a text compared with a number for instance, is
    warned of.
    """
    from pdp.cli.run.conditions import check  # noqa: PLC0415 - the engine, once there is work to do

    check(condition, file, timezone, as_json=as_json)


@spread
def _evaluate(
    request: RequestOptions,
    condition: _Source = None,
    file: _File = None,
    timezone: _Timezone = "UTC",
    as_json: _Json = False,
) -> None:
    """Show what a condition comes to for a request.

    What of it is unknown is named. The request comes from options, from a JSON file or from
    standard input, as with pdp decide. Its timestamp is now where it gives none. Nothing is asked
    of a server.
    """
    from pdp.cli.run.conditions import evaluate  # noqa: PLC0415 - as above

    evaluate(condition, file, timezone, request, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="conditions",
        help="Check and try the conditions of custom rules. docs/conditions.md describes them.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("check", epilog=_CHECK_EPILOG)(_check)
    app.command("eval", epilog=_EVAL_EPILOG)(_evaluate)
    return typer.main.get_command(app)
