"""A real PostgreSQL server in a temporary directory, on a Unix socket in it.

PostgreSQL refuses to run as root. Root starts it as the user `postgres`, whom the Debian package
creates.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import psycopg

from demo.programs import Unavailable
from demo.starting import starts

USER: Final = "pdp"
TIMEOUT_S: Final = 60.0
_AS_POSTGRES: Final = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


class PostgresServer:
    """A server that is started, stopped and killed.

    Attributes:
        directory: has its files and its Unix socket.
    """

    def __init__(
        self, *settings: str, copy_of: PostgresServer | None = None, wal_segment_mb: int = 16
    ) -> None:
        """Creates the database files, but starts nothing.

        Args:
            settings: settings as NAME=VALUE.
            copy_of: a running server that this one follows as a standby; None for a new server.
            wal_segment_mb: the size of the files of its log.

        Raises:
            Unavailable: PostgreSQL is not installed.
        """
        self._programs = _programs()
        self.directory = Path(tempfile.mkdtemp(prefix="pdp-postgres-"))
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        self._prepare_disk()
        if copy_of is None:
            size = f"--wal-segsize={wal_segment_mb}"
            options = ("--auth=trust", f"--username={USER}", "--no-sync", "--encoding=UTF8", size)
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
        arguments = [f"-c{each}" for each in (*settings, "max_connections=200", *self._settings)]
        self._process = subprocess.Popen(
            self._command("postgres", "-D", self.data, *arguments),
            stdout=log,
            stderr=log,
            cwd="/",
        )
        log.close()
        if not starts(self._process, self._accepts):
            raise RuntimeError((self.directory / "log").read_text())
        return self

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self) -> str:
        """Creates a database, and returns its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drops a database of `create_database`, even if it is in use."""
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
        return [self._running.pid, *_children(self._running.pid)]

    def kill(self) -> None:
        """Kills the server and all its processes at once, as a crash of the machine would."""
        running = self._running
        for each in self.processes():
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        running.wait(TIMEOUT_S)
        self._process = None

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("PostgreSQL does not run")
        return self._process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _prepare_disk(self) -> None:
        """Prepares the place of its files; called once, before there are any."""

    def _command(self, program: str, *arguments: str) -> list[str]:
        """Returns a command that runs a program of PostgreSQL as its user."""
        command = [str(self._programs / program), *arguments]
        return [*_AS_POSTGRES, *command] if os.geteuid() == 0 else command


def _children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(each) for each in text.split()]


def _programs() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (installed[-1] if installed else None)
    if found is None:
        raise Unavailable("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).resolve().parent
