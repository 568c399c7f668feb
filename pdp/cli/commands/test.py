"""`pdp test`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.options import CredentialOptions, TlsOptions, spread

EPILOG: Final = """
\b
A file is one suite: policies, and cases that are judged under them.
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
  1   some failed
  2   a path does not exist, or a file is no suite; nothing was run
  4   the server is not there to answer
  78  the settings cannot be used
"""


@spread
def command(
    tls: TlsOptions,
    who: CredentialOptions,
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
            help="Run on the server at host:port or unix:PATH, each suite under a tenant of its "
            "own. Without it: in this process, on a database that is thrown away.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, help="How long a call may take.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Run decision cases: requests, and what they must come to.

    Each suite brings the policies that its cases are judged under.
    """
    from pdp.cli.run.test import test  # noqa: PLC0415 - the engine, once there are cases to run

    test(paths or [Path("tests/cases")], server, timeout, tls, who, as_json=as_json)
