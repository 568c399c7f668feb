"""`pdp simulate`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from pdp.cli.options import Json, RequestOptions, TargetOptions, spread

EPILOG: Final = """
\b
Exit codes:
  0   would be allowed
  1   would not be allowed: BLOCK, CANCEL or PROMPT
  2   these options make no sense together
  3   the request or the overlay is invalid
  4   the server, or its database, is not there to answer
  78  with --embedded: the database or the settings cannot be used

\b
An overlay holds candidates in the shape of the REST objects. Each replaces the policy of its id or
name, else it is added, for this request alone:
  static_policies:
    - {name: No rivals, pattern: "(?i)rival-product", action: block}
"""


@spread
def command(
    request: RequestOptions,
    target: TargetOptions,
    overlay: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Candidate policies, as YAML or JSON; - reads standard input."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask what would be decided, with candidate policies in force.

    Every layer answers. Nothing is written, consumed or recorded.
    """
    from pdp.cli.run.decide import simulate  # noqa: PLC0415 - protobuf, once there is work to do

    simulate(request, target, overlay, as_json=as_json)
