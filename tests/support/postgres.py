"""PostgreSQL servers of tests. If it is not installed, a test is skipped; in CI it fails."""

from __future__ import annotations

import os
import pwd
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from demo.postgres import PostgresServer
from demo.programs import Unavailable
from tests.support.program_environments import unavailable
from tests.support.servers import TIMEOUT_S


def postgres(*settings: str, copy_of: PostgresServer | None = None) -> PostgresServer:
    """Returns a server that does not run yet; see `PostgresServer`."""
    try:
        return PostgresServer(*settings, copy_of=copy_of)
    except Unavailable as error:
        unavailable(str(error))


class Disk:
    """A file system of some megabytes, which another program can fill."""

    def __init__(self, directory: Path, size_mb: int) -> None:
        """Mounts it where only programs that `enter` see it; skips the test if that is refused."""
        if os.geteuid() != 0:
            pytest.skip("only root can mount a file system")
        account = pwd.getpwnam("postgres")
        owner = f"uid={account.pw_uid},gid={account.pw_gid},mode=0700"
        mount = f'mkdir "$0" && mount -t tmpfs -o size={size_mb}m,{owner} none "$0" && echo && cat'
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mount, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            self.close()
            pytest.skip("no file system can be mounted here")
        self.enter = ("nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt")
        self._filler = Path(f"/proc/{self._holder.pid}/root{directory}/filler")

    def fill(self) -> None:
        """Fills it to the last byte."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Frees the space."""
        self._filler.unlink()

    def close(self) -> None:
        """Ends it, with all files on it."""
        self._holder.kill()
        self._holder.wait(TIMEOUT_S)
        for stream in (self._holder.stdin, self._holder.stdout):
            assert stream is not None
            stream.close()


class PostgresOnDisk(PostgresServer):
    """A server on a small disk of its own."""

    def __init__(self, *settings: str, size_mb: int) -> None:
        """Args:
        settings: settings as NAME=VALUE.
        size_mb: the size of the disk. Only root can mount one.
        """
        self._size_mb = size_mb
        try:
            super().__init__(*settings, wal_segment_mb=1)
        except Unavailable as error:
            unavailable(str(error))

    def _prepare_disk(self) -> None:
        self.disk = Disk(self.directory / "data", self._size_mb)

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self.disk.enter, *super()._command(program, *arguments)]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.disk.close()
