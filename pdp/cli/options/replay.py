"""The options of `pdp replay`, and the request fields that they set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from pdp.cli.failures import UsageError
from pdp.cli.options.common import OverlayFile  # noqa: TC001 - read by typer
from pdp.cli.options.times import is_relative, parse_time

LOCAL: Final = "local"
SPARK: Final = "spark"
THIS_HOST: Final = "local[*]"
ENGINES: Final = (LOCAL, SPARK)


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
    records: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="Replay the records of an export (pdp audit export --format parquet): a directory,"
            " or a URL such as s3://BUCKET/PATH. Calls no server: the policies are those of the"
            " database.",
        ),
    ] = None
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|spark",
            help="What replays the records of --records: processes of this host, or Spark.",
        ),
    ] = LOCAL
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            max=1024,
            metavar="NUMBER",
            help="How many processes --engine local uses.  [default: one for each core]",
            show_default=False,
        ),
    ] = 0
    spark_master: Annotated[
        str,
        typer.Option(
            metavar="MASTER",
            help="The cluster of --engine spark, such as spark://HOST:7077, yarn or local[4].",
        ),
    ] = THIS_HOST
    results: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="Write the result of each record here, as Parquet. The same command goes on from"
            " there if it was interrupted. --engine spark needs it.",
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

    def check(self) -> None:
        """Checks that the options fit together.

        Raises:
            UsageError: they do not.
        """
        if self.engine not in ENGINES:
            raise UsageError(f"--engine {self.engine}: use {' or '.join(ENGINES)}")
        if self.records is None:
            given = {
                "--engine": self.engine != LOCAL,
                "--workers": self.workers,
                "--spark-master": self.spark_master != THIS_HOST,
                "--results": self.results,
            }
            for name in filter(given.get, given):
                raise UsageError(f"{name} goes with --records")
        elif self.requests is not None:
            raise UsageError("give --records or --requests, not both")
        elif self.engine == SPARK and self.results is None:
            raise UsageError("--engine spark writes its results to --results: name a place")
        elif self.results is not None and any(
            map(is_relative, (self.since or "", self.until or ""))
        ):
            raise UsageError(
                "with --results, give --since and --until as dates: otherwise each run selects"
                " other records, and none can go on"
            )

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
