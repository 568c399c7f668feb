"""Runs `pdp audit`."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pdp.cli.connect import connect
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.output.record_report import (
    CHANGE_COLUMNS,
    RECORD_COLUMNS,
    change_row,
    record_report,
    record_row,
)
from pdp.cli.output.report import Report, Table, print_json, printable, show
from pdp.cli.request import to_message
from pdp.client import CallFailed
from pdp.errors import RecordNotFound
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from pdp._gen.pdp.v1.audit_pb2 import ExportRecordsResponse
    from pdp.cli.options.audit import ChangeOptions, RecordFilterOptions
    from pdp.cli.options.target import TargetOptions
    from pdp.client import Client

PAGE: Final = 1000

FIRST: Final = "0"
"""The cursor before the first record."""


def tail(filters: RecordFilterOptions, target: TargetOptions, *, as_json: bool) -> None:
    """Prints decision records as they are written; with `--since`, the earlier ones first."""
    with exit_on_failure(as_json=as_json), connect(target) as client, suppress(KeyboardInterrupt):
        body = filters.body()
        if filters.since:
            body["cursor"] = FIRST
        message = to_message("TailRecords", body)
        for answer in client.stream("TailRecords", message, filters.tenant):
            record = encode(answer)["record"]
            line = (
                json.dumps(record, ensure_ascii=False) if as_json else "  ".join(record_row(record))
            )
            print(line, flush=True)


def search(
    filters: RecordFilterOptions, target: TargetOptions, limit: int, *, as_json: bool
) -> None:
    """Prints decision records, the newest first."""
    with exit_on_failure(as_json=as_json), connect(target) as client:
        records, cursor = _read_pages(
            client,
            "ListRecords",
            "records",
            filters.body(),
            tenant=filters.tenant,
            limit=limit,
        )
    if as_json:
        print_json({"records": records, "next_cursor": cursor})
        return
    show(_records_report(records, cursor))


def show_record(decision_id: str, target: TargetOptions, tenant: str, *, as_json: bool) -> None:
    """Prints one record, by the id of its decision or of its request.

    Several decisions may have the same id of a request. Then it prints them as `search` does.
    """
    with exit_on_failure(as_json=as_json), connect(target) as client:
        try:
            message = to_message("GetRecord", {"decision_id": decision_id})
            answer = client.call("GetRecord", message, tenant).message
            records, cursor = [encode(answer)["record"]], ""
        except CallFailed as failure:
            if failure.code != RecordNotFound.reason:
                raise
            body = {"request_id": decision_id}
            records, cursor = _read_pages(
                client, "ListRecords", "records", body, tenant=tenant, limit=PAGE
            )
            if not records:
                raise
    if as_json:
        print_json(records[0] if len(records) == 1 else {"records": records, "next_cursor": cursor})
    elif len(records) == 1:
        show(record_report(records[0]))
    else:
        show(_records_report(records, cursor))


def _records_report(records: Sequence[Mapping[str, Any]], cursor: str) -> Report:
    table = Table("Decisions", RECORD_COLUMNS, [record_row(each) for each in records])
    return Report(_headline(len(records), "decision", cursor), tables=[table])


def export(filters: RecordFilterOptions, target: TargetOptions, form: str, output: str) -> None:
    """Writes decision records to a file or to standard output, the oldest first."""
    with exit_on_failure(as_json=False), connect(target) as client:
        message = to_message("ExportRecords", {**filters.body(), "format": form})
        stream = client.stream("ExportRecords", message, filters.tenant)
        with _open_output(output) as file:
            for answer in stream:
                file.write(cast("ExportRecordsResponse", answer).text)


def verify(target: TargetOptions, anchor: str, *, as_json: bool) -> None:
    """Prints whether the log is intact, and exits with 0 if it is."""
    with exit_on_failure(as_json=as_json):
        if target.embedded:
            from pdp.cli.local_database import require_audit_log  # noqa: PLC0415 - loads the store

            require_audit_log(target.database_url)
        with connect(target) as client:
            message = to_message("VerifyRecords", {"anchor": anchor})
            answer = encode(client.call("VerifyRecords", message).message)
    if as_json:
        print_json(answer)
    else:
        show(_verification(answer))
    sys.exit(Exit.OK if answer["intact"] else Exit.NO)


def changes(filters: ChangeOptions, target: TargetOptions, limit: int, *, as_json: bool) -> None:
    """Prints changes from the change log, the newest first."""
    name = "ListPlatformChanges" if filters.platform else "ListChanges"
    with exit_on_failure(as_json=as_json), connect(target) as client:
        entries, cursor = _read_pages(
            client, name, "changes", filters.body(), tenant=filters.tenant, limit=limit
        )
    if as_json:
        print_json({"changes": entries, "next_cursor": cursor})
        return
    table = Table("Changes", CHANGE_COLUMNS, [change_row(each) for each in entries])
    show(Report(_headline(len(entries), "change", cursor), tables=[table]))


def _read_pages(
    client: Client, name: str, field: str, body: Mapping[str, Any], *, tenant: str, limit: int
) -> tuple[list[dict[str, Any]], str]:
    """Returns up to `limit` entries, and the cursor of the next page; empty after the last one."""
    entries: list[dict[str, Any]] = []
    cursor = ""
    while len(entries) < limit:
        page = {**body, "limit": min(PAGE, limit - len(entries)), "cursor": cursor}
        answer = encode(client.call(name, to_message(name, page), tenant).message)
        entries += answer[field]
        cursor = answer["next_cursor"]
        if not cursor:
            break
    return entries, cursor


def _headline(count: int, noun: str, cursor: str) -> str:
    text = f"{count} {noun}" + ("" if count == 1 else "s")
    return f"{text}; raise --limit to see more" if cursor else text


def _verification(answer: Mapping[str, Any]) -> Report:
    intact = answer["intact"]
    removals = Table(
        "Removed by retention",
        ("tenant", "reason", "records"),
        [
            [printable(each["tenant_id"]) or "-", each["reason"] or "-", str(each["records"])]
            for each in answer["removals"]
        ],
    )
    problems = Table("Problems", ("problem",), [[each] for each in answer["problems"]])
    return Report(
        headline="the log is intact" if intact else "THE LOG WAS TAMPERED WITH",
        style="bold green" if intact else "bold red",
        facts=[
            ("records", str(answer["records"])),
            ("batches", f"{answer['first_batch']} to {answer['last_batch']}"),
            ("removed by retention", f"{answer['removed_batches']} batches"),
            ("head", answer["head"]),
        ],
        tables=[problems, removals],
    )


@contextmanager
def _open_output(name: str) -> Iterator[TextIO]:
    try:
        if name == "-":
            yield sys.stdout
            sys.stdout.flush()
        else:
            with Path(name).open("w", encoding="utf-8", newline="") as file:
                yield file
    except BrokenPipeError:
        raise  # the reader of the pipe has closed it
    except OSError as error:
        raise UsageError(f"--output: {name} cannot be written: {error.strerror}") from None
