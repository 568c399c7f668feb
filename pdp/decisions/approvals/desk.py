"""The ports through which decisions open and use approvals, and the steps around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pdp.decisions.approvals.grants import (
    NO_GRANTS,
    Grants,
    ReadTokens,
    grants_of,
    read_tokens,
)
from pdp.decisions.approvals.holding import (
    check_holds,
    describe,
    draft_of,
    refused_token,
    stopped_by,
    with_tokens,
)
from pdp.domain.approval import APPROVAL_UNAVAILABLE, CONFIRMATION_KIND, KIND, ApprovalFailed
from pdp.domain.decision import HELD, Outcome
from pdp.errors import ServerNeeded

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from pdp.domain.approval import Approval, ApprovalDraft, TokenStates, TokenUse
    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot


T = TypeVar("T")

Run = Callable[..., Awaitable[Any]]
"""Runs a function: takes the tenant, the function and its arguments."""


class ApprovalDesk(Protocol):
    """Opens, reads and uses approvals. Each method but `check` waits for the store."""

    def check(self) -> None:
        """Checks that requests can be held here.

        Raises:
            ServerNeeded: another process has the approvals.
        """

    async def open(self, draft: ApprovalDraft) -> Approval:
        """Opens an approval, or returns the open one of the same input and caller.

        Raises:
            ApprovalFailed: it was denied, or too many are open.
            StoreUnavailable: the store cannot be written.
        """

    async def read(
        self, tenant_id: str, approvals: Sequence[str], confirmations: Sequence[str]
    ) -> TokenStates:
        """Returns what the store says of tokens, by the ids of approvals and confirmations.

        Raises:
            StoreUnavailable: the store cannot be read.
        """

    async def use(self, tenant_id: str, uses: Sequence[TokenUse]) -> None:
        """Uses all tokens, or none. Each can be used once.

        Raises:
            ApprovalFailed: a token has been used, or its approval is not given.
            StoreUnavailable: the store cannot be written.
        """


class NoDesk:
    """No approvals: nothing is opened, and no token lets anything pass."""

    def check(self) -> None:
        """Lets requests be held; then they are stopped."""

    async def open(self, draft: ApprovalDraft) -> Approval:
        """Raises ApprovalFailed."""
        raise ApprovalFailed(APPROVAL_UNAVAILABLE)

    async def read(
        self, tenant_id: str, approvals: Sequence[str], confirmations: Sequence[str]
    ) -> TokenStates:
        """Raises ApprovalFailed."""
        raise ApprovalFailed(APPROVAL_UNAVAILABLE)

    async def use(self, tenant_id: str, uses: Sequence[TokenUse]) -> None:
        """Raises ApprovalFailed."""
        raise ApprovalFailed(APPROVAL_UNAVAILABLE)


class HoldSteps:
    """The steps of a decision that open or use approvals."""

    def __init__(self, desk: ApprovalDesk, run: Run) -> None:
        """Takes the desk, and what runs the redaction of what approvers see.

        Args:
            desk: opens, reads and uses approvals.
            run: see `HeavyWork.run`.
        """
        self._desk = desk
        self._run = run

    async def decide(
        self,
        snapshot: Snapshot,
        request: Request,
        inputs: Sequence[Request],
        evaluate: Callable[[Sequence[Request]], Awaitable[Decision]],
        recorded: Callable[[], Request],
    ) -> Decision:
        """Returns the decision on a request that may have tokens and may be held.

        Args:
            snapshot: the policies.
            request: the request.
            inputs: what is decided on: the request, or the parts of its payload as requests.
            evaluate: decides on the inputs, which have what the tokens let pass.
            recorded: returns the request as it is recorded; called only if that is needed.
        """
        grants = NO_GRANTS
        if request.tokens and not request.without_approval:
            try:
                grants = await self._grants(snapshot, request, inputs)
            except ApprovalFailed as error:
                return refused_token(snapshot, request, error)
        decision = await evaluate(grants.inputs or inputs)
        if decision.holds or grants.uses:
            return await self.settled(snapshot, recorded(), decision, grants)
        return decision

    async def _grants(
        self, snapshot: Snapshot, request: Request, inputs: Sequence[Request]
    ) -> Grants:
        """Returns what the tokens of a request let pass; see `decide`.

        Raises:
            ApprovalFailed: a token is refused. The cause is the error, if the store failed.
        """
        key, tenant_id = snapshot.platform.keys.approval, request.tenant_id
        try:
            # In a thread, because all that is decided on is hashed.
            read: ReadTokens = await self._run(tenant_id, read_tokens, key, request, inputs)
            states = await self._desk.read(tenant_id, read.ids(KIND), read.ids(CONFIRMATION_KIND))
        except ApprovalFailed:
            raise
        except Exception as error:  # the store failed, or too much waits for threads
            raise ApprovalFailed(APPROVAL_UNAVAILABLE) from error
        return grants_of(inputs, read, states)

    async def settled(
        self, snapshot: Snapshot, request: Request, decision: Decision, grants: Grants = NO_GRANTS
    ) -> Decision:
        """Returns a decision once what it holds or uses is committed; a BLOCK if that fails.

        Args:
            snapshot: the policies of the decision.
            request: the request; for a payload, the one that is recorded.
            decision: the decision.
            grants: what the tokens of the request have let pass.

        Raises:
            ServerNeeded: another process has the approvals.
        """
        if request.without_approval:
            return decision
        try:
            if decision.outcome in HELD:
                self._desk.check()
                return await self._held(snapshot, request, decision, grants)
            if grants.uses and decision.allowed:
                await self._desk.use(request.tenant_id, grants.uses)
        except ServerNeeded:
            raise
        except ApprovalFailed as error:
            return stopped_by(decision, error.problem)
        except Exception as error:  # whatever failed, nothing was committed that lets it pass
            return stopped_by(decision, APPROVAL_UNAVAILABLE, error)
        return decision

    async def _held(
        self, snapshot: Snapshot, request: Request, decision: Decision, grants: Grants
    ) -> Decision:
        check_holds(decision)
        approval = None
        if decision.outcome is Outcome.ESCALATE:
            record = await self._run(request.tenant_id, describe, snapshot, request, decision)
            draft = draft_of(snapshot, request, decision, record, grants)
            approval = await self._desk.open(draft)
        return with_tokens(snapshot, request, decision, approval)


async def run_here(tenant_id: str, work: Callable[..., T], *args: Any) -> T:
    """Runs `work` in the caller's thread, in place of `HeavyWork.run`."""
    return work(*args)


def run_now(steps: Coroutine[Any, Any, T]) -> T:
    """Runs steps that never wait, with a desk that works in the caller's thread."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a step waits, but there is no event loop")
