"""Pins of tool definitions: the hash of each definition, as it was when the tool was first seen.

A server can change what a tool says it does after people have agreed to use it. A pin shows that.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.errors import ConfigError
from pdp.strictjson.parsing import parse
from pdp.strictjson.problems import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VERSION: Final = 1
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_TOOLS: Final = 10_000
"""Tools of one server that a file can pin."""

_PINNED: Final = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""Members of a definition that tell a model or a person what a tool does and takes."""


class PinState(Enum):
    """What a definition is in comparison with its pin."""

    SAME = "same"
    NEW = "new"
    CHANGED = "changed"


class PinFault(Exception):
    """The file of pins cannot be read or written; the message says why."""


def hash_of(tool: Mapping[str, Any]) -> str:
    """Returns the hash of a definition. The order of members does not matter."""
    pinned = {name: tool[name] for name in _PINNED if name in tool}
    text = json.dumps(pinned, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class Pins:
    """The pins of one server. They are kept in a file that several proxies may share."""

    def __init__(self, server: str, path: Path | None = None, *, locked: bool = False) -> None:
        """Reads the file.

        Args:
            server: the name of the server.
            path: the file; None to keep the pins in memory only.
            locked: whether the file stays as it is, so that a tool without a pin is not trusted.

        Raises:
            ConfigError: the file cannot be used, or a locked file does not exist.
        """
        self._server = server
        self._path = path
        self._pins: dict[str, str] = {}
        self.locked = locked
        if locked and (path is None or not path.exists()):
            place = f"{path} does not exist" if path else "there is no --pins FILE"
            raise ConfigError(f"--pins-locked: {place}. Create it with --pins FILE first")
        try:
            self._pins = self._read().get(server, {})
        except PinFault as error:
            raise ConfigError(f"--pins: {error}") from None

    def compare(self, tools: Mapping[str, str]) -> dict[str, PinState]:
        """Compares definitions with their pins, and pins those that are new, unless locked.

        Args:
            tools: the hash of each definition, by the name of the tool.

        Raises:
            PinFault: new pins cannot be stored.
        """
        states = {name: self._state(name, value) for name, value in tools.items()}
        new = {name: tools[name] for name, state in states.items() if state is PinState.NEW}
        if new and not self.locked:
            self._add(new)
            # Another proxy may have pinned another definition meanwhile.
            states = {
                name: PinState.CHANGED if self._pins.get(name) != tools[name] else state
                for name, state in states.items()
            }
        return states

    def _state(self, name: str, value: str) -> PinState:
        pin = self._pins.get(name)
        if pin is None:
            return PinState.NEW
        return PinState.SAME if pin == value else PinState.CHANGED

    def _add(self, new: Mapping[str, str]) -> None:
        if self._path is None:
            self._pins = {**new, **self._pins}
            self._check_count()
            return
        with _locked(self._path):
            servers = self._read()
            self._pins = {**new, **servers.get(self._server, {})}
            self._check_count()
            _write(self._path, {**servers, self._server: self._pins})

    def _check_count(self) -> None:
        if len(self._pins) > MAX_TOOLS:
            raise PinFault(f"the server has more than {MAX_TOOLS} tools")

    def _read(self) -> dict[str, dict[str, str]]:
        """Returns the pins of all servers in the file; empty if it does not exist.

        Raises:
            PinFault: it cannot be read.
        """
        if self._path is None or not self._path.exists():
            return {}
        try:
            if self._path.stat().st_size > MAX_FILE_BYTES:
                raise PinFault(f"{self._path} is larger than {MAX_FILE_BYTES} bytes")
            document = parse(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PinFault(f"{self._path} cannot be read: {error.strerror}") from None
        except (InvalidValue, UnicodeDecodeError):
            raise PinFault(f"{self._path} is not JSON") from None
        return _servers_in(document, self._path)


def _write(path: Path, servers: Mapping[str, Mapping[str, str]]) -> None:
    document = {"version": VERSION, "servers": servers}
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, delete=False
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        raise PinFault(f"{path} cannot be written: {error.strerror}") from None


def _servers_in(document: Any, path: Path) -> dict[str, dict[str, str]]:
    servers = document.get("servers") if isinstance(document, dict) else None
    if not isinstance(servers, dict) or document.get("version") != VERSION:
        raise PinFault(f"{path} is no file of pins of version {VERSION}")
    for pins in servers.values():
        if not isinstance(pins, dict) or not all(isinstance(pin, str) for pin in pins.values()):
            raise PinFault(f"{path} has a server whose pins are no hashes by tool")
    return servers


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps other proxies from changing a file of pins."""
    try:
        with path.with_name(f"{path.name}.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise PinFault(f"{path} cannot be locked: {error.strerror}") from None
