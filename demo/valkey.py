"""A real Valkey server, or Redis, which speaks the same protocol, on a port of loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final, Self

from demo.ports import free_port
from demo.programs import Unavailable
from demo.starting import starts

NAMES: Final = ("valkey-server", "redis-server")
TIMEOUT_S: Final = 30.0


def valkey_program() -> str:
    """Returns the path of the program.

    Raises:
        Unavailable: none is installed.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise Unavailable(f"none of {', '.join(NAMES)} is installed: apt-get install redis-server")
    return found


class ValkeyServer:
    """A server without files.

    Attributes:
        name: of the program.
        url: of the server.
    """

    def __init__(self) -> None:
        """Chooses its port; starts nothing.

        Raises:
            Unavailable: no such program is installed.
        """
        self._program = valkey_program()
        self.name = Path(self._program).name
        self._port = free_port()
        self.url = f"valkey://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [self._program, "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not starts(self._process, self._accepts):
            raise RuntimeError(f"{self.name} does not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(TIMEOUT_S)

    def _accepts(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self._port)) == 0
