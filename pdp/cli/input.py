"""Reads what a command takes from files and standard input: bytes, JSON and YAML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pdp.cli.failures import UsageError
from pdp.errors import InvalidArgument, MalformedRequest, Violation
from pdp.jsonpb import decode_json


def read_bytes(name: str, option: str) -> bytes:
    """Returns the content of the file `name`, or of standard input if `name` is `-`.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{option}: {name} cannot be read: {error.strerror}") from None


def read_json_object(name: str, option: str) -> dict[str, Any]:
    """Returns the JSON object in the file `name`, or on standard input if `name` is `-`.

    Raises:
        UsageError: the file cannot be read.
        MalformedRequest: the content is not JSON.
        InvalidArgument: the JSON value is not an object.
    """
    value = parse_json(read_bytes(name, option), f"{option} {name}")
    if not isinstance(value, dict):
        problem = Violation(option, "must hold a JSON object")
        raise InvalidArgument(f"{option} {name} holds no JSON object", problem)
    return value


def parse_json(raw: bytes, place: str) -> object:
    """Returns the JSON value in `raw`.

    Args:
        raw: the bytes to parse.
        place: the source of the bytes, for the error.

    Raises:
        MalformedRequest: the bytes are not JSON.
    """
    try:
        return decode_json(raw)
    except MalformedRequest as error:
        reason = error.violations[0].reason
        raise MalformedRequest(f"{place} is not JSON: {reason}", *error.violations) from None


def read_overlay(name: str) -> dict[str, Any]:
    """Returns the overlay in the file `name`: YAML, which includes JSON.

    The file is a policy file, or has the fields of an overlay of the API.

    Raises:
        UsageError: the file cannot be read, or does not hold a mapping.
    """
    import yaml  # noqa: PLC0415 - only overlays need it

    from pdp.policy_files.strict_yaml import parse  # noqa: PLC0415 - as above

    raw = read_bytes(name, "--overlay")
    try:
        value = parse(raw.decode())
    except UnicodeDecodeError:
        raise UsageError(f"--overlay {name} is not UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f": see line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"--overlay {name} is neither YAML nor JSON{place}") from None
    if not isinstance(value, dict):
        raise UsageError(f"--overlay {name} holds no mapping")
    return _policy_file_overlay(value) if isinstance(value.get("policies"), dict) else value


def _policy_file_overlay(document: dict[str, Any]) -> dict[str, Any]:
    """Returns the overlay for a policy file; of a suite, without what belongs to the platform."""
    from pdp.cases.sections import SECTIONS  # noqa: PLC0415 - only overlays need it
    from pdp.policy_files.text import HEAD_KEYS, SUITE_KEYS  # noqa: PLC0415 - as above

    policies = {key: value for key, value in document["policies"].items() if key not in SECTIONS}
    others = {key: value for key, value in document.items() if key not in {*HEAD_KEYS, *SUITE_KEYS}}
    return {**others, "policies": policies}
