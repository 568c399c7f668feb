"""The frames of a streamed payload that are held, and how they are released. Pure, no I/O.

A frame is released when all texts in it are settled, in its order. Only a frame that says that the
stream goes on overtakes those that are held.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdp.payloads.edits import Edit, write
from pdp.payloads.pointers import value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.decisions.payload_lanes import LaneSlot
    from pdp.payloads.events.frames import Frame
    from pdp.payloads.events.reading import StreamEvent


@dataclass(slots=True)
class HeldFrame:
    """A frame that is not released yet.

    Attributes:
        frame: the frame as it was sent.
        data: the text of the event with the redactions of its own parts; None if it has no event.
        notes: the texts beside the event, redacted.
        event: what it holds; None if it has no event.
        slots: the pieces of lanes in it.
    """

    frame: Frame
    data: str | None
    notes: Sequence[str]
    event: StreamEvent | None = None
    slots: tuple[LaneSlot, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether it may be released."""
        return all(each.is_settled for each in self.slots)

    @property
    def is_keep_alive(self) -> bool:
        """Whether it says only that the stream goes on."""
        if self.event is None:
            return self.frame.is_keep_alive
        return self.event.is_keep_alive

    def written(self) -> str:
        """Returns the frame with all redactions in it; as it was sent if there are none.

        Raises:
            KeyError: the event has no such place.
            ValueError: the redactions do not fit into the frame.
        """
        frame, data = self.frame, self.data
        if self.event is not None and data is not None:
            edits = list(_edits(self.event, self.slots, frame.data or "", data))
            if edits:
                data = write(data, edits)
        if data == frame.data and list(self.notes) == list(frame.notes):
            return frame.raw
        return frame.write(data, self.notes)


class HeldFrames:
    """The frames of one stream that are not released yet.

    Attributes:
        length: how many characters they have.
        end: how many characters the released frames have, as they were sent.
    """

    def __init__(self) -> None:
        """Begins without any."""
        self.length = 0
        self.end = 0
        self._frames: deque[HeldFrame] = deque()
        self._keep_alives: list[HeldFrame] = []

    def add(self, held: HeldFrame) -> None:
        """Adds a frame."""
        self.length += len(held.frame.raw)
        if self._frames and held.is_keep_alive:
            self._keep_alives.append(held)
        else:
            self._frames.append(held)

    def release(self) -> str:
        """Returns the frames that are settled, in order. They are no longer held.

        Raises:
            KeyError, ValueError: see `HeldFrame.written`.
        """
        released: list[HeldFrame] = []
        while self._frames and self._frames[0].is_settled:
            released.append(self._frames.popleft())
        released += self._keep_alives
        self._keep_alives = []
        length = sum(len(each.frame.raw) for each in released)
        self.length -= length
        self.end += length
        return "".join(each.written() for each in released)

    def clear(self) -> None:
        """Removes all frames."""
        self._frames.clear()
        self._keep_alives.clear()
        self.length = 0


def _edits(
    event: StreamEvent, slots: Sequence[LaneSlot], before: str, after: str
) -> Iterator[Edit]:
    """Yields the changes of an event beyond those of its own parts.

    Args:
        event: the event.
        slots: the pieces of lanes in it.
        before: the event as it was sent.
        after: the event with the redactions of its own parts.
    """
    changed: set[str] = set()
    for slot in slots:
        if slot.pointer is not None:
            text = slot.lane.text_of(slot)
            if text != slot.lane.text[slot.start : slot.end]:
                changed.add(slot.pointer)
                yield Edit(slot.pointer, text)
    if not event.repeats:
        return
    document = event.payload.document
    redacted = document if before == after else json.loads(after)
    for repeat in event.repeats:
        if any(
            each in changed or value_at(document, each) != value_at(redacted, each)
            for each in repeat.texts
        ):
            yield Edit(repeat.pointer, repeat.replacement)
