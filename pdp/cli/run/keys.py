"""What `pdp keys` does: the server's own RPCs, on the database, by whoever may write to it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pdp.bootstrap.recording import RecordingOptions
from pdp.cli.asking import actor_here, ending, message_of
from pdp.cli.databases import settings_for
from pdp.cli.report import Report, Table, show
from pdp.client.local import LocalClient
from pdp.jsonpb import encode
from pdp.logs import logging_to_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DAY_S = 86_400


def create(
    database_url: str | None,
    role: str,
    tenants: Sequence[str],
    name: str,
    expires_days: float | None,
    *,
    as_json: bool,
) -> None:
    """Makes a key, and shows it on the last line."""
    body: dict[str, Any] = {"name": name, "role": role, "tenants": list(tenants)}
    if expires_days is not None:
        body["expires_at"] = _rfc3339(time.time() + expires_days * _DAY_S)
    with ending(as_json=as_json), _database(database_url, make=True) as database:
        answer = _call(database, "CreateApiKey", body)
    _show_key("made", answer, as_json=as_json)


def list_keys(database_url: str | None, *, as_json: bool) -> None:
    """Shows all keys."""
    with ending(as_json=as_json), _database(database_url) as database:
        keys = _call(database, "ListApiKeys", {})["keys"]
    if as_json:
        print(json.dumps(keys, ensure_ascii=False, indent=2))
        return
    columns = ("id", "name", "role", "tenants", "begins with", "expires", "made by")
    rows = [
        (
            key["id"],
            key["name"],
            key["role"],
            ", ".join(key["tenants"]),
            ", ".join(each["prefix"] for each in key["secrets"]),
            key["expires_at"] or "never",
            key["created_by"],
        )
        for key in keys
    ]
    show(Report(f"{len(keys)} API keys", tables=[Table("keys", columns, rows)]))


def rotate(database_url: str | None, key_id: str, overlap_s: int | None, *, as_json: bool) -> None:
    """Gives a key a new secret, and shows it on the last line."""
    body: dict[str, Any] = {"key_id": key_id}
    if overlap_s is not None:
        body["overlap_s"] = overlap_s
    with ending(as_json=as_json), _database(database_url) as database:
        answer = _call(database, "RotateApiKey", body)
    _show_key("rotated", answer, as_json=as_json)


def revoke(database_url: str | None, key_id: str) -> None:
    """Makes a key count no more."""
    with ending(as_json=False), _database(database_url) as database:
        _call(database, "RevokeApiKey", {"key_id": key_id})
    print(f"revoked {key_id}")


@contextmanager
def _database(url: str | None, *, make: bool = False) -> Iterator[LocalClient]:
    settings = settings_for(url, make=make)
    with (
        logging_to_stderr("warning"),
        LocalClient(
            settings.store_url, actor=actor_here(), records=RecordingOptions.of(settings)
        ) as database,
    ):
        yield database


def _call(database: LocalClient, name: str, body: dict[str, Any]) -> dict[str, Any]:
    return encode(database.call(name, message_of(name, body)).message)


def _show_key(done: str, answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    key = answer["api_key"]
    facts = [
        ("id", key["id"]),
        ("name", key["name"]),
        ("role", key["role"]),
        ("tenants", ", ".join(key["tenants"])),
        ("expires", key["expires_at"] or "never"),
    ]
    show(Report(f"{done}; it is shown this once:", facts=facts))
    print(answer["key"])


def _rfc3339(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return "never"  # refused, by its field's name, where the others are
