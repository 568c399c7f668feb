"""Checks the methods of uvicorn that this server overrides or calls.

Most of them are private. If a later version renamed one, our override would never run, and its
guard would be lost without an error. So the import of a module that overrides them fails instead.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

import uvicorn

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPPORTED: Final = ">=0.54,<0.55"
"""The versions of uvicorn that this server is tested with, as in pyproject.toml."""


def check_hooks(base: type, hooks: Mapping[str, tuple[str, ...]]) -> None:
    """Checks that a class of uvicorn defines each method that this server overrides or calls.

    Args:
        base: the class.
        hooks: the names of each method's parameters, without `self`.

    Raises:
        ConfigError: a method is missing or has other parameters.
    """
    for name, parameters in hooks.items():
        method = vars(base).get(name)
        if not callable(method):
            raise _unsupported(f"{base.__name__}.{name} is missing")
        _, *actual = inspect.signature(method).parameters
        if tuple(actual) != parameters:
            raise _unsupported(
                f"{base.__name__}.{name} takes ({', '.join(actual)}), not ({', '.join(parameters)})"
            )


def _unsupported(reason: str) -> ConfigError:
    return ConfigError(
        f"uvicorn {uvicorn.__version__} is not supported: {reason}. "
        f'Install a supported version: pip install "uvicorn{SUPPORTED}"'
    )
