"""Real PostgreSQL servers, each in a temporary directory and on a Unix socket in it.

PostgreSQL refuses to run as root. A test that runs as root starts it as the user `postgres`, whom
the Debian package creates.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg
import pytest

from tests.support.program_environments import unavailable
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from types import TracebackType

USER: Final = "pdp"
_RETRY_S: Final = 0.02
_AS_POSTGRES: Final = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


def programs() -> Path:
    """Returns the directory with the programs of PostgreSQL.

    If there is none, the test is skipped; in CI, it fails.
    """
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (installed[-1] if installed else None)
    if found is None:
        unavailable("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).resolve().parent


class Disk:
    """A file system of some megabytes, which another program can fill."""

    def __init__(self, directory: Path, size_mb: int) -> None:
        """Mounts it where only programs that `enter` see it."""
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
            pytest.skip("this user cannot mount a file system")
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


class PostgresServer:
    """A server that a test starts, stops and kills."""

    def __init__(
        self, *settings: str, copy_of: PostgresServer | None = None, disk_mb: int = 0
    ) -> None:
        """Creates the database files, but starts nothing.

        Args:
            settings: settings as NAME=VALUE.
            copy_of: a running server that this one follows as a standby; None for a new server.
            disk_mb: the size of a file system for its files alone; 0 for that of the machine. Only
                root can mount one.
        """
        self.programs = programs()
        self.directory = Path(tempfile.mkdtemp(prefix="pdp-postgres-"))
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._disk = Disk(self.directory / "data", disk_mb) if disk_mb else None
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        if copy_of is None:
            options = ["--auth=trust", f"--username={USER}", "--no-sync", "--encoding=UTF8"]
            if self._disk is not None:
                options.append("--wal-segsize=1")
            self.run("initdb", "-D", self.data, *options)
        else:
            source = f"host={copy_of.directory} user={USER}"
            self.run(
                "pg_basebackup", "-D", self.data, "-R", "--no-sync", "-c", "fast", "-d", source
            )

    @property
    def data(self) -> str:
        """The directory of the database files."""
        return str(self.directory / "data")

    def url(self, database: str = "postgres") -> str:
        """Returns the URL of a database."""
        return f"postgresql://{USER}@/{database}?host={self.directory}"

    def run(self, program: str, *arguments: str) -> None:
        """Runs a program of PostgreSQL to its end."""
        subprocess.run(
            self._command(program, *arguments),
            check=True,
            capture_output=True,
            cwd="/",
            timeout=TIMEOUT_S,
        )

    def start(self) -> Self:
        """Starts the server, and waits until it answers."""
        log = (self.directory / "log").open("ab")
        settings = ("listen_addresses=", f"unix_socket_directories={self.directory}")
        arguments = [f"-c{each}" for each in (*settings, "max_connections=200", *self.settings)]
        self._process = subprocess.Popen(
            self._command("postgres", "-D", self.data, *arguments),
            stdout=log,
            stderr=log,
            cwd="/",
        )
        log.close()
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.directory / "log").read_text()) from None
                time.sleep(_RETRY_S)
            else:
                return self

    def create_database(self) -> str:
        """Creates a database, and returns its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drops a database of `create_database`, even if somebody uses it."""
        name = url.partition("@/")[2].partition("?")[0]
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs a statement as the superuser, and returns its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.directory / ".s.PGSQL.5432"

    def runs(self) -> bool:
        """Returns whether it runs."""
        return self._process is not None and self._process.poll() is None

    def set(self, *settings: str) -> None:
        """Sets settings, as NAME=VALUE, of a running server."""
        for name, _, value in (each.partition("=") for each in settings):
            self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.execute("SELECT pg_reload_conf()")

    def processes(self) -> list[int]:
        """The ids of the server's processes, its first one first."""
        assert self._process is not None
        return [self._process.pid, *_children(self._process.pid)]

    def kill(self) -> None:
        """Kills the server and all its processes at once, as a crash of the machine would."""
        assert self._process is not None
        for each in self.processes():
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self._process.wait(TIMEOUT_S)
        self._process = None

    def stop(self) -> None:
        """Stops the server; it ends all connections. Does nothing if it does not run."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(TIMEOUT_S)
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.kill()
        if self._disk is not None:
            self._disk.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def disk(self) -> Disk:
        """The file system for its files alone."""
        assert self._disk is not None
        return self._disk

    def _command(self, program: str, *arguments: str) -> list[str]:
        """Returns a command that runs a program of PostgreSQL as its user, on its disk."""
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:
            command = [*_AS_POSTGRES, *command]
        return [*(self._disk.enter if self._disk else ()), *command]


def _children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(each) for each in text.split()]
