"""ETag and If-Match: as HTTP headers, and as gRPC metadata of the same names and values.

One line in a servicer, whatever the entity:

    thing = shown(call, await self._things.get(call.tenant_id, asked.id))
    thing = stored(call, await self._things.update(..., expectation(call)))

The tag is the revision of the entity's last change, in quotes, and a strong one (RFC 9110, 8.8.3).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from pdp.admin.workspace import WriteResult
    from pdp.transport.call import Call

ETAG_HEADER: Final = "etag"
IF_MATCH_HEADER: Final = "if-match"
REVISION_HEADER: Final = "x-pdp-revision"
"""Tells a writer which revision its write is in force from, for `min_revision`."""

MAX_TAGS: Final = 100

# An entity tag of RFC 9110, what may stand around it in a list, and the comma or the end behind it.
_TAG: Final = re.compile(r'[ \t]*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(,|$)')
_REVISION: Final = re.compile(r"0|[1-9][0-9]{0,15}")

T = TypeVar("T")


def expectation(call: Call) -> Precondition:
    """Returns what the caller expects of the entity that it writes: its `If-Match`.

    Raises:
        InvalidArgument: the header is no list of entity tags.
    """
    given = call.metadata.get(IF_MATCH_HEADER)
    if given is None:
        return NO_PRECONDITION
    if given.strip() == "*":
        return Precondition(None)
    return Precondition(frozenset(_revisions(given)))


def shown(call: Call, versioned: Versioned[T]) -> T:
    """Returns what was read, and shows the caller its tag."""
    call.reply[ETAG_HEADER] = f'"{versioned.revision}"'
    return versioned.value


def stored(call: Call, written: WriteResult[Versioned[T]]) -> T:
    """Returns what was written, and shows the caller its new tag and what it is in force from."""
    return shown(call, settled(call, written))


def settled(call: Call, written: WriteResult[T]) -> T:
    """Returns the result of a write that leaves no entity to tag, such as a deletion."""
    call.reply[REVISION_HEADER] = str(written.revision)
    return written.value


def _revisions(given: str) -> list[int]:
    """Returns the revisions that the strong tags in a list name.

    Other tags are none of ours, and weak ones never match (RFC 9110, 13.1.1).
    """
    tags: list[re.Match[str]] = []
    place = 0
    while len(tags) < MAX_TAGS and (tag := _TAG.match(given, place)):
        tags.append(tag)
        place = tag.end()
        if not tag[3]:
            break
    if not tags or tags[-1][3] or place != len(given):
        raise InvalidArgument.of(
            Violation("If-Match", f'must be * or up to {MAX_TAGS} tags in quotes, such as "42"')
        )
    return [int(tag[2]) for tag in tags if not tag[1] and _REVISION.fullmatch(tag[2])]
