"""A real Envoy with a configuration of `deploy/envoy`, on ports that the kernel chooses."""

from __future__ import annotations

import json
import subprocess
import time
from typing import IO, TYPE_CHECKING, Any, Final

import httpx2
import yaml

from demo.programs import ROOT, envoy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

CONFIGS: Final = ROOT / "deploy" / "envoy"
START_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.02
STOP_TIMEOUT_S: Final = 20.0

ANY_PORT: Final = {"address": "127.0.0.1", "port_value": 0}


def load(name: str) -> dict[str, Any]:
    """Returns a configuration of `deploy/envoy`."""
    config: dict[str, Any] = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))
    return config


def filter_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the settings of an HTTP filter in a configuration.

    Raises:
        StopIteration: it has no such filter.
    """
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    settings: dict[str, Any] = next(
        each["typed_config"]
        for each in manager["typed_config"]["http_filters"]
        if each["name"] == name
    )
    return settings


class Gateway:
    """A running Envoy.

    Attributes:
        url: the address to which its clients send requests.
        admin_url: of its administration.
        access_log: the lines of its access log, once it has stopped.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        clusters: Mapping[str, str],
        program: Callable[[], Path] = envoy,
    ) -> None:
        """Args:
        folder: an empty one, for its files.
        config: its configuration. All of its own ports are replaced.
        clusters: `host:port` of each cluster, by name.
        program: returns the program.
        """
        self._folder = folder
        self._program = program
        self._config = _placed(config, clusters)
        self._process: subprocess.Popen[bytes] | None = None
        self._streams: list[IO[bytes]] = []
        self.url = ""
        self.admin_url = ""

    def __enter__(self) -> Gateway:
        folder = self._folder
        config, admin = folder / "envoy.yaml", folder / "admin"
        config.write_text(yaml.safe_dump(self._config), encoding="utf-8")
        self._streams = [(folder / name).open("wb") for name in ("access.log", "envoy.log")]
        command = [
            *(str(self._program()), "--config-path", str(config)),
            *("--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"),
            *("--admin-address-path", str(admin)),
        ]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._streams[0],
            stderr=self._streams[1],
        )
        try:
            self.url = self._wait(lambda: self._listener(admin))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for stream in self._streams:
            stream.close()

    @property
    def access_log(self) -> list[dict[str, Any]]:
        """The lines of the access log; all of them once Envoy has stopped."""
        lines = (self._folder / "access.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    @property
    def log(self) -> str:
        """What Envoy has logged."""
        return (self._folder / "envoy.log").read_text(encoding="utf-8")

    def _listener(self, admin: Path) -> str:
        """Returns the URL of the listener.

        Args:
            admin: the file into which Envoy writes the address of its administration.

        Raises:
            OSError: there is no such file yet.
            httpx2.HTTPError: the administration does not answer yet, or the file is not complete.
            LookupError: there is no listener yet.
        """
        self.admin_url = f"http://{admin.read_text(encoding='utf-8')}"
        with httpx2.Client(base_url=self.admin_url, trust_env=False) as client:
            statuses = client.get("/listeners?format=json").json()["listener_statuses"]
            client.get("/ready").raise_for_status()
        address = statuses[0]["local_address"]["socket_address"]
        return f"http://{address['address']}:{address['port_value']}"

    def _wait(self, read: Callable[[], str]) -> str:
        """Returns what `read` returns once Envoy is that far.

        Raises:
            RuntimeError: Envoy has ended, or does not start in time; the message has its log.
        """
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return read()
            except (OSError, LookupError, httpx2.HTTPError) as error:
                if self._has_ended() or time.monotonic() > end:
                    raise RuntimeError(f"Envoy does not start: {self.log or error}") from error

    def _has_ended(self) -> bool:
        """Returns whether Envoy has ended, or ends in a moment; it does not say that it serves."""
        if self._process is None:
            return True
        try:
            self._process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            return False
        return True


def _placed(config: dict[str, Any], clusters: Mapping[str, str]) -> dict[str, Any]:
    """Returns a configuration whose own ports are chosen by the kernel."""
    config["admin"] = {"address": {"socket_address": ANY_PORT}}
    for listener in config["static_resources"]["listeners"]:
        listener["address"] = {"socket_address": ANY_PORT}
    for cluster in config["static_resources"]["clusters"]:
        host, _, port = clusters[cluster["name"]].rpartition(":")
        address = {"socket_address": {"address": host, "port_value": int(port)}}
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"] = address
    return config
