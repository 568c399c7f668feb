"""The options of `pdp replay`, and the request fields that they set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from pdp.cli.options.common import OverlayFile  # noqa: TC001 - read by typer
from pdp.cli.options.times import parse_time


@dataclass(frozen=True)
class ReplayOptions:
    """Which decisions or requests to replay, and on which policies."""

    overlay: OverlayFile = None
    revision: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="Use the policies of this revision instead of those in force.",
        ),
    ] = None
    requests: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Replay these requests, one JSON object a line, instead of records.",
        ),
    ] = None
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="TENANT",
            help="The tenant whose decisions and policies to use.  [default: default]",
        ),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Decisions made at this time or later: 2026-02-26T03:00:00Z, or 90m, 24h or 7d "
            "for that long ago.",
        ),
    ] = None
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Decisions made before this time, in the same form as --since."
        ),
    ] = None
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTCOME",
            help="Decisions with this outcome, for example BLOCK; may be repeated.",
        ),
    ] = None
    user: Annotated[str | None, typer.Option(metavar="ID", help="Decisions of this user.")] = None
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="Decisions for this customer.")
    ] = None
    policy: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Decisions in which the policy with this id took part."),
    ] = None
    examples: Annotated[
        int,
        typer.Option(
            min=0, max=20, metavar="NUMBER", help="How many example decisions to show per change."
        ),
    ] = 3

    def body(self) -> dict[str, Any]:
        """Returns the request fields that these options set, without those read from files.

        Raises:
            UsageError: a time cannot be read.
        """
        record_filter = {
            "since": parse_time(self.since or "", "--since"),
            "until": parse_time(self.until or "", "--until"),
            "outcomes": self.outcome,
            "user_id": self.user,
            "customer_id": self.customer,
            "policy_id": self.policy,
        }
        fields = {
            "tenant_id": self.tenant,
            "revision": self.revision,
            "recorded": {name: value for name, value in record_filter.items() if value},
            "examples": self.examples,
        }
        return {name: value for name, value in fields.items() if value is not None}
