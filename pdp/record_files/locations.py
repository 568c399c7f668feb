"""Where files are kept: a directory, or a store that fsspec can reach, such as S3.

A file is written as a whole or not at all. In a directory, it is renamed to its name when it is on
disk; an object store does it by itself.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.files import create_directory, sync

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWNER_ONLY: Final = 0o600
_TEMPORARY: Final = ".tmp-"
_FILE_SCHEME: Final = "file://"
_SCHEME: Final = re.compile(r"[A-Za-z0-9+.:-]+://")
_USERINFO: Final = re.compile(r"^([^/]*//)?.*@")
_ARGUMENTS: Final = re.compile(r"[?#].*", re.DOTALL)


class FileStore(Protocol):
    """Files below one place. Paths are relative to it, with `/`.

    Every method raises `StoreUnavailable` if the place cannot be used; the message has no secrets.

    Attributes:
        shown: the place for messages, without credentials.
        url: the place as it was given, with what may be credentials.
    """

    shown: str
    url: str

    def write(self, path: str, content: bytes) -> None:
        """Writes a file, or replaces it; as a whole, or not at all."""

    def read(self, path: str) -> bytes | None:
        """Returns the content of a file; None if there is none."""

    def open(self, path: str) -> BinaryIO:
        """Opens a file that exists, for reading at any place."""

    def names(self, directory: str) -> list[str]:
        """Returns the names in a directory, sorted; none if it does not exist."""

    def matching(self, pattern: str) -> list[str]:
        """Returns the paths of files that a pattern matches; `*` stands for a part of a name."""

    def remove(self, path: str) -> None:
        """Removes a file, if it exists."""


def open_files(url: str, option: str) -> FileStore:
    """Opens a place for files. It need not exist.

    Args:
        url: the path of a directory, or a URL that fsspec knows.
        option: the option that names the place, for errors.

    Raises:
        ConfigError: the URL cannot be used, or the package for its scheme is not installed.
    """
    if url.startswith(_FILE_SCHEME):
        url = url.removeprefix(_FILE_SCHEME)
    if not url or "\0" in url:
        raise ConfigError(f"{option}: name a directory, or a URL such as s3://BUCKET/PATH")
    return _remote(url, option) if _SCHEME.match(url) else LocalFiles(Path(url))


def without_credentials(url: str) -> str:
    """Returns a URL without what may be credentials."""
    return _ARGUMENTS.sub("", _USERINFO.sub(r"\1", url))


class LocalFiles:
    """Files in a directory. Only their owner can read them."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self.shown = self.url = str(self._root)

    def write(self, path: str, content: bytes) -> None:
        """See `FileStore.write`."""
        target = self._root / path
        temporary = target.with_name(f"{_TEMPORARY}{target.name}")
        with _readable_errors(f"{self.shown}/{path}", "written"):
            _make_directory(target.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            with open(os.open(temporary, flags, _OWNER_ONLY), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            sync(target.parent)

    def read(self, path: str) -> bytes | None:
        """See `FileStore.read`."""
        with _readable_errors(f"{self.shown}/{path}", "read"):
            try:
                return (self._root / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def open(self, path: str) -> BinaryIO:
        """See `FileStore.open`."""
        with _readable_errors(f"{self.shown}/{path}", "read"):
            return (self._root / path).open("rb")

    def names(self, directory: str) -> list[str]:
        """See `FileStore.names`."""
        with _readable_errors(f"{self.shown}/{directory}", "read"):
            try:
                names = os.listdir(self._root / directory)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(name for name in names if not name.startswith(_TEMPORARY))

    def matching(self, pattern: str) -> list[str]:
        """See `FileStore.matching`."""
        paths = [""]
        for part in pattern.split("/"):
            paths = [
                f"{path}/{name}" if path else name
                for path in paths
                for name in self.names(path)
                if fnmatchcase(name, part)
            ]
        return paths

    def remove(self, path: str) -> None:
        """See `FileStore.remove`."""
        with _readable_errors(f"{self.shown}/{path}", "removed"):
            (self._root / path).unlink(missing_ok=True)


class RemoteFiles:
    """Files in a store of fsspec that writes a file as a whole, as object stores do."""

    def __init__(self, file_system: Any, root: str, url: str) -> None:
        """Args:
        file_system: of fsspec.
        root: the place, in the form of the file system.
        url: the place, as it was given.
        """
        self._file_system = file_system
        self._root = root.rstrip("/")
        self.url = url
        self.shown = without_credentials(url).rstrip("/")

    def write(self, path: str, content: bytes) -> None:
        """See `FileStore.write`."""
        with self._errors(path, "written"):
            place = self._place(path)
            try:
                self._file_system.pipe_file(place, content)
            except FileNotFoundError:  # a store with directories
                self._file_system.makedirs(str(PurePosixPath(place).parent), exist_ok=True)
                self._file_system.pipe_file(place, content)

    def read(self, path: str) -> bytes | None:
        """See `FileStore.read`."""
        with self._errors(path, "read"):
            try:
                content: bytes = self._file_system.cat_file(self._place(path))
            except FileNotFoundError:
                return None
            return content

    def open(self, path: str) -> BinaryIO:
        """See `FileStore.open`."""
        with self._errors(path, "read"):
            file: BinaryIO = self._file_system.open(self._place(path), "rb")
            return file

    def names(self, directory: str) -> list[str]:
        """See `FileStore.names`."""
        with self._errors(directory, "read"):
            self._file_system.invalidate_cache()
            try:
                paths = self._file_system.ls(self._place(directory), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            return sorted({PurePosixPath(path.rstrip("/")).name for path in paths})

    def matching(self, pattern: str) -> list[str]:
        """See `FileStore.matching`."""
        with self._errors(pattern, "read"):
            self._file_system.invalidate_cache()
            base = str(self._file_system._strip_protocol(self._root)).strip("/")
            found = self._file_system.glob(self._place(pattern))
            return sorted(str(path).strip("/").removeprefix(base).lstrip("/") for path in found)

    def remove(self, path: str) -> None:
        """See `FileStore.remove`."""
        with self._errors(path, "removed"):
            try:
                self._file_system.rm_file(self._place(path))
            except FileNotFoundError:
                return

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    @contextmanager
    def _errors(self, path: str, verb: str) -> Iterator[None]:
        with _readable_errors(f"{self.shown}/{path}", verb, any_error=True):
            yield


def _remote(url: str, option: str) -> RemoteFiles:
    import fsspec  # noqa: PLC0415 - a directory does not need it

    scheme = url.partition("://")[0]
    try:
        file_system, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = f": install {error.name}" if error.name else f": {error}"
        raise ConfigError(
            f"{option}: {scheme}:// needs a package that is not installed{package}"
        ) from None
    except Exception as error:
        # Its message may have the credentials in the URL.
        raise ConfigError(
            f"{option}: {without_credentials(url)} cannot be used ({type(error).__name__}). Name a"
            " directory, or a URL that fsspec knows, such as s3://BUCKET/PATH."
        ) from None
    return RemoteFiles(file_system, root, url)


def _make_directory(directory: Path) -> None:
    """Creates a directory and those above it, so that they are on disk."""
    missing = [each for each in (directory, *directory.parents) if not each.is_dir()]
    for each in reversed(missing):
        create_directory(each)
        sync(each.parent)


@contextmanager
def _readable_errors(place: str, verb: str, *, any_error: bool = False) -> Iterator[None]:
    """Converts errors of files to `StoreUnavailable`.

    Args:
        place: the file, for the message.
        verb: what cannot be done with it.
        any_error: convert every exception: stores raise those of their own libraries.
    """
    try:
        yield
    except StoreUnavailable:
        raise
    except Exception as error:
        if not (any_error or isinstance(error, OSError)):
            raise
        # The message of an error may have a signed URL or a credential.
        reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
        raise StoreUnavailable(f"{place} cannot be {verb}: {reason}") from None
