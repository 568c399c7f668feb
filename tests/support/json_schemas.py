"""Checks of values against JSON Schemas."""

from __future__ import annotations

from typing import Any


def schema_errors(value: object, schema: dict[str, Any]) -> list[str]:
    """Returns the violations of a schema in a value."""
    # A module-level import would cost each test process two seconds during collection.
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]
