"""What is measured: a server with policies in force, and how to ask it."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import grpc
import httpx2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.peers.cases import Case, Policy
    from bench.peers.processes import Tree

TIMEOUT_S: Final = 300
"""The first request of a tenant with 8,000 policies waits until they are compiled."""


@dataclass(frozen=True, slots=True)
class Target:
    """One interface of a server that runs.

    Attributes:
        name: what the tables call it.
        protocol: how requests are sent.
        port: on 127.0.0.1.
        path: what is called there.
        encode: makes the bytes of a request.
        decode: returns whether an answer, as bytes, lets the request pass.
        tree: the processes of the server.
    """

    name: str
    protocol: Literal["grpc", "http1", "http2"]
    port: int
    path: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], bool]
    tree: Tree

    @property
    def url(self) -> str:
        """Where requests are posted."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def answers(self, requests: Iterable[Any]) -> list[bool]:
        """Sends requests one by one, and returns whether each may pass."""
        return [self.decode(raw) for raw in self.raw_answers(requests)]

    def raw_answers(self, requests: Iterable[Any]) -> list[bytes]:
        """Sends requests one by one, and returns the answers as they come."""
        with ExitStack() as stack:
            send = stack.enter_context(self._sender())
            return [send(self.encode(each)) for each in requests]

    def write_bodies(self, path: Path, requests: Iterable[Any]) -> None:
        """Writes the file that the load generator reads."""
        with path.open("wb") as file:
            for each in requests:
                raw = self.encode(each)
                body = b"\0" + struct.pack(">I", len(raw)) + raw if self.protocol == "grpc" else raw
                file.write(struct.pack(">I", len(body)) + body)

    def _sender(self) -> AbstractContextManager[Callable[[bytes], bytes]]:
        return _Grpc(self) if self.protocol == "grpc" else _Http(self)


class _Grpc:
    def __init__(self, target: Target) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{target.port}")
        self._call: Any = self._channel.unary_unary(target.path)

    def __enter__(self) -> Callable[[bytes], bytes]:
        return lambda body: self._call(body, timeout=TIMEOUT_S)

    def __exit__(self, *_: object) -> None:
        self._channel.close()


class _Http:
    def __init__(self, target: Target) -> None:
        self._url = target.url
        self._client = httpx2.Client(trust_env=False, timeout=TIMEOUT_S)

    def __enter__(self) -> Callable[[bytes], bytes]:
        return self._send

    def _send(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        return (
            self._client.post(self._url, content=body, headers=headers).raise_for_status().content
        )

    def __exit__(self, *_: object) -> None:
        self._client.close()


class Peer(Protocol):
    """A product that decides by attribute policies."""

    name: str
    version: str
    settings: str

    def serve(
        self, policies: Sequence[Policy], folder: Path, core: int | None
    ) -> AbstractContextManager[list[Target]]:
        """Runs the server with these policies in force, on one core if `core` is set."""
        ...


def check_answers(target: Target, cases: Sequence[Case]) -> None:
    """Sends every case.

    Raises:
        RuntimeError: an answer is not the one that the rules ask for.
    """
    for case, allowed in zip(cases, target.answers(cases), strict=True):
        if allowed != case.allowed:
            raise RuntimeError(f"{target.name} answers {allowed} to {case}")


def http_answers(url: str) -> bool:
    """Returns whether a GET of this URL succeeds."""
    try:
        return httpx2.get(url, trust_env=False, timeout=2).is_success
    except httpx2.HTTPError:
        return False
