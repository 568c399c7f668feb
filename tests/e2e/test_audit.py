"""What was recorded, as its readers meet it: over HTTP, over gRPC and on the command line."""

from __future__ import annotations

import csv
import io
import json
import resource
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp import Engine
from pdp._gen.pdp.v1 import audit_pb2, audit_pb2_grpc, decide_pb2, decide_pb2_grpc
from pdp.domain.audit_log import RecordFilter
from pdp.domain.request import Subject
from pdp.store import open_audit_log
from tests.support import servers

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

ATTACK: Final = "1 UNION SELECT password FROM users"
CARD: Final = "my card is 4539578763621486"
PLAIN: Final = "What is the capital of France?"
AUDIT: Final = "/api/admin/audit"


def decide(client: httpx2.Client, text: str, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/decide", json={"content": {"text": text}, **fields})
    assert answer.status_code == 200
    return dict(answer.json())


def listed(client: httpx2.Client, **wanted: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{AUDIT}/records", params=wanted)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["records"])


def set_level(client: httpx2.Client, level: str) -> None:
    client.put("/v1/org/policy", json={"logging_level": level}).raise_for_status()


class TestWhatIsRecorded:
    @pytest.mark.parametrize(
        ("level", "texts"),
        [
            ("minimal", [CARD]),
            ("standard", [CARD, ATTACK]),
            ("full", [CARD, ATTACK, PLAIN]),
            ("paranoid", [CARD, ATTACK, PLAIN]),
        ],
    )
    def test_the_logging_level_says_which_decisions(
        self, client: httpx2.Client, level: str, texts: list[str]
    ) -> None:
        set_level(client, level)
        decided = {text: decide(client, text)["decision_id"] for text in (CARD, ATTACK, PLAIN)}
        found = {each["decision_id"] for each in listed(client)}
        assert found == {decided[text] for text in texts}

    def test_a_record_says_who_what_and_why(self, client: httpx2.Client) -> None:
        set_level(client, "full")
        decision = decide(
            client,
            f"{ATTACK}; {CARD}",
            request_id="r1",
            subject={"user_id": "u1", "groups": ["g"], "agent_id": "a1", "risk_score": 0.5},
            model={"provider": "openai", "model": "gpt-4o"},
            tool="t1",
            arguments={"sql": "SELECT 1"},
        )
        record = client.get(f"{AUDIT}/records/{decision['decision_id']}").json()
        for same in (
            "decision_id", "request_id", "outcome", "allowed", "reason_code", "message", "risk",
            "matches", "obligations", "warnings", "frameworks", "pii_detected", "revision",
        ):  # fmt: skip
            assert record[same] == decision[same], same
        assert record["subject"] == {
            "user_id": "u1", "groups": ["g"], "agent_id": "a1", "risk_score": 0.5,
        }  # fmt: skip
        assert record["model"] == {"provider": "openai", "model": "gpt-4o"}
        assert record["redacted_text"] == f"{ATTACK}; my card is [REDACTED]"
        assert record["redacted_arguments"] == {"sql": "SELECT 1"}
        assert len(record["text_sha256"]) == len(record["policy_hash"]) == 64
        assert next(each["layer"] for each in record["layers"]) == "scan"
        assert record["duration_us"] > 0
        assert "CREDIT_CARD" in {each["entity_type"] for each in record["entities"]}

    def test_simulations_are_not_recorded(self, client: httpx2.Client) -> None:
        body = {"request": {"content": {"text": ATTACK}}}
        client.post("/v1/simulate", json=body).raise_for_status()
        assert listed(client) == []

    def test_items_of_a_batch_that_are_at_fault_are_recorded(self, client: httpx2.Client) -> None:
        body = {"requests": [{"action": "Not An Action"}, {"content": {"text": ATTACK}}]}
        client.post("/v1/decide/batch", json=body).raise_for_status()
        assert {each["reason_code"] for each in listed(client)} == {
            "INVALID_ARGUMENT", "STATIC_POLICY_BLOCK",
        }  # fmt: skip


class TestReading:
    def test_filters_and_pages(self, client: httpx2.Client) -> None:
        for number in range(7):
            decide(client, ATTACK, subject={"user_id": f"u{number % 2}"})
        assert len(listed(client, user_id="u0")) == 4
        assert listed(client, outcome="WARN") == []
        assert len(listed(client, outcome=["WARN", "BLOCK"], risk_level="critical")) == 7
        assert len(listed(client, policy_id="sys_sqli_union")) == 7
        assert listed(client, until="2020-01-01T00:00:00Z") == []
        assert len(listed(client, since="2020-01-01T00:00:00Z")) == 7
        seen: list[str] = []
        cursor = ""
        while True:
            page = client.get(
                f"{AUDIT}/records", params={"limit": 3, **({"cursor": cursor} if cursor else {})}
            ).json()
            seen += [each["decision_id"] for each in page["records"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert seen == sorted(set(seen), reverse=True)
        assert len(seen) == 7

    @pytest.mark.parametrize(
        ("wanted", "field"),
        [
            ({"outcome": "MAYBE"}, "outcome[0]"),
            ({"limit": 1001}, "limit"),
            ({"cursor": "x"}, "cursor"),
            ({"since": "yesterday"}, "since"),
        ],
    )
    def test_nonsense_is_refused_by_its_field(
        self, client: httpx2.Client, wanted: dict[str, Any], field: str
    ) -> None:
        answer = client.get(f"{AUDIT}/records", params=wanted)
        assert answer.status_code == 400
        assert [each["field"] for each in answer.json()["error"]["details"]] == [field]

    def test_nobody_reads_the_records_of_another_tenant(self, client: httpx2.Client) -> None:
        found = decide(client, ATTACK)["decision_id"]
        answer = client.get(f"{AUDIT}/records/{found}", headers={"X-Tenant-ID": "somebody-else"})
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "RECORD_NOT_FOUND"

    def test_an_export_has_every_record_oldest_first(self, client: httpx2.Client) -> None:
        ids = [decide(client, ATTACK, tool="=1+1")["decision_id"] for _ in range(3)]
        answer = client.get(f"{AUDIT}/export")
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert [each["decision_id"] for each in lines] == ids
        assert lines == listed(client)[::-1]
        answer = client.get(f"{AUDIT}/export", params={"format": "csv", "outcome": "BLOCK"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [each["decision_id"] for each in rows] == ids
        assert [each["time"] for each in rows] == [each["time"] for each in lines]
        assert rows[0]["tool"] == "'=1+1", "a spreadsheet would run it"

    def test_a_tail_over_grpc(
        self, client: httpx2.Client, channel: grpc.Channel, tenant: str
    ) -> None:
        before = decide(client, ATTACK)["decision_id"]
        cursor = listed(client)[0]["cursor"]
        stub = audit_pb2_grpc.AuditServiceStub(channel)
        tail = stub.TailRecords(
            audit_pb2.TailRecordsRequest(outcome=["BLOCK"], cursor=str(int(cursor) - 1)),
            metadata=(("x-tenant-id", tenant),),
            timeout=servers.TIMEOUT_S,
        )
        assert next(tail).record.decision_id == before
        decide(client, CARD)
        after = decide(client, ATTACK)["decision_id"]
        assert next(tail).record.decision_id == after
        tail.cancel()

    def test_a_tail_over_http(self, client: httpx2.Client) -> None:
        decide(client, ATTACK)
        cursor = listed(client)[0]["cursor"]
        with client.stream("GET", f"{AUDIT}/tail", params={"cursor": cursor}) as tail:
            assert tail.headers["content-type"] == "application/x-ndjson"
            tenant = client.headers["x-tenant-id"]
            with servers.http_client(str(client.base_url), tenant) as another:
                ids = [decide(another, ATTACK)["decision_id"] for _ in range(2)]
            lines = tail.iter_lines()
            assert [json.loads(next(lines))["decision_id"] for _ in ids] == ids

    def test_bad_requests_for_streams_are_answered_as_any(
        self, client: httpx2.Client, channel: grpc.Channel
    ) -> None:
        assert client.get(f"{AUDIT}/export", params={"format": "xml"}).status_code == 400
        stub = audit_pb2_grpc.AuditServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            list(stub.ExportRecords(audit_pb2.ExportRecordsRequest(format="xml")))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    def test_the_log_is_verified(self, client: httpx2.Client) -> None:
        decide(client, ATTACK)
        found = client.get(f"{AUDIT}/verify").json()
        assert (found["intact"], found["problems"]) == (True, [])
        again = client.get(f"{AUDIT}/verify", params={"anchor": found["head"]}).json()
        assert again["intact"] is True
        forged = f"{found['last_batch']}:{'0' * 64}"
        assert client.get(f"{AUDIT}/verify", params={"anchor": forged}).json()["intact"] is False


class TestChanges:
    def test_every_write_has_its_actor_its_before_and_its_after(
        self, client: httpx2.Client
    ) -> None:
        set_level(client, "full")
        rules = [
            {
                "name": "all",
                "condition": {},
                "notify": {"slack_webhook_url": "https://hooks.slack.com/services/T/B/secret"},
            }
        ]
        client.put("/v1/org/policy", json={"alert_rules": rules}).raise_for_status()
        page = client.get(f"{AUDIT}/changes").json()
        newest, oldest = page["changes"]
        assert [oldest["op"], newest["op"]] == ["create", "update"]
        assert newest["actor"] == "dev-admin"
        assert oldest["before"] is None
        assert newest["before"]["alert_rules"] == []
        assert newest["after"]["alert_rules"][0]["notify"] == {"slack_webhook_url": "***"}
        assert "secret" not in json.dumps(page)

    def test_filters_and_pages(self, client: httpx2.Client) -> None:
        for level in ("full", "minimal", "paranoid"):
            set_level(client, level)
        body = {"scope": "user", "subject_id": "u1", "requests_per_minute": 5}
        client.post("/api/admin/limits", json=body).raise_for_status()
        assert len(client.get(f"{AUDIT}/changes").json()["changes"]) == 4
        for wanted, count in (
            ({"kind": "org_policy"}, 3),
            ({"kind": "org_policy", "op": "create"}, 1),
            ({"actor": "nobody"}, 0),
            ({"until": "2020-01-01T00:00:00Z"}, 0),
        ):
            found = client.get(f"{AUDIT}/changes", params=wanted).json()["changes"]
            assert len(found) == count, wanted
        first = client.get(f"{AUDIT}/changes", params={"limit": 3}).json()
        rest = client.get(
            f"{AUDIT}/changes", params={"limit": 3, "cursor": first["next_cursor"]}
        ).json()
        revisions = [each["revision"] for each in first["changes"] + rest["changes"]]
        assert revisions == sorted(revisions, reverse=True)
        assert (len(revisions), rest["next_cursor"]) == (4, "")

    def test_what_all_tenants_share_has_a_list_of_its_own(self, client: httpx2.Client) -> None:
        found = client.get(f"{AUDIT}/platform-changes", params={"kind": "static_policy"}).json()
        assert {each["actor"] for each in found["changes"]} == {"catalog"}
        assert client.get(f"{AUDIT}/changes").json()["changes"] == []


def test_a_number_that_json_has_not_is_recorded(
    client: httpx2.Client, channel: grpc.Channel, tenant: str
) -> None:
    """It would have kept the log from taking whatever came at the same time, from anyone."""
    set_level(client, "full")
    request = decide_pb2.DecideRequest(tenant_id=tenant)
    request.arguments.fields["ratio"].number_value = float("nan")
    decision = decide_pb2_grpc.DecideServiceStub(channel).Decide(request)
    assert (decision.allowed, decision.incomplete) == (True, False)
    found = client.get(f"{AUDIT}/records/{decision.decision_id}").json()
    assert found["redacted_arguments"] == {"ratio": "nan"}


class TestCommands:
    def test_search_export_verify_and_changes(
        self, server: servers.Server, client: httpx2.Client, tenant: str, tmp_path: Path
    ) -> None:
        set_level(client, "full")
        ids = [decide(client, text)["decision_id"] for text in (ATTACK, PLAIN)]
        target = ("--server", server.grpc_address)
        mine = ("--tenant", tenant)
        found = servers.run_pdp("audit", "search", *mine, "--outcome", "block", "--json", *target)
        assert [each["decision_id"] for each in servers.json_output(found)["records"]] == ids[:1]
        assert ids[1] in servers.run_pdp("audit", "search", *mine, "--since", "1h", *target).stdout
        file = tmp_path / "export.ndjson"
        servers.run_pdp("audit", "export", *mine, "--output", str(file), *target)
        lines = file.read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["decision_id"] for line in lines] == ids
        verified = servers.run_pdp("audit", "verify", "--json", *target)
        assert (verified.returncode, servers.json_output(verified)["intact"]) == (0, True)
        assert "logging_level" in servers.run_pdp("audit", "changes", *mine, *target).stdout
        assert servers.run_pdp("audit", "search", "--since", "soon", *target).returncode == 2

    def test_an_export_that_cannot_be_written_says_so(self, server: servers.Server) -> None:
        target = ("--server", server.grpc_address, "--format", "csv")
        refused = servers.run_pdp("audit", "export", "--output", "/dev/full", *target)
        assert refused.returncode == 2
        assert refused.stderr.startswith(
            "pdp: --output: /dev/full cannot be written: No space left"
        )

    def test_a_tampered_log_is_an_exit_code(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/pdp.db"
        with Engine.open(url) as engine:
            engine.decide(text=ATTACK, subject=Subject("u1"))
        with closing(open_audit_log(f"sqlite:///{tmp_path}/audit.db")) as log:
            [kept] = log.select(RecordFilter("default"), before=None, limit=9)
            assert json.loads(kept.body)["subject"]["user_id"] == "u1"
        with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as connection:
            connection.execute("UPDATE records SET body = replace(body, '\"u1\"', '\"u2\"')")
        embedded = ("--embedded", "--database-url", url)
        assert servers.run_pdp("audit", "verify", *embedded).returncode == 1


class TestFailure:
    def test_a_full_disk_blocks_what_cannot_be_recorded(self, tmp_path: Path) -> None:
        """The disk is full as far as this process can tell: no file may grow beyond a bound."""
        with (
            servers.start(tmp_path) as server,
            server.client() as client,
        ):
            set_level(client, "full")
            assert decide(client, PLAIN)["allowed"] is True
            bound_files_of(server, 0)
            blocked = decide(client, PLAIN)
            assert (blocked["outcome"], blocked["incomplete"], blocked["reason_code"]) == (
                "BLOCK", True, "ENGINE_ERROR",
            )  # fmt: skip
            checks = client.get("/readyz").json()["checks"]
            assert checks["audit"].startswith("failing")
            assert "pdp_audit_unrecorded_total 1.0" in client.get("/metrics").text
            bound_files_of(server, resource.RLIM_INFINITY)
            assert decide(client, PLAIN)["allowed"] is True
            assert client.get("/readyz").json()["checks"]["audit"] == "ok"
            assert client.get(f"{AUDIT}/verify").json()["intact"] is True

    def test_what_need_not_be_recorded_goes_on(self, tmp_path: Path) -> None:
        with (
            servers.start(tmp_path) as server,
            server.client() as client,
        ):
            bound_files_of(server, 0)
            assert decide(client, PLAIN)["allowed"] is True
            assert decide(client, ATTACK)["reason_code"] == "ENGINE_ERROR"

    def test_a_server_that_drains_ends_its_tails_and_writes_what_waits(
        self, tmp_path: Path
    ) -> None:
        ids: list[str] = []
        settings = {"PDP_AUDIT_MODE": "async", "PDP_DRAIN_S": servers.DRAIN_S}
        with servers.start(tmp_path, **settings) as server:
            with server.client() as client:
                ids += [decide(client, ATTACK)["decision_id"] for _ in range(20)]
                with client.stream("GET", f"{AUDIT}/tail", params={"cursor": "0"}) as tail:
                    server.process.terminate()
                    lines = [json.loads(line) for line in tail.iter_lines()]
            assert server.wait() == 0
        assert {each["decision_id"] for each in lines} <= set(ids)
        with closing(open_audit_log(f"sqlite:///{tmp_path}/audit.db")) as log:
            found = log.follow(RecordFilter("default"), after=0, limit=100)
            assert [json.loads(each.body)["decision_id"] for each in found] == ids
            assert log.verify().intact

    def test_an_old_log_of_another_program_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "audit.db").write_bytes(b"not a database, but a diary" * 99)
        with servers.launch(tmp_path) as server:
            assert server.wait() == 78


def bound_files_of(server: servers.Server, most: int) -> None:
    """Bounds the size of any file that the server's process may write to."""
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, hard))
