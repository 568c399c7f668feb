"""`pdp replay`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from pdp.cli.options.common import ApiJson  # noqa: TC001 - read by typer
from pdp.cli.options.replay import ReplayOptions  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread
from pdp.cli.options.target import TargetOptions  # noqa: TC001 - read by typer

EPILOG: Final = """
\b
Exit codes:
  0   no decision would change, and all decisions of the period were recorded
  1   some decisions would change
  2   the options do not fit together
  3   the overlay, the revision or a request is invalid
  4   the server or its database is not available; or the records of --records
      cannot be read, or the --results cannot be written
  5   no recorded decision would change, but some were not recorded; with
      --strict: some were not recorded
  78  with --embedded or --records: the database, the export or the settings
      cannot be used

\b
A decision record holds no raw text. The replay applies the policies to the findings in the record.
New patterns run on the redacted text, if the logging level keeps it. The report lists under Gaps
what could not be applied. To run every layer, replay your own requests:
  pdp replay --requests requests.ndjson --overlay candidate.yaml
Each line of the file is a request in the form of POST /v1/decide.

\b
Many records are replayed from an export, by all cores or on a Spark cluster:
  pdp audit export --format parquet --output records
  pdp replay --records records --overlay candidate.yaml --results results
  pdp replay --records s3://BUCKET/records --overlay candidate.yaml --engine spark
      --results s3://BUCKET/results
They need extras: pip install 'pdp[parquet]', or 'pdp[spark]'. See docs/replay-at-scale.md.
"""


@spread
def command(
    options: ReplayOptions,
    target: TargetOptions,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Fail if not all decisions of the period were recorded (exit code 5)."
        ),
    ] = False,
    as_json: ApiJson = False,
) -> None:
    """Show which past decisions other policies would change.

    The report says how many decisions would change, from which outcome to which, because of which
    policies, and gives examples. If some decisions of the period were not recorded, it says so
    first. Nothing is written but the --results.
    """
    from pdp.cli.run.replay import replay  # noqa: PLC0415 - loads protobuf

    replay(options, target, strict=strict, as_json=as_json)
