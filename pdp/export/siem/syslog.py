"""Syslog (RFC 5424), over TCP or TLS with octet counting (RFC 6587, RFC 5425), or over UDP."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

from pdp.errors import ConfigError
from pdp.export.siem.base import ConnectorSpec, DeliveryFailed, Event, Refusal
from pdp.export.siem.cef import cef
from pdp.export.siem.environment import Environment, EnvironmentVariable
from pdp.export.siem.text import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable("SYSLOG_HOST", "host of the server", "", True),
    EnvironmentVariable("SYSLOG_PORT", "port; by default 6514 for TLS, else 514"),
    EnvironmentVariable("SYSLOG_PROTOCOL", "`tcp`, `tls` or `udp`", "tcp"),
    EnvironmentVariable("SYSLOG_FORMAT", "`json` (OCSF) or `cef`", "json"),
    EnvironmentVariable("SYSLOG_FACILITY", "facility, 0 to 23; 13 is log audit", "13"),
    EnvironmentVariable("SYSLOG_APP_NAME", "APP-NAME", "pdp"),
    EnvironmentVariable(
        "SYSLOG_TLS_CA_FILE", "CA certificates to trust instead of those of the system"
    ),
)
_PROTOCOLS: Final = ("tcp", "tls", "udp")
_PORTS: Final = {"tcp": 514, "tls": 6514, "udp": 514}
_APP_NAME: Final = re.compile(r"[!-~]{1,48}")
_TIMEOUT_S: Final = 10.0
_CLOSE_CHECK_S: Final = 0.02
"""How long to check after a batch whether the server has closed the connection."""

_MAX_DATAGRAM: Final = 65_000
_BOM: Final = b"\xef\xbb\xbf"
"""Marks a message as UTF-8 (RFC 5424, 6.4)."""

_SEVERITIES: Final = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}
"""Syslog severities by OCSF severity: informational, notice, warning, error, critical."""


class SyslogConnector:
    """Sends events as messages.

    UDP does not confirm that messages arrive. TCP reports only what the kernel knows.
    """

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 1_000_000

    def __init__(self, environment: Environment) -> None:
        self._host = environment.text("SYSLOG_HOST")
        self._protocol = environment.choice("SYSLOG_PROTOCOL", _PROTOCOLS)
        self._port = _PORTS[self._protocol]
        if environment.has("SYSLOG_PORT"):
            self._port = environment.port("SYSLOG_PORT")
        self._format = environment.choice("SYSLOG_FORMAT", ("json", "cef"))
        self._facility = environment.number("SYSLOG_FACILITY", 0, 23)
        app_name = environment.text("SYSLOG_APP_NAME")
        if not _APP_NAME.fullmatch(app_name):
            raise ConfigError("SYSLOG_APP_NAME: write 1 to 48 visible ASCII characters")
        self._header = f"{socket.gethostname() or '-'} {app_name} {os.getpid()}"
        self._tls = self._context(environment)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def _context(self, environment: Environment) -> ssl.SSLContext | None:
        ca_file = environment.file("SYSLOG_TLS_CA_FILE")
        if self._protocol != "tls":
            return None
        try:
            return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"SYSLOG_TLS_CA_FILE: {ca_file} does not contain a valid certificate"
            ) from error

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events."""
        return {
            "host": self._host,
            "port": str(self._port),
            "protocol": self._protocol,
            "format": self._format,
        }

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Sends a batch, one message per event."""
        messages = [self._message(event) for event in events]
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if self._protocol == "udp":
                    return await self._send_datagrams(messages)
                await self._send_stream(messages)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            await self.close()
            raise DeliveryFailed(_describe(error)) from error
        return ()

    async def _send_stream(self, messages: Sequence[bytes]) -> None:
        reader, writer = await self._connected()
        writer.write(b"".join(b"%d %b" % (len(each), each) for each in messages))
        await writer.drain()
        # A syslog server sends nothing. If it has closed the connection, the end of the stream can
        # be read within a round trip, and the messages are lost.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_CHECK_S):
                while await reader.read(4096):
                    pass
                raise ConnectionResetError("the server has closed the connection")

    async def _send_datagrams(self, messages: Sequence[bytes]) -> Sequence[Refusal]:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(self._host, self._port)
        )
        refusals: list[Refusal] = []
        try:
            for position, message in enumerate(messages):
                if len(message) > _MAX_DATAGRAM:
                    refusals.append(Refusal(position, "longer than the limit of a datagram"))
                else:
                    transport.sendto(message)
        finally:
            transport.close()
        return refusals

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            await self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        return self._streams

    def _message(self, event: Event) -> bytes:
        document = event.document
        priority = self._facility * 8 + _SEVERITIES.get(document["severity_id"], 6)
        message_id = document["class_uid"]
        head = f"<{priority}>1 {timestamp(event.at)} {self._header} {message_id} - "
        body = cef(document).encode() if self._format == "cef" else event.body
        return head.encode() + _BOM + body

    async def check(self) -> str:
        """Connects to the server; for UDP, resolves its address. Syslog has no health call."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if self._protocol == "udp":
                    loop = asyncio.get_running_loop()
                    await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
                else:
                    _, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
                    writer.close()
        except (OSError, ssl.SSLError, TimeoutError) as error:
            raise DeliveryFailed(_describe(error)) from error
        return ""

    async def close(self) -> None:
        """Closes the connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


SPEC: Final = ConnectorSpec(
    "syslog", "Syslog", SyslogConnector.__name__, VARIABLES, SyslogConnector
)
