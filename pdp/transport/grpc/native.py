"""The gRPC server with pygrpc-native in front: HTTP/2 runs in Rust, outside the interpreter's lock.

Unary methods are served here. All others, health and reflection too, are forwarded to the grpcio
server behind it, over a Unix socket that only this user can open.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog
from pygrpc_native import EVENT_CANCEL, NativeGrpcFront

from pdp.errors import ConfigError, PdpError
from pdp.transport.admission import admit_all
from pdp.transport.call import Call
from pdp.transport.coalescing import Coalescer
from pdp.transport.grpc import limits
from pdp.transport.grpc.calls import failure, metadata_of, parse
from pdp.transport.grpc.server import GrpcServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from pdp.transport.admission import Check
    from pdp.transport.call import Endpoint
    from pdp.transport.methods import Method
    from pdp.transport.tls import Tls

    Details = tuple[Any, str, float | None]
    """The metadata of a call, its peer, and the seconds until its deadline."""

    Answer = Callable[[int, bytes, Details], Coroutine[Any, Any, None]]

_log: Final = structlog.get_logger("pdp.calls")

_INTERNAL: Final = grpc.StatusCode.INTERNAL.value[0]
_UNAVAILABLE: Final = grpc.StatusCode.UNAVAILABLE.value[0]
_MAX_EVENTS: Final = 64
"""Events that are passed to the event loop at once."""

FLUSH_S: Final = 0.05
"""Between the last answer and the end, so that answers leave: the front closes connections hard."""


class NativeServer:
    """Serves the endpoints over gRPC, unary ones in the native front."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        endpoints: Mapping[str, Endpoint],
        workers: int = 1,
        admissions: Mapping[str, Check] = {},
    ) -> None:
        """Args:
        methods: the RPCs by path.
        endpoints: the guarded endpoint of each RPC, by path.
        workers: how many processes share the port.
        admissions: the check before a message is parsed, by path.
        """
        self._behind = GrpcServer(methods, endpoints, admissions=admissions)
        self._shared = workers > 1
        coalescer = Coalescer()
        self._answers: dict[str, Answer] = {
            path: self._unary(method, endpoints[path], admissions.get(path, admit_all), coalescer)
            for path, method in methods.items()
            if not (method.bidirectional or method.server_streaming)
        }
        self._table = tuple(self._answers.values())
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._accepts = True
        self._folder: Path | None = None
        self._front: Any = None

    async def start(self, address: str, tls: Tls | None = None) -> int:
        """Listens on `address` (`host:port` or `unix:path`) and returns the port.

        Args:
            address: the address.
            tls: must be None.

        Raises:
            ConfigError: the server cannot listen on the address, or has no folder for its socket.
        """
        if tls is not None:
            raise ConfigError("PDP_GRPC_SERVER: native has no TLS. Set grpcio or auto")
        self._loop = asyncio.get_running_loop()
        self._front = _listen(address, shared=self._shared)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="pdp-grpc-"))
        except OSError as error:
            raise ConfigError(
                f"PDP_GRPC_SERVER: native needs a folder for a socket: {error}. Set TMPDIR to a "
                "folder that this process can write to"
            ) from None
        socket = self._folder / "grpc.sock"
        await self._behind.start(f"unix:{socket}")
        self._front.set_fallback(str(socket))
        self._front.add_methods([(path, False) for path in self._answers])
        self._front.start()
        threading.Thread(target=self._receive, name="pdp-grpc-native", daemon=True).start()
        return int(self._front.bound_port)

    def set_serving(self, serving: bool) -> None:
        """Sets the status in `grpc.health.v1` of the server and of each service."""
        self._behind.set_serving(serving)

    async def stop(self, grace_s: float) -> None:
        """Ends the running calls after `grace_s` seconds, and then accepts no new ones.

        The front cannot tell its peers to go away before it closes. So new calls are served while
        calls that began before are running. Later ones get UNAVAILABLE, and were not evaluated.
        """
        if self._front is None:
            await self._behind.stop(grace_s)
            return
        end = time.monotonic() + grace_s
        behind = asyncio.create_task(self._behind.stop(grace_s))
        await self._wait(end)
        await behind
        self._accepts = False
        await self._wait(end)
        for task in list(self._tasks.values()):
            task.cancel()
        front, self._front = self._front, None
        await asyncio.sleep(FLUSH_S)
        await self._loop.run_in_executor(None, front.close)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _wait(self, end: float) -> None:
        """Waits until the calls that run now have ended, at most until `end`."""
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, end - time.monotonic()))

    def _receive(self) -> None:
        """Passes events to the event loop, in a thread of its own."""
        front, schedule = self._front, self._loop.call_soon_threadsafe
        while (events := front.recv_batch_details(_MAX_EVENTS)) is not None:
            try:
                schedule(self._handle, events)
            except RuntimeError:  # the loop is closed
                return

    def _handle(self, events: list[tuple[int, int, int, bytes, Any, Any]]) -> None:
        tasks, create, table = self._tasks, self._loop.create_task, self._table
        for kind, call_id, method_id, raw, _, details in events:
            if kind == EVENT_CANCEL:
                if task := tasks.pop(call_id, None):  # if it has not begun, nothing else does
                    task.cancel()
            elif self._accepts:
                tasks[call_id] = create(table[method_id](call_id, raw, details))

    def _unary(
        self, method: Method, endpoint: Endpoint, admit: Check, coalescer: Coalescer
    ) -> Answer:
        from_string = method.request.FromString

        async def answer(call_id: int, raw: bytes, details: Details) -> None:
            front = self._front
            try:
                remaining = details[2]
                deadline = None if remaining is None else time.monotonic() + remaining
                await coalescer.join_batch()
                call = Call(method, {}, "grpc", deadline)
                try:
                    call.metadata = metadata_of(details[0])
                    admit(call)
                    response = await endpoint(call, parse(from_string, raw))
                except PdpError as error:
                    code, message, trailers = failure(call, error)
                    front.fail(call_id, code.value[0], message, trailers)
                    return
                raw_response = response.SerializeToString()
                # Evaluate the rest of the batch before any response is sent.
                await asyncio.sleep(0)
                front.respond(call_id, raw_response, None, tuple(call.reply.items()) or None)
            except asyncio.CancelledError:
                # No effect if the client has cancelled the call, or its deadline has passed.
                front.fail(call_id, _UNAVAILABLE, "the server ends")
                raise
            except Exception:
                _log.exception("call failed", method=method.path)
                front.fail(call_id, _INTERNAL, "internal error")
            finally:
                self._tasks.pop(call_id, None)

        return answer


def _listen(address: str, *, shared: bool) -> Any:
    logger = logging.getLogger("pygrpc_native")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it would warn of what the error says
    try:
        return NativeGrpcFront(
            address,
            [],
            call_details=True,
            max_metadata_size=limits.MAX_METADATA_BYTES,
            max_concurrent_streams=limits.MAX_CONCURRENT_STREAMS,
            keepalive_time_ms=limits.KEEPALIVE_TIME_MS,
            keepalive_timeout_ms=limits.KEEPALIVE_TIMEOUT_MS,
            keepalive_permit_without_calls=True,
            reuse_port=shared,
        )
    except OSError as error:
        raise ConfigError(
            f"PDP_GRPC_LISTEN: cannot listen on {address}; is another server running there? "
            "Set another address"
        ) from error
    finally:
        logger.setLevel(level)
