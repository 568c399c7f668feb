"""ETag and If-Match, as HTTP headers and as gRPC metadata with the same names and values.

A servicer needs one line, regardless of the entity:

    rule = with_etag(call, await self._rules.get(call.tenant_id, message.id))
    rule = with_new_etag(call, await self._rules.update(..., expectation(call)))

The tag is the revision of the entity's last change, in quotes. It is a strong tag (RFC 9110,
8.8.3).
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
"""The revision from which a write is in force, for `min_revision`."""

MAX_TAGS: Final = 100

# An entity tag of RFC 9110 in a list, with the spaces around it and the comma or end after it.
_TAG: Final = re.compile(r'[ \t]*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(,|$)')
_REVISION: Final = re.compile(r"0|[1-9][0-9]{0,15}")

T = TypeVar("T")


def expectation(call: Call) -> Precondition:
    """Returns the caller's `If-Match` header: the revisions that allow it to write an entity.

    Raises:
        InvalidArgument: the header is not a list of entity tags.
    """
    header = call.metadata.get(IF_MATCH_HEADER)
    if header is None:
        return NO_PRECONDITION
    if header.strip() == "*":
        return Precondition(None)
    return Precondition(frozenset(_revisions(header)))


def with_etag(call: Call, versioned: Versioned[T]) -> T:
    """Returns the entity that was read, and sets the response's ETag."""
    call.reply[ETAG_HEADER] = f'"{versioned.revision}"'
    return versioned.value


def with_new_etag(call: Call, written: WriteResult[Versioned[T]]) -> T:
    """Returns the entity that was written, and sets the ETag, revision and warnings."""
    return with_etag(call, with_revision(call, written))


def with_revision(call: Call, written: WriteResult[T]) -> T:
    """Returns the result of a write; sets the revision and the warnings of the response.

    Use it for a write without an ETag, such as a deletion.
    """
    call.warnings = written.warnings
    call.reply[REVISION_HEADER] = str(written.revision)
    return written.value


def _revisions(header: str) -> list[int]:
    """Returns the revisions of the strong tags in a list.

    Ignores weak tags, which never match (RFC 9110, 13.1.1), and tags that are not a revision.
    """
    tags: list[re.Match[str]] = []
    position = 0
    while len(tags) < MAX_TAGS and (tag := _TAG.match(header, position)):
        tags.append(tag)
        position = tag.end()
        if not tag[3]:
            break
    if not tags or tags[-1][3] or position != len(header):
        raise InvalidArgument.of(
            Violation("If-Match", f'must be * or up to {MAX_TAGS} tags in quotes, such as "42"')
        )
    return [int(tag[2]) for tag in tags if not tag[1] and _REVISION.fullmatch(tag[2])]
