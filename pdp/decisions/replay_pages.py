"""Recorded decisions judged again, a page of them at a time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.decisions.replay_tally import ReplayTally, replay_records
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision_record import DecisionRecord
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.audit_log import AuditLog
    from pdp.engine.snapshot import Snapshot


_CURSOR: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]{1,18})")


class ReplayPage(NamedTuple):
    """A page that was judged again.

    Attributes:
        progress: the share of all that is done, from 0 to 1.
        next_cursor: for the next page; empty where there is none.
    """

    tally: ReplayTally
    progress: float = 1.0
    next_cursor: str = ""


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page is wanted.

    Attributes:
        cursor: `next_cursor` of the last page; empty for the first.
        limit: decisions on a page.
        examples: how many decisions of each change are named.
    """

    cursor: str
    limit: int
    examples: int


class _Place(NamedTuple):
    done: int
    first: int
    last: int


def replay_page(
    log: AuditLog, before: Snapshot, after: Snapshot, wanted: Mapping[str, Any], paging: Paging
) -> ReplayPage:
    """Judges a page of a tenant's recorded decisions again, oldest first.

    What is recorded while pages are read is not among them.

    Args:
        log: of the decisions.
        before: the tenant's policies as they are.
        after: the policies in question.
        wanted: fields of `RecordFilter`, beside the tenant.
        paging: which page.

    Raises:
        InvalidArgument: the cursor is none of ours.
        StoreUnavailable: the records cannot be read.
    """
    place = _place(paging.cursor) if paging.cursor else _Place(0, 0, log.last())
    found = log.follow(
        RecordFilter(before.tenant_id, **wanted), after=place.done, limit=paging.limit
    )
    kept = [each for each in found if each.sequence <= place.last]
    records = [DecisionRecord.from_json(json.loads(each.body)) for each in kept]
    tally = replay_records(records, before, after, paging.examples)
    if len(kept) < paging.limit or kept[-1].sequence == place.last:
        return ReplayPage(tally)
    first, done = place.first or kept[0].sequence, kept[-1].sequence
    progress = (done - first + 1) / (place.last - first + 1)
    return ReplayPage(tally, progress, f"{done}.{first}.{place.last}")


def _place(cursor: str) -> _Place:
    found = _CURSOR.fullmatch(cursor)
    place = _Place(*map(int, found.groups())) if found else None
    if place is None or not 0 < place.first <= place.done < place.last:
        raise InvalidArgument.of(Violation("cursor", "is not the `next_cursor` of a replay"))
    return place
