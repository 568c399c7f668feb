"""`pdp audit export --format parquet` and `pdp audit verify --records`, as people run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from pdp.cli.exit_codes import Exit
from pdp.record_files import extras
from pdp.record_files.locations import open_files
from pdp.record_files.manifest import DATA_PATTERN, step_path
from pdp.store import open_audit_log, open_store
from pdp.store.files import exclusive_lock
from tests.support.audit_logs import KEY, body
from tests.support.record_files import manifest_rows, rows_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import CommandResult

    Cli = Callable[..., CommandResult]

SECRET: Final = "s3cr3t"


@pytest.fixture(name="home")
def _home(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a database and of its log, which has no records."""
    url = f"sqlite:///{tmp_path}/pdp.db"
    monkeypatch.setenv("PDP_DATABASE_URL", url)
    open_store(url).close()
    open_audit_log(f"sqlite:///{tmp_path}/audit.db").close()
    return tmp_path


def append(home: Path, first: int, count: int, key: bytes = b"") -> None:
    with closing(open_audit_log(f"sqlite:///{home}/audit.db", key=key)) as log:
        for start in range(first, first + count, 250):
            log.append([body(n, message="x" * 200) for n in range(start, start + 250)])


def export(cli: Cli, home: Path, *arguments: str) -> CommandResult:
    return cli("audit", "export", "--format", "parquet", "--output", f"{home}/out", *arguments)


def test_an_export_goes_on_from_where_the_last_one_ended(cli: Cli, home: Path) -> None:
    append(home, 0, 500)
    assert "500 records exported" in export(cli, home).out
    append(home, 500, 250)
    assert "250 records exported" in export(cli, home).out
    verified = cli("audit", "verify", "--records", f"{home}/out")
    assert verified.code == Exit.OK
    assert "the export is intact" in verified.out


def test_a_changed_export_is_reported(cli: Cli, home: Path) -> None:
    append(home, 0, 250)
    export(cli, home)
    place = open_files(f"{home}/out", "--records")
    [path] = place.matching(DATA_PATTERN)
    place.remove(path)
    answer = cli("audit", "verify", "--records", f"{home}/out", "--json")
    assert answer.code == Exit.NO
    assert answer.json["intact"] is False
    assert f"{path} is missing" in answer.json["problems"]


def test_a_log_with_a_key_needs_the_key(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDP_DATABASE_URL", f"sqlite:///{tmp_path}/pdp.db")
    open_store(f"sqlite:///{tmp_path}/pdp.db").close()
    append(tmp_path, 0, 250, key=KEY)
    assert export(cli, tmp_path).code == Exit.CONFIG
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY)
    monkeypatch.setenv("PDP_AUDIT_KEY_FILE", str(key_file))
    assert export(cli, tmp_path).code == Exit.OK
    assert cli("audit", "verify", "--records", f"{tmp_path}/out").code == Exit.OK
    monkeypatch.delenv("PDP_AUDIT_KEY_FILE")
    assert cli("audit", "verify", "--records", f"{tmp_path}/out").code == Exit.NO


def test_an_export_that_is_killed_goes_on_without_loss(cli: Cli, home: Path) -> None:
    append(home, 0, 20_000)
    command = [
        sys.executable, "-m", "pdp", "audit", "export", "--format", "parquet",
        "--output", f"{home}/out", "--file-rows", "1000",
    ]  # fmt: skip
    with subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL) as process:
        wait_until((home / "out" / step_path(2)).exists, "two steps are complete")
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert export(cli, home, "--file-rows", "1000").code == Exit.OK
    place = open_files(f"{home}/out", "--records")
    expected = [(n,) for n in range(1, 20_001)]
    assert rows_of(place) == sorted(manifest_rows(place)) == expected
    assert cli("audit", "verify", "--records", f"{home}/out").code == Exit.OK


def test_a_log_is_exported_while_it_is_written(cli: Cli, home: Path) -> None:
    append(home, 0, 250)
    stop = threading.Event()

    def write() -> None:
        number = 250
        while not stop.is_set():
            append(home, number, 250)
            number += 250

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            assert export(cli, home).code == Exit.OK
    finally:
        stop.set()
        writer.join()
    assert export(cli, home).code == Exit.OK
    with closing(open_audit_log(f"sqlite:///{home}/audit.db")) as log:
        last = log.last()
    place = open_files(f"{home}/out", "--records")
    assert rows_of(place) == [(n,) for n in range(1, last + 1)]


def test_two_exports_of_a_log_do_not_run_at_once(cli: Cli, home: Path) -> None:
    with exclusive_lock(home / "parquet-export.lock") as is_held:
        assert is_held
        answer = export(cli, home)
    assert answer.code == Exit.CONFIG
    assert "another export of this log runs now" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tenant", "acme"), "has the records of all tenants"),
        (("--since", "1h"), "has the records of all tenants"),
        (("--output", "-"), "needs a place"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    cli: Cli, home: Path, arguments: tuple[str, ...], message: str
) -> None:
    answer = export(cli, home, *arguments)
    assert (answer.code, message in answer.err) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    "url",
    [
        f"nothing://key:{SECRET}@bucket/records",
        f"s3://key:{SECRET}/more@bucket/records?token={SECRET}",
        f"ftp://user:{SECRET}@127.0.0.1:1/records",
    ],
)
def test_credentials_in_a_url_are_never_printed(cli: Cli, home: Path, url: str) -> None:
    append(home, 0, 250)
    answer = cli("audit", "export", "--format", "parquet", "--output", url)
    assert answer.code in {Exit.CONFIG, Exit.UNAVAILABLE}
    assert SECRET not in answer.err + answer.out


def test_without_the_extra_a_message_names_the_command(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    answer = export(cli, home)
    assert answer.code == Exit.CONFIG
    assert "this needs PyArrow and fsspec: pip install 'pdp[parquet]'" in answer.err


def test_a_server_imports_no_package_of_the_extras() -> None:
    code = (
        "import pdp.server.worker, pdp.server.wiring, pdp.embedded, pdp.follower, sys;"
        "sys.exit(bool({'pyarrow', 'fsspec', 'pyspark'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
