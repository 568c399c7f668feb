"""The script that counts on the server, and the form of its input and of its answers."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pdp.domain.usage import NOTHING, Counts, SubjectUsage
from pdp.usage.usage_windows import DAY, MONTH, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.limits import ActiveLimit
    from pdp.domain.usage import CounterId
    from pdp.usage.usage_windows import SubjectKey

SOURCE: Final = files("pdp.usage.shared").joinpath("counters.lua").read_text(encoding="utf-8")

COUNT: Final = b"count"
READ: Final = b"read"
FENCE: Final = b"fence"

_WINDOWS: Final = {SECOND: 0, DAY: 1, MONTH: 2}

UsageRow = tuple[int, int, int, int, int, int, int, int, int]
"""Requests of the minute; requests, tokens and cost of the day and of the month; when the minute
has room again, 0 if it has or never will; when it is empty."""


class ChargeResult(NamedTuple):
    """The answer to one charge.

    Attributes:
        taken: whether it was counted.
        rows: the usage of each subject before it; False if its key holds something else.
    """

    taken: bool
    rows: tuple[UsageRow | bool, ...]

    @property
    def is_readable(self) -> bool:
        """Whether the server knows the usage of all subjects."""
        return False not in self.rows


class CountResult(NamedTuple):
    """The answer to a call.

    Attributes:
        at: the server's time, in seconds since the epoch.
        charges: the answer to each charge.
    """

    at: float
    charges: tuple[ChargeResult, ...]


class CallsThatRan(NamedTuple):
    """Which calls of a replica for a tenant ran.

    Attributes:
        generation: the generation of the connection that they came from.
        last: the number of the last one.
        taken: the numbers of the charges that were taken, as far as they were unanswered.
    """

    generation: int
    last: int
    taken: tuple[int, ...]


class Script(NamedTuple):
    """A script, and its digest, by which the server finds it.

    Attributes:
        source: the text of the script.
        digest: the SHA-1 of the text, in hexadecimal.
    """

    source: str
    digest: str

    @classmethod
    def of(cls, source: str = SOURCE) -> Script:
        """Returns the script with its digest."""
        return cls(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


class CallInput:
    """Collects the keys and the input of one call: additions and charges of one tenant."""

    def __init__(self, tenant_id: str, replica_id: str) -> None:
        self._prefix = f"pdp:limits:{{{tenant_id}}}:"
        self._keys = {f"{self._prefix}calls:{replica_id}": 1}
        self._additions: list[tuple[int, int, int, int, int, int]] = []
        self._charges: list[tuple[int, int, int, object]] = []

    def add(self, additions: Mapping[CounterId, Counts]) -> None:
        """Adds counts of the tenant's subjects, whether or not their bounds have room."""
        for counter, counts in additions.items():
            key = self._index(counter.scope, counter.subject_id)
            self._additions.append((key, _WINDOWS[counter.window], counter.start, *counts))

    def charge(self, limits: Iterable[ActiveLimit], counts: Counts) -> None:
        """Charges the subjects of `limits`, if all their bounds have room."""
        subjects = [
            (self._index(each.limit.scope, each.limit.subject_id), each.checks) for each in limits
        ]
        self._charges.append((*counts, subjects))

    @property
    def width(self) -> int:
        """How many numbers the call takes: one for each charge, and at least one."""
        return max(1, len(self._charges))

    @property
    def keys(self) -> Sequence[str]:
        """KEYS of the script."""
        return tuple(self._keys)

    def encode(self) -> bytes:
        """Returns the last argument of the script."""
        return msgspec.msgpack.encode((self._additions, self._charges))

    def _index(self, scope: str, subject_id: str) -> int:
        keys = self._keys
        return keys.setdefault(f"{self._prefix}{scope}:{subject_id}", len(keys) + 1)


_count_decoder: Final = msgspec.msgpack.Decoder(CountResult)
_calls_decoder: Final = msgspec.msgpack.Decoder(CallsThatRan)


def decode_result(answer: object) -> CountResult:
    """Returns the answer to `COUNT` and `READ`.

    Raises:
        ValueError: it has not the form of such an answer.
    """
    return _count_decoder.decode(_text(answer))


def decode_calls(answer: object) -> CallsThatRan:
    """Returns the answer to `FENCE`.

    Raises:
        ValueError: it has not the form of such an answer.
    """
    return _calls_decoder.decode(_text(answer))


def _text(answer: object) -> bytes:
    if not isinstance(answer, bytes):
        raise ValueError("the answer is not a string")  # noqa: TRY004 - callers know one error
    return answer


def usage_of(row: UsageRow) -> SubjectUsage:
    """Returns a row as the limits layer reads it."""
    minute, *counts, frees_at, empty_at = row
    return SubjectUsage(
        Counts(minute) if minute else NOTHING,
        Counts(*counts[:3]),
        Counts(*counts[3:]),
        float(frees_at) or None,
        empty_at,
    )


def subject_key(tenant_id: str, each: ActiveLimit) -> SubjectKey:
    """Returns the subject of a limit."""
    return (tenant_id, each.limit.scope, each.limit.subject_id)
