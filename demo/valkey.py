"""A real Valkey server, or Redis, which speaks the same protocol, on a Unix socket."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final, Self

from demo.programs import Unavailable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

NAMES: Final = ("valkey-server", "redis-server")
TIMEOUT_S: Final = 30.0
_RETRY_S: Final = 0.02


class ValkeyServer:
    """A server without files.

    Attributes:
        name: of the program.
        url: of the server.
    """

    def __init__(self, folder: Path) -> None:
        """Args:
        folder: gets the socket.

        Raises:
            Unavailable: no such program is installed.
        """
        name = next((each for each in NAMES if shutil.which(each)), None)
        if name is None:
            raise Unavailable("no valkey-server or redis-server is installed")
        self.name = name
        self._socket = folder / "valkey.sock"
        self.url = f"unix://{self._socket}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [self.name, "--port", "0", "--unixsocket", str(self._socket), "--save", ""],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not start")
            time.sleep(_RETRY_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(TIMEOUT_S)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._socket))
            except OSError:
                return False
        return True
