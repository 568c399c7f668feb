"""Frames of HTTP/2, written by hand: clients that obey no rule, and calls that libraries refuse."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.support.servers import Server

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 1
ACK: Final = 1
END_HEADERS: Final = 4

MAX_FRAME: Final = 16_384
_INITIAL_WINDOW: Final = 65_535
_WINDOW_SETTING: Final = 4


def frame(kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
    """Returns a frame."""
    head = struct.pack(">I", len(payload))[1:] + bytes((kind, flags))
    return head + struct.pack(">I", stream) + payload


def header_block(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns the pairs, uncompressed."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in pairs)


def _string(text: bytes) -> bytes:
    size, out = len(text), b""
    if size < 0x7F:
        return bytes((size,)) + text
    size -= 0x7F
    while size >= 0x80:
        out += bytes((size % 0x80 + 0x80,))
        size //= 0x80
    return b"\x7f" + out + bytes((size,)) + text


def request_headers(path: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """Returns the header block of a gRPC call."""
    return header_block(
        (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path),
            (b":authority", b"localhost"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *extra,
        )
    )


def message(raw: bytes, size: int | None = None, *, compressed: bool = False) -> bytes:
    """Returns a gRPC message; `size` is the size that it announces, if that is not its own."""
    return struct.pack(">BI", compressed, len(raw) if size is None else size) + raw


class Connection:
    """A connection that sends any bytes, also malformed ones.

    Attributes:
        ended: the kind of the frame that ended the call or the connection, and its payload.
    """

    def __init__(self, server: Server) -> None:
        host, _, port = server.grpc_address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self._windows = {0: _INITIAL_WINDOW, 1: _INITIAL_WINDOW}
        self._received = b""
        self.ended: tuple[int, bytes] | None = None
        self.send(PREFACE + frame(SETTINGS))

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, raw: bytes) -> bool:
        """Sends bytes, and returns whether the server still accepts them."""
        try:
            self._socket.sendall(raw)
        except OSError:
            return False
        return True

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yields each frame that arrives: kind, flags, stream, payload."""
        while True:
            while len(self._received) < 9 or len(self._received) < 9 + self._size():
                try:
                    part = self._socket.recv(65_536)
                except OSError:
                    return
                if not part:
                    return
                self._received += part
            end = 9 + self._size()
            raw, self._received = self._received[:end], self._received[end:]
            stream = int.from_bytes(raw[5:9], "big") & 0x7FFFFFFF
            yield raw[3], raw[4], stream, raw[9:]

    def _size(self) -> int:
        return int.from_bytes(self._received[:3], "big")

    def acknowledge(self) -> None:
        """Acknowledges the server's settings, as most clients do before they send much."""
        for kind, flags, _, payload in self.frames():
            if kind == SETTINGS and not flags & ACK:
                self._resize(payload)
                self.send(frame(SETTINGS, flags=ACK))
                return

    def _resize(self, payload: bytes) -> None:
        for begin in range(0, len(payload), 6):
            name, value = struct.unpack(">HI", payload[begin : begin + 6])
            if name == _WINDOW_SETTING:
                self._windows[1] += value - _INITIAL_WINDOW

    def pump(self, raw: bytes) -> int:
        """Sends data on stream 1 as flow control allows, until the server ends the call.

        Returns:
            The number of bytes that the server took.
        """
        taken = 0
        while taken < len(raw):
            size = min(MAX_FRAME, len(raw) - taken)
            while min(self._windows.values()) < size:
                if not self._read_one():
                    return taken
            if not self.send(frame(DATA, raw[taken : taken + size], 1)):
                self.wait_for_end()
                return taken
            taken += size
            for stream in self._windows:
                self._windows[stream] -= size
        return taken

    def wait_for_end(self) -> tuple[int, bytes] | None:
        """Reads until the server ends the call or the connection."""
        while self.ended is None and self._read_one():
            pass
        return self.ended

    def _read_one(self) -> bool:
        """Reads a frame; returns whether the call goes on."""
        for kind, flags, stream, payload in self.frames():
            if kind == SETTINGS and not flags & ACK:
                self._resize(payload)
                self.send(frame(SETTINGS, flags=ACK))
            elif kind == WINDOW_UPDATE:
                self._windows[stream] += int.from_bytes(payload, "big")
            elif kind in (RST_STREAM, GOAWAY) or (kind == HEADERS and flags & END_STREAM):
                self.ended = self.ended or (kind, payload)
            return self.ended is None
        return False
