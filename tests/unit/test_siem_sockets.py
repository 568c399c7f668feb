"""The syslog connector on real sockets, and the file connector in a real directory."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.errors import ConfigError
from pdp.export.siem.base import DeliveryFailed, Refusal
from tests.support.certificates import new_authority
from tests.support.servers import TIMEOUT_S
from tests.support.siem import connected, events, uids

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HEADER: Final = re.compile(
    rb"<(?P<pri>\d+)>1 2026-09-21T14:13:21\.250Z \S+ (?P<app>\S+) \d+ 6003 - \xef\xbb\xbf.*",
    re.DOTALL,
)


class Server:
    """A syslog server that reads octet-counted messages from a stream."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                length = await reader.readuntil(b" ")
                self.messages.put_nowait(await reader.readexactly(int(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def take(self, count: int) -> list[bytes]:
        async with asyncio.timeout(TIMEOUT_S):
            return [await self.messages.get() for _ in range(count)]


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Any]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", port, ssl=tls)
    try:
        yield server, str(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        for writer in server.writers:
            writer.close()
        await listener.wait_closed()


class TestSyslog:
    async def test_tcp_counts_octets(self) -> None:
        async with listening() as (server, port):
            environ = {"SYSLOG_HOST": "127.0.0.1", "SYSLOG_PORT": port, "SYSLOG_APP_NAME": "gate"}
            async with connected("syslog", **environ) as connector:
                assert await connector.send(events(3)) == ()
                assert await connector.send(events(1)) == ()
                messages = await server.take(4)
                assert await connector.check() == ""
                assert connector.config_summary() == {
                    "host": "127.0.0.1",
                    "port": port,
                    "protocol": "tcp",
                    "format": "json",
                }
        header = HEADER.fullmatch(messages[0])
        assert header is not None
        assert int(header["pri"]) == 13 * 8 + 3, "log audit, error"
        assert header["app"] == b"gate"
        bodies = [json.loads(each.partition(b"\xef\xbb\xbf")[2]) for each in messages]
        assert [each["metadata"]["uid"] for each in bodies] == [*uids(3), *uids(1)]

    async def test_messages_may_have_the_cef_format(self) -> None:
        async with listening() as (server, port):
            environ = {"SYSLOG_HOST": "127.0.0.1", "SYSLOG_PORT": port, "SYSLOG_FORMAT": "CEF"}
            async with connected("syslog", **environ) as connector:
                await connector.send(events(1))
            [message] = await server.take(1)
        body = message.partition(b"\xef\xbb\xbf")[2].decode()
        assert body.startswith("CEF:0|pdp|Policy Decision Point|")
        assert "|600304|API Activity: Delete|8|" in body
        assert "externalId=decision-1 " in body
        assert " act=Blocked " in body
        assert " suser=u1 " in body
        assert " cs1=acme " in body
        assert "\n" not in body

    async def test_a_restarted_server_gets_the_events_that_it_missed(self) -> None:
        environ = {"SYSLOG_HOST": "127.0.0.1"}
        async with listening() as (server, port):
            environ["SYSLOG_PORT"] = port
            context = connected("syslog", **environ)
            connector = await context.__aenter__()
            await connector.send(events(1))
            await server.take(1)
        with pytest.raises(DeliveryFailed):
            await connector.send(events(2))
        with pytest.raises(DeliveryFailed):
            await connector.check()
        async with listening(port=int(port)) as (server, _):
            await connector.send(events(2))
            assert len(await server.take(2)) == 2
        await context.__aexit__(None, None, None)

    async def test_tls_verifies_the_certificate(self, tmp_path: Path) -> None:
        signer = new_authority()
        ca_file, _ = signer.write(tmp_path, "ca")
        certificate, key = signer.issue("localhost").write(tmp_path, "server")
        tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls_context.load_cert_chain(certificate, key)
        async with listening(tls_context) as (server, port):
            environ = {
                "SYSLOG_HOST": "localhost",
                "SYSLOG_PORT": port,
                "SYSLOG_PROTOCOL": "tls",
            }
            async with connected("syslog", **environ) as without_ca:
                with pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"):
                    await without_ca.send(events(1))
            async with connected("syslog", **environ, SYSLOG_TLS_CA_FILE=str(ca_file)) as connector:
                await connector.send(events(2))
                assert len(await server.take(2)) == 2

    async def test_udp_sends_a_datagram_per_event(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(TIMEOUT_S)
            port = str(receiver.getsockname()[1])
            environ = {"SYSLOG_HOST": "127.0.0.1", "SYSLOG_PORT": port, "SYSLOG_PROTOCOL": "udp"}
            async with connected("syslog", **environ) as connector:
                large = events(1)[0]._replace(body=events(1)[0].body[:-1] + b" " * 70_000 + b"}")
                assert await connector.send([*events(2), large]) == [
                    Refusal(2, "longer than the limit of a datagram")
                ]
                assert await connector.check() == ""
            messages = [await asyncio.to_thread(receiver.recv, 65_536) for _ in range(2)]
        assert [HEADER.match(each) is not None for each in messages] == [True, False]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SYSLOG_PORT", "0"),
            ("SYSLOG_PORT", "x"),
            ("SYSLOG_PROTOCOL", "sctp"),
            ("SYSLOG_FORMAT", "xml"),
            ("SYSLOG_FACILITY", "24"),
            ("SYSLOG_APP_NAME", "a b"),
            ("SYSLOG_TLS_CA_FILE", "/nowhere.pem"),
        ],
    )
    async def test_an_invalid_setting_is_named(self, name: str, value: str) -> None:
        with pytest.raises(ConfigError, match=name):
            async with connected("syslog", **{"SYSLOG_HOST": "h", name: value}):
                pass


class TestFile:
    async def test_events_are_lines_that_only_the_owner_can_read(self, tmp_path: Path) -> None:
        path = tmp_path / "audit.ndjson"
        async with connected("file", SIEM_FILE_PATH=str(path)) as connector:
            assert await connector.check() == ""
            assert await connector.send(events(3)) == ()
            assert await connector.send([]) == ()
        assert lines(path) == uids(3)
        assert path.stat().st_mode & 0o777 == 0o600

    async def test_the_file_is_rotated(self, tmp_path: Path) -> None:
        path = tmp_path / "audit.ndjson"
        environ = {"SIEM_FILE_MAX_MB": "1", "SIEM_FILE_BACKUPS": "2"}
        one = events(1)[0]
        async with connected("file", SIEM_FILE_PATH=str(path), **environ) as connector:
            for number in range(5):
                wide = one.body[:-1] + b" " * 600_000 + b"}"
                await connector.send([one._replace(seq=number, uid=str(number), body=wide)] * 2)
        assert sorted(os.listdir(tmp_path)) == ["audit.ndjson.1", "audit.ndjson.2"]

    async def test_only_the_incomplete_line_of_a_crash_is_written_again(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "audit.ndjson"
        all_events = events(4)
        path.write_bytes(
            b"".join(each.body + b"\n" for each in all_events[:2]) + all_events[2].body[:50]
        )
        async with connected("file", SIEM_FILE_PATH=str(path)) as connector:
            await connector.send(all_events)
        assert lines(path) == uids(4)

    async def test_events_before_a_rotation_are_not_written_again(self, tmp_path: Path) -> None:
        path = tmp_path / "audit.ndjson"
        path.with_name("audit.ndjson.1").write_bytes(events(1)[0].body + b"\n")
        async with connected("file", SIEM_FILE_PATH=str(path)) as connector:
            await connector.send(events(2))
        assert lines(path) == uids(2)[1:]

    async def test_a_missing_directory_fails_until_it_exists(self, tmp_path: Path) -> None:
        path = tmp_path / "nowhere" / "audit.ndjson"
        async with connected("file", SIEM_FILE_PATH=str(path)) as connector:
            with pytest.raises(DeliveryFailed):
                await connector.check()
            with pytest.raises(DeliveryFailed, match="No such file"):
                await connector.send(events(1))
            os.mkdir(path.parent)
            await connector.send(events(1))
        assert lines(path) == uids(1)


def lines(path: Path) -> list[str]:
    return [json.loads(each)["metadata"]["uid"] for each in path.read_bytes().splitlines()]
