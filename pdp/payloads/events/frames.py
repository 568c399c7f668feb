"""A frame: one event of a stream as it was sent, with the text around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Frame(Protocol):
    """An event as it was sent."""

    @property
    def raw(self) -> str:
        """The frame as it was sent."""

    @property
    def data(self) -> str | None:
        """The text of the event; None if the frame has none."""

    @property
    def notes(self) -> Sequence[str]:
        """The texts beside the event, for instance comments. Identifiers are not among them."""

    @property
    def is_keep_alive(self) -> bool:
        """Whether it says only that the stream goes on, for instance a comment alone."""

    def write(self, data: str | None, notes: Sequence[str]) -> str:
        """Returns the frame with other texts.

        Args:
            data: the new text of the event, with as many line breaks as the old one; None if the
                frame has none.
            notes: the new texts beside it, as many as there are.

        Raises:
            ValueError: the new texts do not fit into the frame.
        """
