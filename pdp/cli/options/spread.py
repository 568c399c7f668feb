"""Lets a command take its options as dataclasses."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable

_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Returns `command` with every dataclass parameter replaced by its fields.

    Typer reads the fields as options. The command still receives the dataclasses.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if not is_dataclass(hints[name]):
            parameters.append(parameter.replace(annotation=hints[name], kind=_KEYWORD))
            continue
        groups[name] = hints[name]
        field_hints = get_type_hints(hints[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, _KEYWORD, default=field.default, annotation=field_hints[field.name]
            )
            for field in fields(hints[name])
        ]

    @wraps(command)
    def wrapper(**values: Any) -> None:
        dataclasses = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**dataclasses, **values)

    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # inspect's own protocol
    return wrapper
