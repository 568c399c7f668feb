"""Runs `pdp siem`: reads and writes the spool in the data directory of a server."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pdp.cli.exit_codes import Exit
from pdp.cli.failures import print_error
from pdp.cli.output.report import Report, Table, print_json, show
from pdp.errors import ConfigError
from pdp.export.exporter import SPOOL_NAME
from pdp.export.siem.text import timestamp
from pdp.export.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.export.spooled import DeadLetter, DeliveryStatus

_NO_BOUND = sys.maxsize


def show_status(data_dir: Path, *, as_json: bool) -> None:
    """Prints the state of the deliveries, and exits with 1 if a connector has trouble."""
    with _spool(data_dir) as spool:
        statuses = spool.statuses() if spool else {}
    failing = any(each.failing_since or each.dropped for each in statuses.values())
    if as_json:
        print_json([{"connector": name, **_facts(each)} for name, each in statuses.items()])
    else:
        columns = ("connector", "waiting", "delivered", "dropped", "dead", "oldest", "failing")
        rows = [
            (
                name,
                str(each.waiting),
                str(each.delivered),
                str(each.dropped),
                str(each.dead),
                timestamp(each.oldest_at) if each.oldest_at else "",
                each.last_error,
            )
            for name, each in statuses.items()
        ]
        headline = f"{len(rows)} connectors" if rows else "no connector was ever configured"
        show(Report(headline, tables=[Table("Deliveries", columns, rows)]))
    sys.exit(Exit.NO if failing else Exit.OK)


def show_dead_letters(
    data_dir: Path, of: str | None, limit: int, *, body: bool, as_json: bool
) -> None:
    """Prints dead letters, and exits with 0 if there are any."""
    with _spool(data_dir) as spool:
        letters = spool.dead_letters(of, limit) if spool else []
    if as_json:
        print_json([_letter(each, body=body) for each in letters])
    else:
        columns = (
            "id",
            "destination",
            "event",
            "time",
            "given up",
            "reason",
            *(("body",) if body else ()),
        )
        rows = [_row(each, body=body) for each in letters]
        headline = f"{len(rows)} dead letters" if rows else "no dead letters"
        show(Report(headline, tables=[Table("Dead letters", columns, rows)]))
    sys.exit(Exit.OK if letters else Exit.NO)


def resend_dead_letters(
    data_dir: Path, ids: Sequence[int] | None, of: str | None, *, as_json: bool
) -> None:
    """Queues dead letters for delivery again, and exits with 0 if there were any."""
    with _spool(data_dir) as spool:
        count = spool.resend(ids, of) if spool else 0
    if as_json:
        print_json({"resent": count})
    else:
        show(Report(f"{count} dead letters will be sent again"))
    sys.exit(Exit.OK if count else Exit.NO)


@contextmanager
def _spool(data_dir: Path) -> Iterator[Spool | None]:
    """Opens the spool; yields None if the server has never written one."""
    path = data_dir / SPOOL_NAME
    if not data_dir.is_dir():  # do not report an empty spool for a mistyped directory
        print_error(
            f"there is no data directory {data_dir}; name it with --data-dir or PDP_DATA_DIR"
        )
        sys.exit(Exit.CONFIG)
    if not path.exists():
        yield None
        return
    try:
        spool = Spool(path, _NO_BOUND)
        try:
            yield spool
        finally:
            spool.close()
    except ConfigError as error:
        print_error(error.message)
        sys.exit(Exit.CONFIG)
    except (sqlite3.Error, OSError):
        print_error(
            f"the spool {path} cannot be used; check that it is a spool, and that you may write it"
        )
        sys.exit(Exit.CONFIG)


def _facts(status: DeliveryStatus) -> dict[str, Any]:
    times = {
        name: None if value is None else timestamp(value)
        for name, value in (
            ("oldest_at", status.oldest_at),
            ("failing_since", status.failing_since),
        )
    }
    return {**status._asdict(), **times}


def _letter(letter: DeadLetter, *, body: bool) -> dict[str, Any]:
    value = letter._asdict()
    del value["body"]
    value["at"], value["died_at"] = timestamp(letter.at), timestamp(letter.died_at)
    return {**value, "body": json.loads(letter.body)} if body else value


def _row(letter: DeadLetter, *, body: bool) -> tuple[str, ...]:
    row = (
        str(letter.id),
        letter.destination,
        letter.uid,
        timestamp(letter.at),
        timestamp(letter.died_at),
        letter.reason,
    )
    return (*row, letter.body.decode()) if body else row
