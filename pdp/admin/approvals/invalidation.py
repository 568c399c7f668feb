"""Makes all approvals and tokens of a restored database worthless.

An approval that was used after the backup is unused in the backup, and so is a confirmation: both
could let a request pass a second time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pdp.admin.approvals.entities import put
from pdp.admin.install.keys import renew_approval_key
from pdp.domain.approval import CANCELLED, Approval

if TYPE_CHECKING:
    from pdp.store.port import Store

_REASON: Final = "a backup was restored"


def invalidate_approvals(store: Store, actor: str) -> int:
    """Replaces the key for approvals, and cancels all open approvals.

    Args:
        store: the restored database. No other process may use it.
        actor: who restores it, for the change log.

    Returns:
        How many approvals were open.

    Raises:
        StoreUnavailable: the restored database cannot be written.
    """
    cancelled = 0
    with store.write() as transaction:
        renew_approval_key(transaction, actor)
        while open_approvals := transaction.due_approvals(math.inf):
            for entity in open_approvals:
                approval = replace(Approval(**entity.body), state=CANCELLED, answer_reason=_REASON)
                put(transaction, entity.tenant_id, approval, actor, f"Cancelled: {_REASON}")
            cancelled += len(open_approvals)
    return cancelled
