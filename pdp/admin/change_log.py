"""Reads the change log: who changed what, and the values before and after (docs/audit.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.api_key import SECRET_FIELDS
from pdp.domain.kinds import VERSIONED_KINDS
from pdp.domain.tenant import PLATFORM
from pdp.store.port import ChangeFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.admin.workspace import Workspace
    from pdp.domain.stored_entity import Change
    from pdp.store.port import Reader, RemovedChanges

MASK: Final = "***"

_SECRET: Final = re.compile(
    r"(?:^|_)(?:secret|password|passphrase|webhook|webhook_url|token|private_key|api_key|sha256"
    r"|hash)$"
)
"""Names of fields whose values are never shown: with such a value, a reader could act or write."""


class ChangePage(NamedTuple):
    """A page of changes, newest first.

    Attributes:
        more: the revision below which the next page begins; None if this page is the last.
        removed_through: if not 0, changes up to this revision may be missing, because they were
            removed.
    """

    changes: Sequence[Change]
    more: int | None
    removed_through: int = 0


class ChangeLog:
    """Reads changes of policies."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(
        self, tenant_id: str, before: int | None, limit: int, **filters: Any
    ) -> ChangePage:
        """Returns a page of changes.

        Args:
            tenant_id: the tenant; `PLATFORM` for the policies that all tenants share.
            before: only changes below this revision; None starts with the newest.
            limit: how many changes the page has at most.
            **filters: further fields of `ChangeFilter`.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        change_filter = ChangeFilter(tenant_id, **filters)

        def work(reader: Reader) -> ChangePage:
            changes = reader.select_changes(change_filter, before=before, limit=limit + 1)
            more = changes[limit - 1].revision if len(changes) > limit else None
            removed = _removed(reader.removed_changes(), change_filter, more)
            return ChangePage(changes[:limit], more, removed)

        return await self._workspace.read(work)


def _removed(removed: RemovedChanges, selection: ChangeFilter, more: int | None) -> int:
    """Returns up to which revision a page may lack changes that it selects; 0 if it has all.

    Args:
        removed: the changes that may have been removed.
        selection: selects the changes of the page.
        more: the oldest revision of the page; None if it goes back to the beginning.
    """
    all_kept = selection.tenant_id == PLATFORM or selection.kind in VERSIONED_KINDS
    is_later = selection.since is not None and selection.since > removed.until
    if all_kept or is_later or (more is not None and more > removed.through):
        return 0
    return removed.through


def mask_secrets(value: Any) -> Any:
    """Returns the body of an entity with its secrets replaced by `MASK`."""
    if isinstance(value, Mapping):
        return {
            name: MASK if _is_secret(name) and item else mask_secrets(item)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [mask_secrets(item) for item in value]
    return value


def _is_secret(name: str) -> bool:
    return name in SECRET_FIELDS or _SECRET.search(name) is not None
