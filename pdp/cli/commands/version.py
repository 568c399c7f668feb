"""`pdp version`."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

EPILOG: Final = """
\b
Exit codes:
  0  always
  2  an option that does not exist
"""

_PACKAGES: Final = {
    "re2": "google-re2",
    "grpc": "grpcio",
    "protobuf": "protobuf",
    "protovalidate": "protovalidate",
}


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Show the version, and those of what decisions depend on."""
    import platform  # noqa: PLC0415 - for this command only
    import sqlite3  # noqa: PLC0415 - as above
    from importlib.metadata import version  # noqa: PLC0415 - as above

    from pdp.cli.banner import installed_version  # noqa: PLC0415 - as above

    versions = {
        "pdp": installed_version(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(package) for name, package in _PACKAGES.items()},
    }
    if as_json:
        print(json.dumps(versions))
    else:
        for name, number in versions.items():
            print(f"{name:<14}{number}")
