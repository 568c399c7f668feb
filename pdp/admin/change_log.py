"""Reads the change log: who changed what, from what, to what (docs/audit.md)."""

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

MASKED: Final = "***"

_SECRET: Final = re.compile(
    r"(?:^|_)(?:secret|password|passphrase|webhook|webhook_url|token|private_key|api_key|sha256"
    r"|hash)$"
)
"""What a field is called whose value no trail shows: whoever has it could act or write with it."""


class ChangePage(NamedTuple):
    """Changes, newest first, their secrets masked.

    Attributes:
        more: the revision below which the next page begins; None where there is none.
    """

    changes: Sequence[Change]
    more: int | None


class ChangeLog:
    """Reads what was changed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(
        self, tenant_id: str, before: int | None, limit: int, **wanted: Any
    ) -> ChangePage:
        """Returns a page of changes.

        Args:
            tenant_id: whose; `PLATFORM` for what all tenants share.
            before: the revision that all of them are below; None for the newest.
            limit: how many at most.
            **wanted: which, by the fields of `ChangeFilter`.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        which = ChangeFilter(tenant_id, **wanted)
        found = await self._workspace.read(
            lambda reader: reader.select_changes(which, before=before, limit=limit + 1)
        )
        more = found[limit - 1].revision if len(found) > limit else None
        return ChangePage(found[:limit], more)


def masked(value: Any) -> Any:
    """Returns a record's body without what only its owner may know."""
    if isinstance(value, Mapping):
        return {
            name: MASKED if _is_secret(name) and item else masked(item)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return value


def _is_secret(name: str) -> bool:
    return name in SECRET_FIELDS or _SECRET.search(name) is not None
