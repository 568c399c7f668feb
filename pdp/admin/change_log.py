"""Reads the change log: who changed what, and the values before and after (docs/audit.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.api_key import SECRET_FIELDS
from pdp.store.port import ChangeFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.admin.workspace import Workspace
    from pdp.domain.stored_entity import Change

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
    """

    changes: Sequence[Change]
    more: int | None


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
        changes = await self._workspace.read(
            lambda reader: reader.select_changes(change_filter, before=before, limit=limit + 1)
        )
        more = changes[limit - 1].revision if len(changes) > limit else None
        return ChangePage(changes[:limit], more)


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
