"""A PDP for the demo, in a process of its own, on ports that the kernel chooses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import httpx2

if TYPE_CHECKING:
    from pathlib import Path

TENANT: Final = "acme"
TIMEOUT_S: Final = 60.0


class Pdp:
    """A running PDP.

    Attributes:
        grpc_address: `host:port` of gRPC.
        http_url: of its HTTP API.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        """Args:
        folder: for its files.
        settings: further settings, as environment variables.
        """
        inherited = {key: value for key, value in os.environ.items() if key[:4] != "PDP_"}
        self._environment = {
            **inherited,
            "PDP_AUTH": "dev",
            "PDP_GRPC_LISTEN": "127.0.0.1:0",
            "PDP_HTTP_LISTEN": "127.0.0.1:0",
            "PDP_DATA_DIR": str(folder),
            "PDP_DRAIN_S": "0",
            **settings,
        }
        self.grpc_address = ""
        self.http_url = ""

    def __enter__(self) -> Pdp:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "pdp", "serve"),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            self._read_addresses()
        except BaseException:
            self.__exit__()
            raise
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it as an operator does; may be called again."""
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kills it."""
        self._process.kill()
        self._process.wait(TIMEOUT_S)

    def call(self, path: str, **body: Any) -> Any:
        """Sends a JSON request to the HTTP API, and returns the answer."""
        with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as client:
            url = f"{self.http_url}{path}"
            answer = client.post(url, json=body, headers={"x-tenant-id": TENANT})
        answer.raise_for_status()
        return answer.json()

    def _read_addresses(self) -> None:
        lines = []
        for raw in self._process.stderr or ():
            lines.append(raw.decode())
            if raw.startswith(b"{"):
                event = json.loads(raw)
                if event["event"] == "serving":
                    self.grpc_address, self.http_url = event["grpc"], event["http"]
                    return
        raise RuntimeError(f"the PDP does not start: {''.join(lines[-5:])}")

    def _drain(self) -> None:
        """Reads its log, because it would wait for a full pipe."""
        for _ in self._process.stderr or ():
            pass
