"""`pdp models list|off|on`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pdp.cli.options.common import ApiJson  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread
from pdp.cli.options.target import TargetOptions  # noqa: TC001 - read by typer

_EXITS: Final = """\
\b
Exit codes:
  0   done
  2   the options do not fit together
  3   a value is invalid, or the catalog does not have the model
  4   the server or its database is not available
  78  with --embedded: the database or the settings cannot be used
"""

_LIST_EPILOG: Final = f"""{_EXITS}
\b
Examples:
  pdp models list
  pdp models list --provider openai
"""

_OFF_EPILOG: Final = f"""{_EXITS}
\b
Examples:
  pdp models off openai/gpt-4o --reason security_event
  pdp models off gpt-4o --provider openai --reason maintenance --note INC-4711
"""

_ON_EPILOG: Final = f"""{_EXITS}
\b
Example:
  pdp models on openai/gpt-4o
"""

_Model = Annotated[
    str, typer.Argument(metavar="[PROVIDER/]MODEL", help="The model, as in pdp models list.")
]
_Provider = Annotated[
    str, typer.Option(metavar="NAME", help="The provider, if the name of the model has none.")
]
_Note = Annotated[
    str, typer.Option(metavar="TEXT", help="A text for the change log, such as a ticket.")
]
_REASONS: Final = "maintenance|cost_runaway|security_event|other"


@spread
def _list(
    target: TargetOptions,
    provider: Annotated[
        str, typer.Option(metavar="NAME", help="Only the models of this provider.")
    ] = "",
    tier: Annotated[
        str, typer.Option(metavar="haiku|sonnet|opus", help="Only the models of this tier.")
    ] = "",
    as_json: ApiJson = False,
) -> None:
    """List the models of the catalog, and which are switched off."""
    from pdp.cli.run.models import list_models  # noqa: PLC0415 - loads protobuf

    list_models(target, provider, tier, as_json=as_json)


@spread
def _off(
    model: _Model,
    target: TargetOptions,
    *,
    reason: Annotated[str, typer.Option(metavar=_REASONS, help="Why it is switched off.")],
    provider: _Provider = "",
    note: _Note = "",
    as_json: ApiJson = False,
) -> None:
    """Switch a model off for all tenants: the kill switch.

    The next request for the model is stopped. The name must be one of the catalog; if it is not,
    the error suggests names.
    """
    from pdp.cli.run.models import switch_off  # noqa: PLC0415 - as above

    body = {"provider": provider, "model": model, "reason": reason, "note": note}
    switch_off(target, body, as_json=as_json)


@spread
def _on(
    model: _Model,
    target: TargetOptions,
    provider: _Provider = "",
    note: _Note = "",
    as_json: ApiJson = False,
) -> None:
    """Switch a model on again."""
    from pdp.cli.run.models import switch_on  # noqa: PLC0415 - as above

    switch_on(target, {"provider": provider, "model": model, "note": note}, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="models",
        help="List models, and switch them off and on (the kill switch).",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("list", epilog=_LIST_EPILOG)(_list)
    app.command("off", epilog=_OFF_EPILOG)(_off)
    app.command("on", epilog=_ON_EPILOG)(_on)
    return typer.main.get_command(app)
