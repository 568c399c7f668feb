"""`pdp test`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.options.common import Json  # noqa: TC001 - read by typer
from pdp.cli.options.policy_target import ServerOptions  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread

EPILOG: Final = """
\b
A file is one suite: policies, and the cases that run under them.
  suite: Rivals
  policies:
    static_policies:
      - {name: No rivals, category: custom, pattern: "(?i)rival", action: block}
  cases:
    - request: {content: {text: "Buy from RIVAL instead"}}
      expect: {outcome: BLOCK, matches: [No rivals]}
With "policies_file: policies.yaml", the cases run under the policies of a policy file.

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
    target: ServerOptions,
    *,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Files, or directories of YAML files.  [default: tests/cases]",
            show_default=False,
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the results to FILE, as JUnit XML."),
    ] = None,
    github: Annotated[
        bool,
        typer.Option("--github", help="Also print failures as annotations of GitHub Actions."),
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Also show the policies that no case reached.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run decision cases: requests with their expected decisions.

    Each suite has the policies that its cases run under, or names a file with them. It runs in this
    process, on a temporary database; with --server, on a server, in its own new tenant.
    """
    from pdp.cli.run.test import Outputs, test  # noqa: PLC0415 - loads the engine

    outputs = Outputs(junit, github, coverage, as_json)
    test(paths or [Path("tests/cases")], target, outputs)
