"""Keeps the signed updates of a tenant on disk, for the time when the server cannot be reached.

Two files: `NAME.policies` has all policies and the updates since, `NAME.latest` the newest update
without changes, which says how old the policies are. What is read from them is verified like what
comes from the server: another program that changes it only makes it useless.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from pdp._gen.pdp.v1 import policy_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

MAX_CHANGES_BYTES: Final = 4 << 20
"""Bytes of changes after which the file should be written anew, with all policies."""

_LENGTH_BYTES: Final = 4
_MODE: Final = 0o600


class BundleFile:
    """The files of one tenant. Used by one thread.

    Attributes:
        is_due: whether all policies should be sent again, because the changes take much space or
            could not be written.
        is_broken: whether a change could not be written, so that nothing can be added.
    """

    def __init__(self, directory: Path, name: str) -> None:
        """Takes the directory, and the name of the files in it."""
        self._whole = directory / f"{name}.policies"
        self._latest = directory / f"{name}.latest"
        self._changes_bytes = 0
        self.is_due = self.is_broken = False

    def read(self) -> Iterator[pb.WatchResponse]:
        """Yields the messages that were kept; an incomplete last one is left out.

        Raises:
            OSError: the file cannot be read.
        """
        if not self._whole.exists():
            return
        self._changes_bytes = 0
        for message in self._messages(self._whole.read_bytes()):
            if _is_change(message):
                self._changes_bytes += len(_encoded(message))
            yield message
        self.is_due = self.is_due or self._changes_bytes > MAX_CHANGES_BYTES

    def read_latest(self) -> Iterator[pb.WatchResponse]:
        """Yields the newest update without changes. It may build on policies that have changed.

        Raises:
            OSError: the file cannot be read.
        """
        if self._latest.exists():
            yield from self._messages(self._latest.read_bytes())

    def replace(self, parts: Sequence[pb.WatchResponse]) -> None:
        """Keeps an update with all policies in place of everything before.

        Raises:
            OSError: the file cannot be written. What was kept before is still there.
        """
        self.is_due = self.is_broken = True  # unless all of it is written
        _write(self._whole, parts)
        self._latest.unlink(missing_ok=True)
        self._changes_bytes = 0
        self.is_due = self.is_broken = False

    def append(self, parts: Sequence[pb.WatchResponse]) -> None:
        """Keeps an update that builds on those before. Does nothing if it is broken.

        Raises:
            OSError: the file cannot be written.
        """
        if self.is_broken:
            return
        content = b"".join(map(_encoded, parts))
        self.is_due = self.is_broken = True  # unless all of it is written
        with os.fdopen(os.open(self._whole, os.O_WRONLY | os.O_APPEND), "ab") as file:
            file.write(content)
        self._changes_bytes += len(content)
        self.is_due = self._changes_bytes > MAX_CHANGES_BYTES
        self.is_broken = False

    def confirm(self, parts: Sequence[pb.WatchResponse]) -> None:
        """Keeps an update without changes, which says that the policies are still in force.

        Raises:
            OSError: the file cannot be written.
        """
        _write(self._latest, parts)

    def remove(self) -> None:
        """Removes what was kept.

        Raises:
            OSError: the files cannot be removed.
        """
        self._whole.unlink(missing_ok=True)
        self._latest.unlink(missing_ok=True)

    def _messages(self, content: bytes) -> Iterator[pb.WatchResponse]:
        at = 0
        while at < len(content):
            start = at + _LENGTH_BYTES
            end = start + int.from_bytes(content[at:start], "big")
            try:
                message = pb.WatchResponse.FromString(content[start:end])
            except DecodeError:
                message = None
            if message is None or end > len(content):  # the process ended while it wrote
                self.is_due = self.is_broken = True
                return
            yield message
            at = end


def _write(path: Path, parts: Iterable[pb.WatchResponse]) -> None:
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE), "wb") as file:
        for part in parts:
            file.write(_encoded(part))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _is_change(message: pb.WatchResponse) -> bool:
    try:
        return pb.PolicyUpdate.FromString(message.update).from_revision > 0
    except DecodeError:  # the reader of the messages refuses it
        return False


def _encoded(message: pb.WatchResponse) -> bytes:
    content = message.SerializeToString()
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content
