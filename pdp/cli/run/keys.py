"""Runs `pdp keys`: calls the RPCs for API keys on the database itself, without a server.

Everybody who may write to the database may administer its keys.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pdp.bootstrap.recording import RecordingOptions
from pdp.cli.failures import exit_on_failure
from pdp.cli.local_database import load_settings, local_actor
from pdp.cli.output.report import Report, Table, print_json, show
from pdp.cli.request import to_message
from pdp.client.local import LocalClient
from pdp.jsonpb import encode
from pdp.logs import logging_to_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY_S = 86_400


def create(
    database_url: str | None,
    body: dict[str, Any],
    expires_days: float | None,
    *,
    as_json: bool,
) -> None:
    """Creates a key, and prints it on the last line.

    Args:
        database_url: the database; None for that of the settings.
        body: the key, in the JSON form of a CreateApiKeyRequest.
        expires_days: how many days it is valid; None for without end.
        as_json: whether to print JSON.
    """
    if expires_days is not None:
        body["expires_at"] = _rfc3339(time.time() + expires_days * _DAY_S)
    with exit_on_failure(as_json=as_json), _open_client(database_url, create=True) as client:
        answer = _call(client, "CreateApiKey", body)
    _show_key("created", answer, as_json=as_json)


def list_keys(database_url: str | None, *, as_json: bool) -> None:
    """Prints all keys, without their secrets."""
    with exit_on_failure(as_json=as_json), _open_client(database_url) as client:
        keys = _call(client, "ListApiKeys", {})["keys"]
    if as_json:
        print_json(keys)
        return
    columns = ("id", "name", "role", "tenants", "owner", "prefixes", "expires", "created by")
    rows = [
        (
            key["id"],
            key["name"],
            key["role"],
            ", ".join(key["tenants"]),
            key.get("owner", ""),
            ", ".join(each["prefix"] for each in key["secrets"]),
            key["expires_at"] or "never",
            key["created_by"],
        )
        for key in keys
    ]
    show(Report(f"{len(keys)} API keys", tables=[Table("keys", columns, rows)]))


def rotate(database_url: str | None, key_id: str, overlap_s: int | None, *, as_json: bool) -> None:
    """Creates a new secret for a key, and prints it on the last line."""
    body: dict[str, Any] = {"key_id": key_id}
    if overlap_s is not None:
        body["overlap_s"] = overlap_s
    with exit_on_failure(as_json=as_json), _open_client(database_url) as client:
        answer = _call(client, "RotateApiKey", body)
    _show_key("rotated", answer, as_json=as_json)


def revoke(database_url: str | None, key_id: str) -> None:
    """Revokes a key."""
    with exit_on_failure(as_json=False), _open_client(database_url) as client:
        _call(client, "RevokeApiKey", {"key_id": key_id})
    print(f"revoked {key_id}")


@contextmanager
def _open_client(url: str | None, *, create: bool = False) -> Iterator[LocalClient]:
    settings = load_settings(url, create=create)
    with (
        logging_to_stderr("warning"),
        LocalClient(
            settings.store_url, actor=local_actor(), records=RecordingOptions.of(settings)
        ) as client,
    ):
        yield client


def _call(client: LocalClient, name: str, body: dict[str, Any]) -> dict[str, Any]:
    return encode(client.call(name, to_message(name, body)).message)


def _show_key(verb: str, answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    key = answer["api_key"]
    facts = [
        ("id", key["id"]),
        ("name", key["name"]),
        ("role", key["role"]),
        ("tenants", ", ".join(key["tenants"])),
        *([("owner", key["owner"])] if key.get("owner") else []),
        ("expires", key["expires_at"] or "never"),
    ]
    show(Report(f"{verb}; the key is shown only once:", facts=facts))
    print(answer["key"])


def _rfc3339(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return "never"  # the endpoint rejects it, with the name of the field
