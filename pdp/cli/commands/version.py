"""`pdp version`."""

from __future__ import annotations

from typing import Final

from pdp.cli.options.common import Json  # noqa: TC001 - read by typer

EPILOG: Final = """
\b
Exit codes:
  0  always
  2  the option does not exist
"""


def command(as_json: Json = False) -> None:
    """Show the versions of pdp and of its main dependencies."""
    from pdp.cli.run.version import show_versions  # noqa: PLC0415 - loaded only when it runs

    show_versions(as_json=as_json)
