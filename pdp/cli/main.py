"""The group of all commands. It imports the module of a command only when the command is used."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from pdp.environment import warn_of_variables

_COMMANDS: Final = (
    "serve",
    "decide",
    "simulate",
    "replay",
    "test",
    "conditions",
    "keys",
    "models",
    "audit",
    "approvals",
    "siem",
    "policies",
    "adapters",
    "mcp-proxy",
    "backup",
    "restore",
    "health",
    "version",
)

_EPILOG: Final = (
    "Start with: pdp serve --auth dev, then pdp decide --text 'DROP TABLE users'. "
    "The --help of each command lists its exit codes."
)


class _Group(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # Only the names: click suggests from them if a command does not exist.
        self.commands = dict.fromkeys(_COMMANDS)  # type: ignore[assignment] # see get_command

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override] # typer's own Context
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"pdp.cli.commands.{cmd_name.replace('-', '_')}")
        if hasattr(command, "group"):  # a command with subcommands
            return command.group()
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name, epilog=command.EPILOG)(command.command)
        return typer.main.get_command(single)


def application() -> typer.Typer:
    """Returns the whole command line."""
    app = typer.Typer(
        cls=_Group,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback(epilog=_EPILOG)(_group)
    return app


def run(arguments: list[str] | None = None) -> None:
    """Runs a command, and exits.

    The output is UTF-8 in every locale, because it is JSON and text in any language. If standard
    output is closed, only the exit code tells the result.

    Args:
        arguments: the arguments of the command line; None for those of the process.
    """
    if sys.stdout is None:
        sys.stdout = StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(encoding="utf-8")
    application()(arguments, prog_name="pdp")


def _show_version(requested: bool) -> None:
    if requested:
        from pdp.cli.output.banner import installed_version  # noqa: PLC0415 - only this option needs it

        print(f"pdp {installed_version()}")
        raise typer.Exit


def _group(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """The policy decision point: decides whether AI traffic is allowed."""
    if context.invoked_subcommand != "serve":  # it refuses unknown variables
        warn_of_variables(os.environ)
