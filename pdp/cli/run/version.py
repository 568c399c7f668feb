"""Runs `pdp version`."""

from __future__ import annotations

import json
import platform
import sqlite3
from importlib.metadata import version
from typing import Final

from pdp.cli.output.banner import installed_version

_PACKAGES: Final = {
    "re2": "google-re2",
    "grpc": "grpcio",
    "protobuf": "protobuf",
    "protovalidate": "protovalidate",
}


def show_versions(*, as_json: bool) -> None:
    """Prints the version of the product, and the versions of what decisions depend on."""
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
