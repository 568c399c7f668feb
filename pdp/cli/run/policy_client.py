"""Calls PolicyFileService for `pdp policies`, on a server or on a database, and prints changes."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.failures import UsageError
from pdp.cli.local_database import load_settings, local_actor
from pdp.cli.output.report import printable
from pdp.client import CallFailed, rpc
from pdp.domain.tenant import is_tenant_id
from pdp.errors import PdpError
from pdp.jsonpb import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdp.cli.options.policy_target import PolicyTargetOptions
    from pdp.client import Client

    PlaceOf = Callable[[str], str]
    """Returns the file and line of the path of a value."""

_MARKS: Final = {"added": "+", "changed": "~", "removed": "-"}


@contextmanager
def connect(target: PolicyTargetOptions, *, create: bool = False) -> Iterator[Client]:
    """Yields a client of the server or the database.

    Args:
        target: the server or the database.
        create: whether to create the database if it does not exist.

    Raises:
        ConfigError: the database or a file for TLS cannot be used.
    """
    if target.server is not None:
        from pdp.client.remote import RemoteClient  # noqa: PLC0415 - loads gRPC

        with RemoteClient(
            target.server,
            timeout_s=target.timeout,
            tls=target.client_tls(),
            credential=target.credential(),
        ) as remote:
            yield remote
        return
    from pdp.client.local import LocalClient  # noqa: PLC0415 - not needed if there is a server
    from pdp.logs import logging_to_stderr  # noqa: PLC0415 - as above

    settings = load_settings(target.database_url, create=create)
    with (
        logging_to_stderr("warning"),
        LocalClient(
            settings.store_url,
            risk_file=settings.risk_file,
            actor=local_actor(),
            recording=False,
        ) as local,
    ):
        yield local


def check_tenant(tenant: str) -> None:
    """Raises a UsageError if a tenant of an option is not one."""
    if not is_tenant_id(tenant):
        raise UsageError("--tenant must have 1 to 128 characters of A-Z a-z 0-9 . _ -")


def call(
    client: Client,
    name: str,
    body: Mapping[str, Any],
    tenant: str,
    place_of: PlaceOf | None = None,
) -> dict[str, Any]:
    """Calls an RPC; returns the response as JSON.

    Args:
        client: calls the RPC.
        name: the RPC.
        body: the request, as JSON.
        tenant: the tenant.
        place_of: returns the places of faults; None if the request is not a file.

    Raises:
        CallFailed: the call failed. The message has a line for each fault, with its place.
    """
    message = rpc(name).request()
    try:
        decode(dict(body), message)
        return encode(client.call(name, message, tenant).message)
    except PdpError as error:
        raise placed(CallFailed.of(error), place_of) from None
    except CallFailed as failure:
        raise placed(failure, place_of) from None


def placed(failure: CallFailed, place_of: PlaceOf | None) -> CallFailed:
    """Returns a failure with the place of each fault in its message."""
    if place_of is None or not failure.details:
        return failure
    lines = [f"{place_of(field)}: {field}: {reason}" for field, reason in failure.details]
    return CallFailed(
        failure.code, "\n".join(lines), failure.details, unavailable=failure.unavailable
    )


def print_changes(answer: Mapping[str, Any], place_of: PlaceOf | None = None) -> None:
    """Prints the changes of an import or a rollback, and its warnings to stderr."""
    for each in answer["changes"]:
        name = f": {printable(each['name'])}" if each["name"] else ""
        print(f"{_MARKS[each['change']]} {each['section']}{name}")
        for field in each["fields"]:
            before, after = _value(field["before"]), _value(field["after"])
            print(f"    {field['field']}: {before} -> {after}")
    for warning in answer.get("warnings", ()):
        place = f"{place_of(warning['field'])}: " if place_of else ""
        print(f"warning: {place}{warning['field']}: {warning['message']}", file=sys.stderr)


def summary_of(answer: Mapping[str, Any]) -> str:
    """Returns what an import or a rollback has done, as a sentence."""
    count, tenant = len(answer["changes"]), answer["tenant"]
    if answer["dry_run"]:
        return f"{count} policies of {tenant} would change"
    return f"{count} policies of {tenant} changed, in force from revision {answer['revision']}"


def _value(value: Any) -> str:
    return "(unset)" if value is None else printable(json.dumps(value, ensure_ascii=False))
