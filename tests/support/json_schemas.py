"""Checks of values against JSON Schemas."""

from __future__ import annotations

from typing import Any


def schema_errors(value: object, schema: dict[str, Any]) -> list[str]:
    """Returns how a value breaks a schema."""
    # Each test process would import it when it collects the tests, which takes two seconds.
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]
