"""Whether a store's files are still where they were opened.

A file that was deleted or replaced lives on for those who have it open: what they commit to it is
acknowledged, and lost when they end. SQLite does not notice in WAL mode, so we look.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pdp.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_MOVED: Final = (
    "The store's file was deleted or replaced; nothing can be written until the server is "
    "started again."
)


class FileIdentity:
    """The identities of a database's file and its write-ahead log, as they were opened."""

    def __init__(self, path: Path) -> None:
        """Looks at the files; they are open by now.

        Raises:
            StoreUnavailable: they have gone already.
        """
        self._paths = (os.fspath(path), f"{os.fspath(path)}-wal")
        self._seen = self._look()

    def check(self) -> None:
        """Raises where the files are others by now, or none.

        Raises:
            StoreUnavailable: they are.
        """
        if self._look() != self._seen:
            raise StoreUnavailable(_MOVED)

    def _look(self) -> list[tuple[int, int]]:
        try:
            found = [os.stat(path) for path in self._paths]
        except OSError:
            raise StoreUnavailable(_MOVED) from None
        return [(each.st_dev, each.st_ino) for each in found]
