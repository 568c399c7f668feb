"""`pdp adapters`: the mapping file of gateways and webhooks."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pdp.cli.options.common import Json  # noqa: TC001 - read by typer

_CHECK_EPILOG: Final = """
\b
Exit codes:
  0  the file is valid
  2  the file cannot be read
  3  the file has faults; stderr shows each with its line and what to write

\b
The file says which route carries which payload, where the tenant and the user come from, and what
refusals and webhooks look like. PDP_ADAPTERS_FILE names it. A small one:
  version: 1
  routes:
    - name: chat
      match: {path_prefix: /v1/chat/completions, methods: [POST]}
      request_payload: openai.chat_completions
      context:
        tenant: {header: x-tenant, required: true}
        user: {jwt_claim: sub, header: authorization}
      refusal: openai

\b
Examples:
  pdp adapters check adapters.yaml
  pdp adapters check - --json < adapters.yaml
"""

_SCHEMA_EPILOG: Final = """
\b
Exit codes:
  0  done

\b
Example:
  pdp adapters schema > pdp-adapters.schema.json
"""

_File = Annotated[str, typer.Argument(metavar="FILE", help="The YAML file; - for standard input.")]


def _check(file: _File, as_json: Json = False) -> None:
    """Check a mapping file, and show its routes and webhooks.

    A server refuses to start with a file that has faults. No server is needed.
    """
    from pdp.cli.run.adapters import check  # noqa: PLC0415 - loads the formats of payloads

    check(file, as_json=as_json)


def _schema() -> None:
    """Print the JSON schema of mapping files, for editors."""
    from pdp.cli.run.adapters import print_schema  # noqa: PLC0415 - as above

    print_schema()


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="adapters",
        help="Check the mapping file of gateways and webhooks. See docs/integrations/webhooks.md.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("check", epilog=_CHECK_EPILOG)(_check)
    app.command("schema", epilog=_SCHEMA_EPILOG)(_schema)
    return typer.main.get_command(app)
