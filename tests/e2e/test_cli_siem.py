"""`pdp siem` on the spool of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp.export.exporter import SPOOL_NAME
from pdp.export.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import CommandResult


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """A data directory; its spool has one waiting event and two dead letters."""
    spool = Spool(tmp_path / SPOOL_NAME, 1_000_000)
    spool.attach(["splunk"])
    spool.append([(str(number), 1.0, b'{"number":%d}' % number) for number in range(4)])
    batch = spool.batch("splunk", 3, 1_000_000)
    spool.acknowledge("splunk", batch, [(batch[0], "bad \x1b[31mdata"), (batch[1], "too large")])
    spool.close()
    return str(tmp_path)


def test_help_lists_the_subcommands(cli: Callable[..., CommandResult]) -> None:
    ran = cli("siem", "--help")
    for name in ("status", "dead-letters", "resend"):
        assert f"  {name} " in ran.out
        assert "Exit codes:" in cli("siem", name, "--help").out


def test_status(cli: Callable[..., CommandResult], directory: str) -> None:
    ran = cli("siem", "status", "--data-dir", directory, "--json")
    [splunk] = ran.json
    assert ran.code == 0
    assert splunk["connector"] == "splunk"
    assert (splunk["waiting"], splunk["delivered"], splunk["dead"]) == (1, 1, 2)
    assert "splunk" in cli("siem", "status", "--data-dir", directory).out


def test_status_of_a_failing_connector(
    cli: Callable[..., CommandResult], directory: str, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / SPOOL_NAME, 1_000_000)
    spool.record_failure("splunk", "HTTP 503")
    spool.close()
    ran = cli("siem", "status", "--data-dir", directory)
    assert ran.code == 1
    assert "HTTP 503" in ran.out


def test_dead_letters_are_listed_and_sent_again(
    cli: Callable[..., CommandResult], directory: str
) -> None:
    ran = cli("siem", "dead-letters", "--data-dir", directory)
    assert ran.code == 0
    assert "2 dead letters" in ran.out
    assert "too large" in ran.out
    assert "\x1b" not in ran.out
    first, second = cli("siem", "dead-letters", "--data-dir", directory, "--json", "--body").json
    assert (first["uid"], first["destination"], first["body"]) == ("0", "splunk", {"number": 0})
    ran = cli("siem", "resend", str(second["id"]), "--data-dir", directory, "--json")
    assert (ran.code, ran.json) == (0, {"resent": 1})
    assert cli("siem", "resend", "--all", "--of", "elastic", "--data-dir", directory).code == 1
    assert cli("siem", "resend", "--all", "--data-dir", directory).code == 0
    ran = cli("siem", "dead-letters", "--data-dir", directory)
    assert (ran.code, ran.out) == (1, "no dead letters\n")
    [splunk] = cli("siem", "status", "--data-dir", directory, "--json").json
    assert (splunk["waiting"], splunk["dead"]) == (3, 0)


def test_resend_needs_ids_or_all(cli: Callable[..., CommandResult], directory: str) -> None:
    assert cli("siem", "resend", "--data-dir", directory).code == 2
    assert cli("siem", "resend", "1", "--all", "--data-dir", directory).code == 2


def test_no_spool(cli: Callable[..., CommandResult], tmp_path: Path) -> None:
    ran = cli("siem", "status", "--data-dir", str(tmp_path))
    assert (ran.code, ran.out) == (0, "no connector was ever configured\n")
    assert not (tmp_path / SPOOL_NAME).exists()


@pytest.mark.parametrize("name", ["status", "dead-letters"])
def test_no_data_directory(cli: Callable[..., CommandResult], tmp_path: Path, name: str) -> None:
    """A mistyped directory must not look like an empty spool."""
    ran = cli("siem", name, "--data-dir", str(tmp_path / "mistyped"))
    assert (ran.code, ran.out) == (78, "")
    assert "there is no data directory" in ran.err


def test_a_spool_that_is_not_a_database(cli: Callable[..., CommandResult], tmp_path: Path) -> None:
    (tmp_path / SPOOL_NAME).write_bytes(b"no database " * 1000)
    ran = cli("siem", "status", "--data-dir", str(tmp_path))
    assert ran.code == 78
    assert "cannot be used" in ran.err
