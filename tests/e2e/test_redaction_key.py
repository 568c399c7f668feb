"""The key of hashes and placeholders: one for all processes of an installation, for as long as it
lives.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pdp.embedded import Engine
from tests.support.servers import json_output, run_pdp, start, start_workers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import Server

POLICY = {
    "name": "Code name",
    "category": "custom",
    "pattern": "falcon-[0-9]{4}",
    "action": "warn",
    "redaction": "hash",
}
TEXT = "falcon-1234"


def create_policy(server: Server, tenant: str) -> int:
    """Creates the policy; returns the revision of this change."""
    with server.client() as client:
        headers = {"X-Tenant-ID": tenant}
        answer = client.post("/api/v1/static-policies", json=POLICY, headers=headers)
    assert answer.status_code == 201
    assert answer.json()["policy"]["redaction"] == "hash"
    return int(answer.headers["x-pdp-revision"])


def redacted(server: Server, tenant: str, revision: int = 0) -> str:
    """Returns the redacted text, from any worker of a server."""
    request: dict[str, Any] = {"content": {"text": TEXT}, "min_revision": revision}
    with server.client() as client:
        headers = {"X-Tenant-ID": tenant}
        answer = client.post("/v1/decide", json=request, headers=headers).json()
    assert answer["outcome"] == "REDACT"
    return str(answer["redacted_text"])


def test_a_hash_survives_a_restart_and_a_restore(tmp_path: Path, tenant: str) -> None:
    """The server, the embedded engine and a restored database have the same key."""
    with start(tmp_path / "data") as server:
        revision = create_policy(server, tenant)
        before = redacted(server, tenant, revision)
    assert before.startswith("[CODE_NAME_")
    with start(tmp_path / "data") as server:
        assert redacted(server, tenant) == before
    url = f"sqlite:///{tmp_path}/data/pdp.db"
    with Engine.open(url) as engine:
        assert engine.decide(text=TEXT, tenant_id=tenant).redacted_text == before
    backup = str(tmp_path / "pdp.backup")
    json_output(run_pdp("backup", backup, "--database-url", url, "--json"))
    restored = f"sqlite:///{tmp_path}/restored/pdp.db"
    json_output(run_pdp("restore", backup, "--database-url", restored, "--json"))
    with Engine.open(restored) as engine:
        assert engine.decide(text=TEXT, tenant_id=tenant).redacted_text == before


def test_all_workers_have_the_same_key(tmp_path: Path, tenant: str) -> None:
    """Many connections reach all workers, and get one hash."""
    with start_workers(tmp_path) as server:
        revision = create_policy(server, tenant)
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(redacted, server, tenant, revision) for _ in range(16)]
            assert len({each.result() for each in futures}) == 1
