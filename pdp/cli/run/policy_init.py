"""Runs `pdp policies init` and `pdp policies schema`."""

from __future__ import annotations

import sys
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.errors import ConfigError
from pdp.policy_files.text import SCHEMA_FILE

if TYPE_CHECKING:
    from pathlib import Path

_FILES: Final = {
    "policies.yaml": "starter/policies.yaml",
    "tests/policies_test.yaml": "starter/policies_test.yaml",
    SCHEMA_FILE: "schema.json",
}
"""The files of a starting set, with their sources in the package."""


def init(directory: Path) -> None:
    """Writes a starting set: a policy file, its tests and the schema."""
    with exit_on_failure(as_json=False):
        present = [name for name in _FILES if (directory / name).exists()]
        if present:
            raise UsageError(f"{directory / present[0]} already exists; name another directory")
        for name, source in _FILES.items():
            file = directory / name
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(_content(source))
            except OSError as error:
                raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
            print(file)
    sys.exit(Exit.OK)


def print_schema() -> None:
    """Prints the JSON Schema of policy files."""
    sys.stdout.write(_content("schema.json").decode())


def _content(source: str) -> bytes:
    return (files("pdp.policy_files") / source).read_bytes()
