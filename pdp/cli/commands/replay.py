"""`pdp replay`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import typer

from pdp.cli.options import Json, TargetOptions, spread

EPILOG: Final = """
\b
Exit codes:
  0   no decision would change
  1   some would
  2   these options make no sense together
  3   the overlay, the revision or a request is invalid
  4   the server, or its database, is not there to answer
  78  with --embedded: the database or the settings cannot be used

\b
A record holds no raw text. What was found then is held against the policies in question; patterns
that are new run on the redacted text, where the logging level keeps one; what could not be held
against a decision is listed under Gaps. To run every layer, replay requests of your own:
  pdp replay --requests requests.ndjson --overlay candidate.yaml
where each line of the file is a request as POST /v1/decide takes it.
"""


@dataclass(frozen=True)
class ReplayOptions:
    """What is replayed, and on what."""

    overlay: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Candidate policies, as YAML or JSON; - reads standard input."
        ),
    ] = None
    revision: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="NUMBER", help="Take the policies of this revision, not those in force."
        ),
    ] = None
    requests: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Judge these requests, one in JSON a line, instead of records."
        ),
    ] = None
    tenant: Annotated[
        str | None,
        typer.Option(metavar="TENANT", help="Whose decisions and policies.  [default: default]"),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Decisions from then on: 2026-02-26T03:00:00Z, or 90m, 24h, 7d for so long ago.",
        ),
    ] = None
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Decisions before then; as --since.")
    ] = None
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTCOME",
            help="Decisions that came to it, for instance BLOCK; may be repeated.",
        ),
    ] = None
    user: Annotated[str | None, typer.Option(metavar="ID", help="Decisions of this user.")] = None
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="Decisions for this customer.")
    ] = None
    policy: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Decisions that the policy of this id took part in."),
    ] = None
    examples: Annotated[
        int,
        typer.Option(
            min=0, max=20, metavar="NUMBER", help="How many decisions of each change are named."
        ),
    ] = 3


@spread
def command(what: ReplayOptions, target: TargetOptions, as_json: Json = False) -> None:
    """Tell what a change of policies would do to past decisions.

    How many would change, from what to what, which policies do it, and examples. Nothing is
    written.
    """
    from pdp.cli.run.replay import replay  # noqa: PLC0415 - protobuf, once there is work to do

    replay(what, target, as_json=as_json)
