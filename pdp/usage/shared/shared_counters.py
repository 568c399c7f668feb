"""Keeps a connection to the server of the counters, and says whether it may be asked.

A server that does not answer in time, refuses, or is gone must not cost every decision its budget.
So after one failure no decision asks it, until it has added everything that was counted without it,
and has answered a probe within the budget. Probes come at growing intervals.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

import structlog
from valkey.exceptions import AuthenticationError, NoPermissionError

from pdp.errors import ConfigError
from pdp.usage.shared.address import CONNECT_TIMEOUT_S, SETTING
from pdp.usage.shared.call import ScriptCall
from pdp.usage.shared.link import BUSY, MALFORMED, Link, code_of, connect, late_reason
from pdp.usage.shared.script import COUNT, FENCE, CallInput, Script, decode_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.usage.shared.address import CounterServer
    from pdp.usage.shared.script import CountResult

FIRST_PAUSE_S: Final = 0.02
MAX_PAUSE_S: Final = 5.0
"""Pauses between attempts to connect grow up to this."""

MAX_SLOW_PAUSE_S: Final = 0.5
"""Pauses grow up to this while there is a connection: a server that answers too late by chance must
be asked again soon, and one budget in this time costs next to nothing."""

STEADY_S: Final = 1.0
"""After this time without a failure, pauses are short again."""

REPORT_TIMEOUT_S: Final = 2.0
"""How long the server may take to add what was counted without it."""

REPORTS_AT_ONCE: Final = 64
"""Calls of a report that wait for their answers at the same time."""

PROBE_TENANT: Final = "*probe"
"""The tenant of probes; the id of a tenant has no asterisk."""

_UNREACHABLE: Final = "the shared counters cannot be reached"

_log: Final = structlog.get_logger("pdp.limits")


class UnreportedUsage(Protocol):
    """What the server must add."""

    def calls(self) -> Sequence[ScriptCall]:
        """Takes what was counted without the server; what a call does not add, it puts back."""

    def drop_past(self) -> None:
        """Drops what no longer matters to any limit."""


class Unusable(Exception):
    """The server cannot be asked now; the text says why."""


class SharedCounters:
    """The connection to the server. All methods run on the event loop's thread.

    Attributes:
        ready: whether decisions may ask the server.
        reason: why not, in words.
        replica_id: names this process in the server's keys.
        timeouts, refusals, losses: how often a budget was exceeded, the server refused a call, and
            a connection was lost.
    """

    def __init__(
        self,
        server: CounterServer,
        budget_s: float,
        unreported: UnreportedUsage,
        script: Script | None = None,
    ) -> None:
        """Takes what to connect to; `start` connects.

        Args:
            server: the server.
            budget_s: how long a decision waits for an answer.
            unreported: what was counted without the server.
            script: the script; None for the one that ships.
        """
        self.ready = False
        self.reason = _UNREACHABLE
        self.replica_id = uuid4().hex
        self.timeouts = self.refusals = self.losses = 0
        self._server = server
        self._budget_s = budget_s
        self._unreported = unreported
        self._script = script or Script.of()
        self._link: Link | None = None
        self._lost: list[Link] = []
        self._generation = 0
        self._unresolved: defaultdict[str, list[ScriptCall]] = defaultdict(list)
        self._trouble = asyncio.Event()
        self._offset_s: float | None = None
        self._is_failing = False

    def time(self) -> float:
        """Returns the server's time, as far as it is known; else this machine's."""
        if self._offset_s is None:
            return time.time()
        return time.monotonic() + self._offset_s

    def send(self, call: ScriptCall) -> bool:
        """Sends a call. Returns False if that is not possible now."""
        call.server_time = self.time()
        if self._link is not None and self._link.send(call):
            return True
        if self.ready:
            self._fail(BUSY)
        return False

    async def start(self) -> None:
        """Connects once. If the server cannot be used now, decisions begin without it.

        Raises:
            ConfigError: the server refuses the credentials.
        """
        try:
            await self._attempt()
        except (AuthenticationError, NoPermissionError):
            raise ConfigError(
                f"{SETTING}: the server at {self._server} refuses the user or the password, or "
                "does not let the user run scripts. Correct the URL, or the user's rights."
            ) from None
        except Exception as error:  # any error leaves a server that cannot be asked now
            self._fail(_words(error))

    async def run(self) -> None:
        """Keeps the connection, until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            if self.ready:
                began = time.monotonic()
                await self._trouble.wait()
                if time.monotonic() - began >= STEADY_S:
                    pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - spreads replicas
            pause_s = min(2 * pause_s, MAX_PAUSE_S if self._link is None else MAX_SLOW_PAUSE_S)
            self._unreported.drop_past()
            try:
                await self._attempt()
            except Exception as error:
                # Never give up: without this loop, replicas would not count together any more.
                self._fail(_words(error))

    async def close(self) -> None:
        """Reports what was counted, if the server is there, and closes the connection."""
        if self.ready:
            with suppress(Unusable):
                await self._report()
        self.ready = False
        self._is_failing = True  # so that the end of the connection is not logged
        await self._drop()

    def on_timeout(self) -> None:
        """See `LinkListener`."""
        self.timeouts += 1
        self._fail(late_reason(self._budget_s))

    def on_refusal(self, code: str) -> None:
        """See `LinkListener`."""
        self.refusals += 1
        self._fail(f"the shared counters refuse calls: {code}")

    def on_result(self, at: float) -> None:
        """See `LinkListener`."""
        self._offset_s = at - time.monotonic()

    def on_loss(self, reason: str, unanswered: list[ScriptCall]) -> None:
        """See `LinkListener`."""
        self.losses += 1
        for call in unanswered:
            self._unresolved[call.tenant_id].append(call)
        if self._link is not None:
            self._lost.append(self._link)
            self._link = None
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self.ready, self.reason = False, reason
        self._trouble.set()
        if not self._is_failing:
            self._is_failing = True
            _log.warning(
                "limits are counted by this process alone", server=str(self._server), reason=reason
            )

    async def _attempt(self) -> None:
        """Makes the server usable, or finds out that it is not.

        Raises:
            Unusable: it cannot be asked now.
            ValkeyError: it cannot be reached, or refuses the connection.
        """
        link = self._link
        if link is not None and link.oldest_s > REPORT_TIMEOUT_S:
            await self._drop()  # it has stalled; the calls are resolved on the next connection
        if self._link is None:
            await self._drop()
            self._link = await self._connect()
        await self._report()
        await self._probe()
        self._trouble.clear()
        self.ready, self.reason = True, ""
        if self._is_failing:
            self._is_failing = False
            _log.info("limits are counted by the shared counters", server=str(self._server))
        for call in self._unreported.calls():  # counted while the probe was under way
            if not self.send(call):
                call.finish(None)

    async def _connect(self) -> Link:
        self._generation += 1
        connection = self._server.connection()
        link = Link(connection, self._script, self._generation, self._budget_s, self)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connect(connection)
                await self._resolve(link)
                await link.open()
        except BaseException as error:
            await link.abandon()
            if isinstance(error, TimeoutError):
                raise Unusable(_UNREACHABLE) from None
            raise
        return link

    async def _drop(self) -> None:
        """Closes the connection, and what is left of earlier ones."""
        if self._link is not None:
            await self._link.close()
        for link in self._lost:
            await link.close()
        self._lost = []

    async def _resolve(self, link: Link) -> None:
        """Asks which of the calls without an answer ran, and prevents the others from running."""
        for tenant_id, calls in list(self._unresolved.items()):
            key = CallInput(tenant_id, self.replica_id).keys[0]
            arguments = (FENCE, link.generation)
            answer = await link.ask("EVAL", self._script.source, 1, key, *arguments)
            try:
                ran = decode_calls(answer)
            except ValueError:
                raise Unusable(MALFORMED) from None
            del self._unresolved[tenant_id]
            for call in calls:
                call.resolve(ran)

    async def _report(self) -> None:
        """Has the server add what was counted without it.

        Raises:
            Unusable: the server did not take it.
        """
        while calls := list(self._unreported.calls()):
            failures = self.refusals + self.losses
            try:
                while calls and self.refusals + self.losses == failures:
                    self._send_some(calls)
                    await self._idle()
            finally:
                for call in calls:
                    call.finish(None)
            if self.refusals + self.losses > failures:
                raise Unusable(self.reason)

    def _send_some(self, calls: list[ScriptCall]) -> None:
        """Sends calls of a report, and removes them from the list."""
        for _ in range(min(len(calls), REPORTS_AT_ONCE)):
            if not self.send(calls[-1]):
                raise Unusable(self.reason or BUSY)
            calls.pop()

    async def _idle(self) -> None:
        link = self._link
        if link is None:
            return
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                await link.idle()
        except TimeoutError:
            raise Unusable(late_reason(REPORT_TIMEOUT_S)) from None

    async def _probe(self) -> None:
        """Runs the script as a decision would.

        Raises:
            Unusable: it failed, or took longer than a decision waits.
        """
        waiter: asyncio.Future[CountResult | None] = asyncio.get_running_loop().create_future()
        call = ScriptCall(PROBE_TENANT, COUNT, CallInput(PROBE_TENANT, self.replica_id), waiter)
        if not self.send(call):
            raise Unusable(BUSY)
        if await waiter is None:
            raise Unusable(call.failure)


def _words(error: Exception) -> str:
    """Returns an error without the text of the server or of the client."""
    if isinstance(error, Unusable):
        return str(error)
    return f"{_UNREACHABLE}: {code_of(error)}"
