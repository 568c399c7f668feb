"""One connection to the server. Calls are pipelined, and answered in their order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from valkey.exceptions import NoScriptError, ResponseError, ValkeyError

from pdp.usage.shared.script import decode_result

if TYPE_CHECKING:
    from valkey.asyncio.connection import AbstractConnection

    from pdp.usage.shared.call import ScriptCall
    from pdp.usage.shared.script import Script

MAX_UNANSWERED: Final = 256
"""Calls that may wait for their answers. With more, the server is too slow to wait for."""

LATE_S: Final = 0.001
"""If the event loop is later than this, the answer may have arrived, and only be unread."""

LOST: Final = "the connection to the shared counters was lost"
MALFORMED: Final = "an answer of the shared counters was malformed"
BUSY: Final = "too many calls wait for the shared counters"


class LinkListener(Protocol):
    """What hears of a link's troubles."""

    def on_timeout(self) -> None:
        """A call had no answer within the budget."""

    def on_refusal(self, code: str) -> None:
        """The server refused a call; it had no effect."""

    def on_result(self, at: float) -> None:
        """An answer came; `at` is the server's time."""

    def on_loss(self, reason: str, unanswered: list[ScriptCall]) -> None:
        """The connection is closed. It is not known which of the unanswered calls ran."""


class Link:
    """A connection, and the calls that wait for their answers on it.

    Attributes:
        generation: tells the calls of this connection from those of earlier ones.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        script: Script,
        generation: int,
        budget_s: float,
        listener: LinkListener,
    ) -> None:
        self.generation = generation
        self._connection = connection
        self._script = script
        self._budget_s = budget_s
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._unanswered: deque[ScriptCall] = deque()
        self._waiting: deque[ScriptCall] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._outgoing: list[bytes] = []
        self._has_outgoing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        self._is_idle = asyncio.Event()

    async def open(self) -> None:
        """Connects, and loads the script.

        Raises:
            ValkeyError: the server cannot be reached, or refuses the credentials or the script.
        """
        await connect(self._connection)
        await self.ask("SCRIPT LOAD", self._script.source)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    async def ask(self, *command: Any) -> Any:
        """Sends a command and returns its answer. Only before calls are sent.

        Raises:
            ValkeyError: the connection broke, or the server refused the command.
        """
        await self._connection.send_command(*command, check_health=False)
        return await self._connection.read_response()

    @property
    def oldest_s(self) -> float:
        """How long the oldest call has waited for its answer."""
        return time.monotonic() - self._unanswered[0].sent_at if self._unanswered else 0.0

    def send(self, call: ScriptCall) -> bool:
        """Sends a call. Returns False if the connection is closed, or too many calls wait."""
        if self._is_closed or len(self._unanswered) >= MAX_UNANSWERED:
            return False
        # Not the event loop's time, which may be that of the beginning of its round.
        call.sent_at = time.monotonic()
        self._put("EVALSHA", self._script.digest, call)
        self._waiting.append(call)
        if self._timer is None:
            self._timer = self._loop.call_later(self._budget_s, self._on_due)
        return True

    def _put(self, command: str, script: str, call: ScriptCall) -> None:
        """Queues a call under a new number, so that numbers rise in the order of the calls."""
        call.generation = self.generation
        call.number = self._number + 1
        self._number += call.width
        floor = self._unanswered[0].number if self._unanswered else call.number
        self._outgoing += self._connection.pack_command(
            command, script, len(call.keys), *call.keys,
            call.operation, call.generation, call.number, floor, call.payload,
        )  # fmt: skip
        self._unanswered.append(call)
        self._is_idle.clear()
        self._has_outgoing.set()

    async def idle(self) -> None:
        """Waits until no call waits for its answer, or the connection is closed."""
        if self._unanswered and not self._is_closed:
            await self._is_idle.wait()

    async def abandon(self) -> None:
        """Closes a connection on which no call was sent."""
        self._is_closed = True
        await self.close()

    async def close(self) -> None:
        """Closes the connection."""
        self._end(LOST)
        tasks = [each for each in self._tasks if each is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(ValkeyError, OSError):
            await self._connection.disconnect(nowait=True)

    async def _write(self) -> None:
        while True:
            await self._has_outgoing.wait()
            self._has_outgoing.clear()
            data, self._outgoing = b"".join(self._outgoing), []
            try:
                await self._connection.send_packed_command(data, check_health=False)
            except (ValkeyError, OSError):
                self._end(LOST)
                return

    async def _read(self) -> None:
        connection = self._connection
        while True:
            try:
                answer = await connection.read_response(disconnect_on_error=False)
            except ResponseError as error:
                answer = error
            except (ValkeyError, OSError):
                self._end(LOST)
                return
            except Exception:  # the client's parser raises many kinds if it is another server
                self._end(MALFORMED)
                return
            if not self._unanswered or not self._answer(self._unanswered[0], answer):
                self._end(MALFORMED)
                return

    def _answer(self, call: ScriptCall, answer: Any) -> bool:
        """Ends the first call with its answer. Returns False if the answer is malformed."""
        if isinstance(answer, ResponseError):
            self._take(call)
            if isinstance(answer, NoScriptError):  # it did not run: the scripts were flushed
                self._put("EVAL", self._script.source, call)
            else:
                code = code_of(answer)
                call.finish(None, f"the shared counters refused it: {code}")
                self._listener.on_refusal(code)
            return True
        try:
            result = decode_result(answer)
        except ValueError:
            return False
        self._take(call)
        if not call.failure:
            self._listener.on_result(result.at)
        call.finish(result)
        return True

    def _take(self, call: ScriptCall) -> None:
        self._unanswered.popleft()
        if self._waiting and self._waiting[0] is call:
            self._waiting.popleft()
        if not self._unanswered:
            self._is_idle.set()

    def _on_due(self) -> None:
        """Gives up the calls whose budget is over."""
        self._timer = None
        now, waiting = time.monotonic(), self._waiting
        if waiting and now > waiting[0].sent_at + self._budget_s + LATE_S:
            # The event loop was busy. It reads what has arrived before it calls this.
            self._timer = self._loop.call_later(LATE_S, self._give_up)
            return
        self._give_up()

    def _give_up(self) -> None:
        self._timer = None
        now, waiting = time.monotonic(), self._waiting
        is_late = False
        while waiting and waiting[0].sent_at + self._budget_s <= now:
            waiting.popleft().give_up(late_reason(self._budget_s))
            is_late = True
        if waiting:
            due_s = waiting[0].sent_at + self._budget_s - now
            self._timer = self._loop.call_later(due_s, self._on_due)
        if is_late:
            self._listener.on_timeout()

    def _end(self, reason: str) -> None:
        """Lets no call wait any longer."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        unanswered = list(self._unanswered)
        for call in unanswered:
            call.give_up(reason)
        self._is_idle.set()
        self._listener.on_loss(reason, unanswered)


async def connect(connection: AbstractConnection) -> None:
    """Opens a connection, unless it is open.

    Raises:
        ValkeyError: the server cannot be reached, or refuses the credentials.
    """
    await connection.connect()  # type: ignore[no-untyped-call] # the client has no types there


def late_reason(budget_s: float) -> str:
    """Returns in words that a call had no answer in time."""
    return f"the shared counters did not answer within {budget_s * 1000:g} ms"


def code_of(error: Exception) -> str:
    """Returns the code of a server's error, such as OOM: it has nothing of the request."""
    word = str(error).split(" ", 1)[0]
    return word if word.isascii() and word.isupper() and word.isalpha() else type(error).__name__
