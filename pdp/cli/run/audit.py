"""What `pdp audit` does."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pdp.cli.asking import Misused, caller_for, ending, message_of
from pdp.cli.exit_codes import Exit
from pdp.cli.report import Report, Table, safe, show
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

    from pdp._gen.pdp.v1.audit_pb2 import ExportRecordsResponse
    from pdp.cli.audit_options import ChangeOptions, RecordFilterOptions
    from pdp.cli.options import TargetOptions
    from pdp.client import Client

PAGE: Final = 1000

_COLUMNS: Final = ("time", "outcome", "risk", "reason", "user", "agent", "model", "decision")


def tail(records: RecordFilterOptions, target: TargetOptions, *, as_json: bool) -> None:
    """Shows decisions as they are recorded."""
    with ending(as_json=as_json), caller_for(target) as caller, suppress(KeyboardInterrupt):
        message = message_of("TailRecords", records.body())
        for answer in caller.stream("TailRecords", message, records.tenant):
            record = encode(answer)["record"]
            line = json.dumps(record, ensure_ascii=False) if as_json else "  ".join(_row(record))
            print(line, flush=True)


def search(
    records: RecordFilterOptions, target: TargetOptions, limit: int, *, as_json: bool
) -> None:
    """Shows recorded decisions, the newest first."""
    with ending(as_json=as_json), caller_for(target) as caller:
        found, more = _pages(
            caller,
            "ListRecords",
            "records",
            records.body(),
            tenant=records.tenant,
            limit=limit,
        )
    if as_json:
        print(json.dumps({"records": found, "next_cursor": more}, ensure_ascii=False, indent=2))
        return
    table = Table("Decisions", _COLUMNS, [_row(each) for each in found])
    show(Report(_headline(len(found), "decision", more), tables=[table]))


def export(records: RecordFilterOptions, target: TargetOptions, form: str, output: str) -> None:
    """Writes recorded decisions, the oldest first."""
    with ending(as_json=False), caller_for(target) as caller:
        message = message_of("ExportRecords", {**records.body(), "format": form})
        stream = caller.stream("ExportRecords", message, records.tenant)
        with _opened(output) as file:
            for answer in stream:
                file.write(cast("ExportRecordsResponse", answer).text)


def verify(target: TargetOptions, anchor: str, *, as_json: bool) -> None:
    """Shows whether the log is as it was written, and exits with that."""
    with ending(as_json=as_json):
        if target.embedded:
            from pdp.cli.databases import check_log  # noqa: PLC0415 - the store, where it is needed

            check_log(target.database_url)
        with caller_for(target) as caller:
            message = message_of("VerifyRecords", {"anchor": anchor})
            answer = encode(caller.call("VerifyRecords", message).message)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        show(_verification(answer))
    sys.exit(Exit.OK if answer["intact"] else Exit.NO)


def changes(wanted: ChangeOptions, target: TargetOptions, limit: int, *, as_json: bool) -> None:
    """Shows changes of policies, the newest first."""
    name = "ListPlatformChanges" if wanted.platform else "ListChanges"
    with ending(as_json=as_json), caller_for(target) as caller:
        found, more = _pages(
            caller, name, "changes", wanted.body(), tenant=wanted.tenant, limit=limit
        )
    if as_json:
        print(json.dumps({"changes": found, "next_cursor": more}, ensure_ascii=False, indent=2))
        return
    rows = [
        [str(each["revision"]), each["at"], each["actor"], each["op"], each["kind"],
         each["entity_id"], each["summary"]]
        for each in found
    ]  # fmt: skip
    columns = ("revision", "time", "actor", "what", "kind", "id", "summary")
    show(Report(_headline(len(found), "change", more), tables=[Table("Changes", columns, rows)]))


def _pages(
    caller: Client, name: str, field: str, body: Mapping[str, Any], *, tenant: str, limit: int
) -> tuple[list[dict[str, Any]], str]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while len(found) < limit:
        asked = {**body, "limit": min(PAGE, limit - len(found)), "cursor": cursor}
        answer = encode(caller.call(name, message_of(name, asked), tenant).message)
        found += answer[field]
        cursor = answer["next_cursor"]
        if not cursor:
            break
    return found, cursor


def _row(record: Mapping[str, Any]) -> list[str]:
    subject, model = record["subject"], record["model"]
    cells = [
        record["time"],
        record["outcome"],
        record["risk"]["level"],
        record["reason_code"] or "-",
        subject["user_id"] or "-",
        subject["agent_id"] or "-",
        "/".join(each for each in (model["provider"], model["model"]) if each) or "-",
        record["decision_id"],
    ]
    return [safe(each) for each in cells]


def _headline(count: int, noun: str, more: str) -> str:
    shown = f"{count} {noun}" + ("" if count == 1 else "s")
    return f"{shown}; there are more, see --limit" if more else shown


def _verification(answer: Mapping[str, Any]) -> Report:
    intact = answer["intact"]
    problems = Table("Problems", ("what is wrong",), [[each] for each in answer["problems"]])
    return Report(
        headline="the log is as it was written" if intact else "THE LOG WAS TAMPERED WITH",
        style="bold green" if intact else "bold red",
        facts=[
            ("records", str(answer["records"])),
            ("batches", f"{answer['first_batch']} to {answer['last_batch']}"),
            ("removed by the retention", f"{answer['removed_batches']} batches"),
            ("head", answer["head"]),
        ],
        tables=[problems],
    )


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    try:
        if name == "-":
            yield sys.stdout
            sys.stdout.flush()
        else:
            with Path(name).open("w", encoding="utf-8", newline="") as file:
                yield file
    except BrokenPipeError:
        raise  # who reads has seen enough
    except OSError as error:
        raise Misused(f"--output {name} cannot be written: {error.strerror}") from None
