"""The change log takes no more space than it must.

- The body before a change is that after the change before it, so a change does not store it.
  `BEFORE` reads it there. Changes of earlier releases have it.
- Changes that are older than the retention are removed, except those of kinds with a version
  history and those of the platform. The next change of the same entity then gets its body before.
  The newest change stays in any case: it has the revision of the store. `removed_through` is the
  revision up to which changes may be missing.

A removal is one short step after the other, so that other writers hardly wait.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.tenant import PLATFORM
from pdp.store.port import Compaction, RemovedChanges

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.store.port import ChangeRetention

    Execute = Callable[..., list[tuple[Any, ...]]]

BEFORE: Final = """
    CASE WHEN op = 'create' OR before IS NOT NULL THEN before ELSE (
        SELECT earlier.after FROM changes AS earlier
        WHERE earlier.tenant_id = changes.tenant_id AND earlier.kind = changes.kind
            AND earlier.entity_id = changes.entity_id AND earlier.revision < changes.revision
        ORDER BY earlier.revision DESC LIMIT 1
    ) END
"""
"""SQL for the body before a change."""

STEP_S: Final = 0.01
"""How long one step works. A write that comes meanwhile waits for its end."""

WINDOW: Final = 50
"""How many revisions a step handles before it looks at the time."""

_WINDOW: Final = """
    SELECT revision, at FROM changes
    WHERE revision > ? AND revision < (SELECT max(revision) FROM changes)
    ORDER BY revision LIMIT ?
"""
_STATE: Final = "SELECT removed_through, removed_until FROM change_log"
_SET_STATE: Final = "UPDATE change_log SET removed_through = ?, removed_until = ?"
_REMOVABLE: Final = "revision > ? AND revision <= ? AND tenant_id <> ? AND kind NOT IN ({kinds})"
_KEEP_BEFORE: Final = f"""
    UPDATE changes SET before = {BEFORE}
    WHERE op <> 'create' AND before IS NULL AND revision IN (
        SELECT (
            SELECT min(later.revision) FROM changes AS later
            WHERE later.tenant_id = removed.tenant_id AND later.kind = removed.kind
                AND later.entity_id = removed.entity_id AND later.revision > ?
        )
        FROM changes AS removed WHERE {_REMOVABLE}
    )
"""  # noqa: S608 - the parts are constants
_REMOVE: Final = f"DELETE FROM changes WHERE {_REMOVABLE} RETURNING 1"  # noqa: S608 - as above


def removed_changes(execute: Execute) -> RemovedChanges:
    """Returns up to which change the log may be incomplete."""
    [state] = execute(_STATE)
    return RemovedChanges(*state)


def compact(execute: Execute, retention: ChangeRetention) -> Compaction:
    """Runs one step. Call it in a transaction that may write."""
    through = removed_changes(execute).through
    kinds = sorted(retention.kept_kinds)
    places = ", ".join("?" * len(kinds))
    ends_at = time.monotonic() + STEP_S
    removed = 0
    while True:
        window = _window(execute, through, retention.remove_before)
        if not window:
            return Compaction(removed, more=False)
        last, until = window[-1]
        removable = (through, last, PLATFORM, *kinds)
        execute(_KEEP_BEFORE.format(kinds=places), last, *removable)
        removed += len(execute(_REMOVE.format(kinds=places), *removable))
        execute(_SET_STATE, last, until)
        through = last
        if time.monotonic() >= ends_at:
            return Compaction(removed, more=True)


def _window(execute: Execute, after: int, before: float) -> list[tuple[int, float]]:
    """Returns the next revisions that are old enough, each with its time."""
    window: list[tuple[int, float]] = []
    for revision, at in execute(_WINDOW, after, WINDOW):
        if at >= before:
            break
        window.append((revision, at))
    return window
