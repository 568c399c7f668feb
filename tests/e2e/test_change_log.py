"""The change log of a server with a retention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.rest.packs import created_json, ok_json
from tests.support.servers import start
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = "/api/admin/limits"
CHANGES = "/api/admin/audit/changes"
REMOVED = "pdp_changes_removed_total"


def test_a_server_removes_old_changes_and_says_so(tmp_path: Path) -> None:
    with start(tmp_path) as server, server.client("acme") as client:
        limit = created_json(
            client.post(LIMITS, json={"scope": "user", "subject_id": "u", "daily_request_limit": 9})
        )
        for bound in range(3):
            body = {"daily_request_limit": bound + 1}
            ok_json(client.put(f"{LIMITS}/{limit['id']}", json=body))
        assert "removed_through" not in ok_json(client.get(CHANGES))
    with (
        start(tmp_path, PDP_CHANGE_LOG_DAYS="0.0000001") as server,
        server.client("acme") as client,
    ):
        wait_until(lambda: server.metric(REMOVED), "changes were removed")
        trail = ok_json(client.get(CHANGES))
        newest = trail["changes"][0]["revision"]
        assert len(trail["changes"]) == 1
        assert trail["removed_through"] == newest - 1
        assert ok_json(client.get(f"{LIMITS}/{limit['id']}"))["daily_request_limit"] == 3
        assert created_json(client.post(LIMITS, json={"scope": "user", "subject_id": "v"}))
