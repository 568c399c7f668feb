"""Replays the records of an export for `pdp replay --records`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, cast

from pdp.cli.local_database import load_settings
from pdp.cli.options.replay import SPARK
from pdp.cli.output.banner import installed_version
from pdp.client import CallFailed
from pdp.domain.audit_log import RecordFilter
from pdp.domain.tenant import DEFAULT_TENANT
from pdp.errors import InvalidArgument, MalformedRequest
from pdp.jsonpb import encode
from pdp.messages.validation import validate
from pdp.record_files.extras import require_extra
from pdp.store.opening import location
from pdp.transport.replay_response import replay_response
from pdp.transport.servicers.replay import selection_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import simulate_pb2 as pb
    from pdp.cli.options.replay import ReplayOptions
    from pdp.cli.options.target import TargetOptions
    from pdp.replay_runs.bundle import ReplayPolicies
    from pdp.replay_runs.run import ReplayEngine

_RESULTS: Final = "--results"
_OF_PAGES: Final = frozenset({"progress", "next_cursor"})
"""What the report of a whole replay does not have."""


def replay_records(
    message: Message,
    options: ReplayOptions,
    target: TargetOptions,
    show_progress: Callable[[float], None],
) -> pb.ReplayResponse:
    """Replays the records of an export.

    Args:
        message: the ReplayRequest that the options describe.
        options: what to replay.
        target: the database.
        show_progress: called with the share that is done, from 0 to 1.

    Raises:
        CallFailed: the policies or the selection are invalid, as a server would answer.
        ConfigError: the database, the export or the engine cannot be used.
        StoreUnavailable: the records cannot be read, or the results cannot be written.
    """
    require_extra("spark" if options.engine == SPARK else "parquet")
    from pdp.record_files.exported_log import ExportedLog  # noqa: PLC0415 - as above
    from pdp.record_files.locations import open_files  # noqa: PLC0415 - needs the extra
    from pdp.replay_runs.run import replay_export  # noqa: PLC0415 - as above

    request = cast("pb.ReplayRequest", message)
    log = ExportedLog(open_files(options.records or "", "--records"))
    results = open_files(options.results, _RESULTS) if options.results is not None else None
    release = installed_version()
    policies, record_filter = _inputs(request, target)
    page, directory = replay_export(
        log,
        policies,
        record_filter,
        _engine(options),
        release=release,
        examples=options.examples,
        results=results,
        show_progress=show_progress,
    )
    response = replay_response(page)
    if results is not None:
        report = {key: each for key, each in encode(response).items() if key not in _OF_PAGES}
        text = json.dumps(report, ensure_ascii=False, indent=2)
        results.write(f"{directory}/_report.json", text.encode())
        print(f"pdp: the results are in {results.shown}/{directory}", file=sys.stderr)
    return response


def _inputs(
    request: pb.ReplayRequest, target: TargetOptions
) -> tuple[ReplayPolicies, RecordFilter]:
    """Returns the policies and the selection; faults are those of a call, with the same paths."""
    from pdp.replay_runs.loading import load_policies  # noqa: PLC0415 - needs the extra

    settings = load_settings(target.database_url, create=False)
    tenant_id = request.tenant_id or DEFAULT_TENANT
    try:
        validate(request)
        selection: dict[str, Any] = selection_fields(request.recorded)
        policies = load_policies(
            settings.store_url,
            tenant_id,
            risk_file=settings.risk_file,
            revision=request.revision,
            overlay=request.overlay if request.HasField("overlay") else None,
        )
    except (InvalidArgument, MalformedRequest) as error:
        raise CallFailed.of(error) from None
    print(
        f"pdp: the policies of tenant {tenant_id} at revision {policies.before.revision}, from"
        f" {location(settings.store_url)}",
        file=sys.stderr,
    )
    return policies, RecordFilter(tenant_id, **selection)


def _engine(options: ReplayOptions) -> ReplayEngine:
    if options.engine == SPARK:
        from pdp.replay_runs.spark import SparkEngine  # noqa: PLC0415 - needs the extra

        return SparkEngine(options.spark_master)
    from pdp.replay_runs.local import LocalEngine  # noqa: PLC0415 - needs the extra

    return LocalEngine(options.workers)
