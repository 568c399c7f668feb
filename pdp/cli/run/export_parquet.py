"""Runs `pdp audit export --format parquet`, and `pdp audit verify --records`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from pdp.bootstrap.recording import RecordingOptions
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.local_database import load_settings
from pdp.cli.output.banner import installed_version
from pdp.cli.output.progress import progress_bar
from pdp.cli.output.report import Report, Table, print_json, show
from pdp.errors import ConfigError
from pdp.record_files.extras import require_extra
from pdp.store import open_chain_reader
from pdp.store.files import exclusive_lock
from pdp.store.opening import database_file
from pdp.store.setting_names import AUDIT_SETTING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.cli.options.audit import RecordFilterOptions
    from pdp.cli.options.target import TargetOptions
    from pdp.record_files.exporter import ExportSummary
    from pdp.record_files.verification import ExportVerification

_STDOUT: Final = "-"
_LOCK: Final = "parquet-export.lock"


def export_parquet(
    filters: RecordFilterOptions, target: TargetOptions, output: str, file_rows: int
) -> None:
    """Exports the log of this host to Parquet files, and prints what was exported.

    Args:
        filters: must select everything.
        target: the database that the log belongs to.
        output: the place of the export.
        file_rows: about the most records of a file.
    """
    with exit_on_failure(as_json=False):
        if filters.body() or filters.tenant:
            raise UsageError(
                "--format parquet has the records of all tenants: select in the query instead"
            )
        if output == _STDOUT:
            raise UsageError("--format parquet needs a place: --output DIR or --output URL")
        require_extra("parquet")
        from pdp.record_files.exporter import ParquetExporter  # noqa: PLC0415 - needs the extra
        from pdp.record_files.locations import open_files  # noqa: PLC0415 - as above

        options = _options(target)
        files = open_files(output, "--output")
        with ExitStack() as resources:
            log = resources.enter_context(closing(open_chain_reader(options.url, key=options.key)))
            resources.enter_context(_only_export(options.url))
            show_progress = resources.enter_context(progress_bar("Exporting"))
            exporter = ParquetExporter(
                log,
                files,
                key=options.key,
                release=installed_version(),
                file_rows=file_rows,
                show_progress=show_progress,
            )
            summary = exporter.run()
    show(_summary(summary, files.shown))


def verify_parquet(records: str, target: TargetOptions, anchor: str, *, as_json: bool) -> None:
    """Prints whether an export is intact, and exits with 0 if it is.

    Args:
        records: the place of the export.
        target: the database whose settings name the key of the hash chain.
        anchor: the head of an earlier verification; empty for none.
        as_json: print JSON.
    """
    with exit_on_failure(as_json=as_json):
        require_extra("parquet")
        from pdp.record_files.locations import open_files  # noqa: PLC0415 - needs the extra
        from pdp.record_files.verification import verify_export  # noqa: PLC0415 - as above

        key = _options(target, exists=False).key
        verification = verify_export(open_files(records, "--records"), key, anchor)
    if as_json:
        print_json({"intact": verification.intact, **asdict(verification)})
    else:
        show(_verification(verification))
    sys.exit(Exit.OK if verification.intact else Exit.NO)


def _options(target: TargetOptions, *, exists: bool = True) -> RecordingOptions:
    return RecordingOptions.of(load_settings(target.database_url, create=not exists))


@contextmanager
def _only_export(audit_url: str) -> Iterator[None]:
    """Keeps a second export of the log from running: both would write the same files.

    Raises:
        ConfigError: another one runs.
    """
    directory = database_file(audit_url, AUDIT_SETTING).parent
    with exclusive_lock(directory / _LOCK) as is_held:
        if not is_held:
            raise ConfigError("another export of this log runs now. Wait until it has finished.")
        yield


def _summary(summary: ExportSummary, place: str) -> Report:
    count = summary.records
    headline = f"{count} record{'' if count == 1 else 's'} exported to {place}"
    facts = [
        ("files", str(summary.files)),
        ("bytes", str(summary.size)),
        ("head", summary.head or "-"),
    ]
    if summary.resumed:
        facts.insert(0, ("resumed", "a step that was interrupted is complete now"))
    return Report(headline, "bold green", facts)


def _verification(result: ExportVerification) -> Report:
    facts = [
        ("records", str(result.records)),
        ("batches", str(result.batches)),
        ("files", str(result.files)),
        ("head", result.head),
    ]
    if result.removed:
        facts.append(("removed before the export", f"{result.removed} records, as the log notes"))
    if result.unchained:
        facts.append(("batches of older releases", f"{result.unchained}, without their own hash"))
    return Report(
        headline="the export is intact" if result.intact else "THE EXPORT WAS TAMPERED WITH",
        style="bold green" if result.intact else "bold red",
        facts=facts,
        tables=[Table("Problems", ("problem",), [[each] for each in result.problems])],
    )
