"""The desk commits decisions together, in turns of tenants; the sweeper closes what is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.admin.approvals import sweeper as sweeping
from pdp.admin.approvals.desk import GROUP, MAX_WAITING, WorkspaceDesk
from pdp.admin.approvals.sweeper import ApprovalSweeper
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.domain.approval import (
    APPROVED,
    CONFIRMATION_KIND,
    KIND,
    Approval,
    ApprovalDraft,
    ApprovalFailed,
    EscalatedRule,
    TokenUse,
    body_of,
)
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.stored_entity import StoredEntity
from pdp.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pdp.store.port import Transaction

RULE: Final = EscalatedRule("key", "chain", "r1", "rule", "why", ("role:approver",))


def draft(tenant: str = "acme", input_hash: str = "h", **fields: Any) -> ApprovalDraft:
    values: dict[str, Any] = {
        "tenant_id": tenant,
        "caller": "key:1",
        "message": "why",
        "input_hash": input_hash,
        "inputs": (input_hash,),
        "rules": (RULE,),
        "subject": "s",
        "barred": (),
        "record": {},
        "expires_s": 60,
        **fields,
    }
    return ApprovalDraft(**values)


class Counted(Workspace):
    """Counts transactions, and fails on request."""

    commits = 0
    fails = False

    async def transact(self, work: Callable[[Transaction], Any]) -> Any:
        self.commits += 1
        if self.fails:
            raise StoreUnavailable("the disk is full")
        return await super().transact(work)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Counted]:
    store = open_policies(f"sqlite:///{tmp_path}/pdp.db")
    workspace = Counted(store, create_publisher(store, DEFAULT_RISK_TABLE))
    yield workspace
    workspace.close()
    store.close()


async def results(*work: Any) -> list[Any]:
    return list(await asyncio.gather(*work, return_exceptions=True))


async def test_decisions_that_come_together_share_a_commit(workspace: Counted) -> None:
    desk = WorkspaceDesk(workspace)
    drafts = [draft(input_hash=f"h{number}", subject=f"s{number}") for number in range(GROUP)]
    opened = await results(*map(desk.open, drafts))
    assert len({each.id for each in opened}) == GROUP
    assert workspace.commits == 1


async def test_one_that_fails_does_not_fail_the_others(workspace: Counted) -> None:
    desk = WorkspaceDesk(workspace)
    use = TokenUse(KIND, "unknown", "h", 1e12, "key:1")
    confirmation = TokenUse(CONFIRMATION_KIND, "c", "h", 1e12, "key:1")
    refused, used, opened, again = await results(
        desk.use("acme", [use]),
        desk.use("acme", [confirmation]),
        desk.open(draft()),
        desk.use("acme", [confirmation]),
    )
    assert isinstance(refused, ApprovalFailed)
    assert used is None
    assert isinstance(opened, Approval)
    assert isinstance(again, ApprovalFailed)
    assert again.problem.reason_code == "TOKEN_USED"


async def test_all_tokens_are_used_or_none(workspace: Counted) -> None:
    desk = WorkspaceDesk(workspace)
    good = TokenUse(CONFIRMATION_KIND, "c", "h", 1e12, "key:1")
    late = TokenUse(CONFIRMATION_KIND, "late", "h", 1.0, "key:1")
    (failure,) = await results(desk.use("acme", [good, late]))
    assert failure.problem.reason_code == "TOKEN_EXPIRED"
    assert await results(desk.use("acme", [good])) == [None]


async def test_a_commit_that_fails_fails_all(workspace: Counted) -> None:
    desk = WorkspaceDesk(workspace)
    workspace.fails = True
    failures = await results(desk.open(draft()), desk.open(draft(input_hash="other")))
    assert all(isinstance(each, StoreUnavailable) for each in failures)
    workspace.fails = False
    (opened,) = await results(desk.open(draft()))
    assert opened.state == "pending"


async def test_tenants_take_turns(workspace: Counted) -> None:
    """One decision of another tenant does not wait for a hundred of the first."""
    desk = WorkspaceDesk(workspace)
    order: list[str] = []

    async def open_one(tenant: str, number: int) -> None:
        await desk.open(draft(tenant, f"h{number}", subject=f"s{number}"))
        order.append(tenant)

    await asyncio.gather(
        *(open_one("busy", number) for number in range(2 * GROUP)), open_one("quiet", 0)
    )
    assert order.index("quiet") < GROUP


async def test_too_many_of_a_tenant_are_refused(workspace: Counted) -> None:
    desk = WorkspaceDesk(workspace)
    drafts = [draft("busy", f"h{number}", subject=f"s{number}") for number in range(300)]
    opened = await results(*map(desk.open, drafts), desk.open(draft("quiet")))
    refused = [each for each in opened if isinstance(each, ApprovalFailed)]
    assert len(refused) == len(drafts) - MAX_WAITING
    assert {each.problem.reason_code for each in refused} == {"APPROVAL_LIMIT_EXCEEDED"}
    assert isinstance(opened[-1], Approval)


async def test_a_caller_that_goes_away_stops_nobody(workspace: Counted) -> None:
    desk = WorkspaceDesk(workspace)
    gone = asyncio.create_task(desk.open(draft()))
    stays = asyncio.create_task(desk.open(draft(input_hash="other")))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).state == "pending"
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (await desk.open(draft())).state == "pending"


async def test_the_time_of_an_approval(workspace: Counted) -> None:
    """What is over is closed when the same request comes, or by the sweeper."""
    desk = WorkspaceDesk(workspace)
    sweeper = ApprovalSweeper(workspace, desk)
    await sweeper.sweep()
    first = await desk.open(draft(expires_s=0))
    second = await desk.open(draft(expires_s=0))
    assert first.id != second.id
    assert (sweeper.expired, desk.expired) == (1, 1)
    await sweeper.sweep()
    assert sweeper.expired == 2
    await sweeper.sweep()
    assert sweeper.expired == 2


async def test_many_that_are_over_are_closed_in_groups(
    workspace: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "GROUP", 2)
    desk = WorkspaceDesk(workspace)
    for number in range(5):
        await desk.open(draft(input_hash=f"h{number}", expires_s=0))
    sweeper = ApprovalSweeper(workspace, desk)
    await sweeper.sweep()
    assert sweeper.expired == 5


async def test_what_is_old_is_removed(workspace: Counted) -> None:
    approval = await WorkspaceDesk(workspace).open(draft())
    old = replace(approval, state="used", expires_at=1.0)

    def put(transaction: Transaction) -> None:
        entity = StoredEntity(KIND, "acme", old.id, body_of(old))
        transaction.put(entity, actor="ann", summary="Put")

    await workspace.transact(put)
    await ApprovalSweeper(workspace, WorkspaceDesk(workspace)).sweep()
    assert await workspace.read(lambda reader: reader.get(KIND, "acme", old.id)) is None


async def test_approvals_compile_no_policies(workspace: Counted) -> None:
    """They are in the change log, but no tenant is loaded or compiled again for them."""
    desk = WorkspaceDesk(workspace)
    await workspace.load("acme")
    before = workspace.stats.compilations
    approval = await desk.open(draft())
    await workspace.catch_up()
    await workspace.snapshot("acme")
    assert workspace.stats.compilations == before
    assert approval.state != APPROVED
