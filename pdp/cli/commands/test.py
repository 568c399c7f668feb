"""`pdp test`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.options.common import Json  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread
from pdp.cli.options.target import CredentialOptions, TlsOptions  # noqa: TC001 - read by typer

EPILOG: Final = """
\b
A file is one suite: policies, and the cases that run under them.
  suite: Rivals
  policies:
    static_policies:
      - {name: No rivals, category: custom, pattern: "(?i)rival", action: block}
  cases:
    - name: a rival's name is blocked
      why: the pattern ignores case
      request: {content: {text: "Buy from RIVAL instead"}}
      expect: {outcome: BLOCK, matches: [No rivals]}

\b
Exit codes:
  0   all cases passed
  1   some cases failed
  2   a path does not exist, or a file is not a suite; nothing was run
  4   the server is not available
  78  the settings cannot be used
"""


@spread
def command(
    tls: TlsOptions,
    caller: CredentialOptions,
    *,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Files, or directories of YAML files.  [default: tests/cases]",
            show_default=False,
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run on the server at host:port or unix:PATH, each suite in its own new tenant. "
            "Without this option: run in this process, on a temporary database.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, help="How long a call may take.")
    ] = 10.0,
    as_json: Json = False,
) -> None:
    """Run decision cases: requests with their expected decisions.

    Each suite has the policies that its cases run under.
    """
    from pdp.cli.run.test import test  # noqa: PLC0415 - loads the engine

    test(paths or [Path("tests/cases")], server, timeout, tls, caller, as_json=as_json)
