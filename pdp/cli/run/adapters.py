"""Runs `pdp adapters`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pdp.adapters.mapping import InvalidMapping, read_mapping
from pdp.adapters.mapping.schema_check import SCHEMA
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import exit_on_failure, print_error
from pdp.cli.input import read_bytes
from pdp.cli.output.report import Report, print_json, show

if TYPE_CHECKING:
    from pdp.adapters.mapping import MappingFile


def check(file: str, *, as_json: bool) -> None:
    """Prints the faults of a mapping file, or what it maps, and exits."""
    with exit_on_failure(as_json=as_json):
        raw = read_bytes(file, "FILE")
    try:
        mapping = read_mapping(raw, file)
    except InvalidMapping as error:
        if as_json:
            print_json({"valid": False, "faults": [each._asdict() for each in error.faults]})
        for fault in error.faults:
            place = f"{fault.path}: " if fault.path else ""
            print_error(f"{file}:{fault.line}: {place}{fault.problem}")
        sys.exit(Exit.INVALID)
    routes, hooks = [each.name for each in mapping.routes], list(mapping.hooks)
    if as_json:
        print_json({"valid": True, "routes": routes, "hooks": hooks})
    else:
        show(_report(mapping))
    sys.exit(Exit.OK)


def _report(mapping: MappingFile) -> Report:
    routes = [
        (f"route {each.name}", f"{each.request_payload} in, {each.response_payload} out")
        for each in mapping.routes
    ]
    hooks = [
        (f"hook {name}", "redacts" if hook.answers.redact else "denies what it would redact")
        for name, hook in mapping.hooks.items()
    ]
    return Report("valid", "bold green", [*routes, *hooks])


def print_schema() -> None:
    """Prints the JSON schema of mapping files, and exits."""
    print(json.dumps(SCHEMA, indent=2))
    sys.exit(Exit.OK)
