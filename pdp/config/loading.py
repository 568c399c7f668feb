"""Loads the settings, and explains every one that cannot be used."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import ValidationError

from pdp.config.settings import Settings
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails


def load(flags: Mapping[str, Any], file: Path | None = None) -> Settings:
    """Returns the settings.

    Args:
        flags: values from the command line, by field name; None for a flag that was not used.
        file: a TOML file; it must exist.

    Raises:
        ConfigError: a setting is unknown or cannot be used, or the file cannot be read. The message
            explains every such setting.
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"--config: the file {file} does not exist. Name an existing file.")
    settings_class = type("FileSettings", (Settings,), {"file": file})
    values = {name: value for name, value in flags.items() if value is not None}
    try:
        settings: Settings = settings_class(**values)
    except ValidationError as error:
        messages = [_explain(each, values, file) for each in error.errors()]
        raise ConfigError(" ".join(messages)) from None
    except OSError as error:
        raise ConfigError(
            f"--config: {file} cannot be read: {error.strerror}. Allow this process to read it."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"--config: {file} is not UTF-8 text. Save it as UTF-8.") from None
    except ValueError as error:
        place = re.search(r"at line \d+, column \d+|at end of document", str(error))
        position = f" ({place.group()})" if place else ""
        raise ConfigError(f"--config: {file} is not valid TOML{position}. Correct it.") from None
    return settings


def _explain(error: ErrorDetails, flags: Mapping[str, Any], file: Path | None) -> str:
    """Returns the message for a value that pydantic refuses, without pydantic's own text."""
    name = str(error["loc"][0])
    if name not in Settings.model_fields:
        return _explain_unknown(name, flags, file)
    if error["type"] == "value_error":
        problem = str(error["ctx"]["error"])
    else:
        problem = _problem(error["type"], error["input"], name)
    return f"{_source(name, flags, file)}: {problem}"


def _explain_unknown(name: str, flags: Mapping[str, Any], file: Path | None) -> str:
    closest = get_close_matches(name, Settings.model_fields)
    advice = "`pdp serve --help` lists the settings."
    if closest:
        advice = f"Did you mean {' or '.join(closest)}?"
    place = "" if name in flags else f" in {file}"
    return f"{name}{place}: no such setting. {advice}"


def _source(name: str, flags: Mapping[str, Any], file: Path | None) -> str:
    """Returns the name of a setting's variable, and what else its value came from."""
    variable = f"PDP_{name.upper()}"
    if name in flags:
        return f"{variable} (--{name.replace('_', '-')})"
    if file is None or variable in {each.upper() for each in os.environ}:
        return variable
    return f"{variable} ({name} in {file})"


_PROBLEMS: Final = {
    "literal_error": "is unknown",
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "greater_than": "is out of range",
    "greater_than_equal": "is out of range",
    "less_than": "is out of range",
    "less_than_equal": "is out of range",
    "int_parsing_size": "is out of range",
    "string_type": "is not a string",
    "path_type": "is not a path",
}
"""What is wrong with a value, by the type of pydantic's error."""


def _problem(error_type: str, value: Any, name: str) -> str:
    shown = repr(value)
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}…"
    return f"{shown} {_PROBLEMS.get(error_type, 'cannot be used')}. Use {_usage(name)}."


_MAX_SHOWN: Final = 100
"""Characters of a value that a message shows at most."""


def _usage(name: str) -> str:
    """Returns which values a setting takes."""
    field = Settings.model_fields[name]
    choices = [str(each) for each in get_args(field.annotation) if isinstance(each, str)]
    if choices:
        return f"{', '.join(choices[:-1])} or {choices[-1]}"
    if field.annotation not in (int, float):
        return "text in quotes"
    number = "a whole number" if field.annotation is int else "a number"
    above, lowest, highest = (
        next((getattr(each, bound) for each in field.metadata if hasattr(each, bound)), None)
        for bound in ("gt", "ge", "le")
    )
    if highest is None:
        return f"{number} of at least {lowest}"
    if above is not None:
        return f"{number} above {above}, at most {highest}"
    return f"{number} from {lowest} to {highest}"
