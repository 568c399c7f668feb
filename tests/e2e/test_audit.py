"""Decision records and changes: over HTTP, over gRPC and on the command line."""

from __future__ import annotations

import csv
import io
import json
import re
import resource
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp import Engine
from pdp._gen.pdp.v1 import audit_pb2, audit_pb2_grpc, decide_pb2, decide_pb2_grpc
from pdp.domain.audit_log import RecordFilter, Retention
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


def records(client: httpx2.Client, **filters: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{AUDIT}/records", params=filters)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["records"])


def set_level(client: httpx2.Client, level: str) -> None:
    client.put("/v1/org/policy", json={"logging_level": level}).raise_for_status()


class TestRecording:
    @pytest.mark.parametrize(
        ("level", "texts"),
        [
            ("minimal", [CARD]),
            ("standard", [CARD, ATTACK]),
            ("full", [CARD, ATTACK, PLAIN]),
            ("paranoid", [CARD, ATTACK, PLAIN]),
        ],
    )
    def test_the_logging_level_selects_the_decisions(
        self, client: httpx2.Client, level: str, texts: list[str]
    ) -> None:
        set_level(client, level)
        decided = {text: decide(client, text)["decision_id"] for text in (CARD, ATTACK, PLAIN)}
        ids = {each["decision_id"] for each in records(client)}
        assert ids == {decided[text] for text in texts}

    def test_a_record_has_subject_request_and_decision(self, client: httpx2.Client) -> None:
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
        assert records(client) == []

    def test_invalid_items_of_a_batch_are_recorded(self, client: httpx2.Client) -> None:
        body = {"requests": [{"action": "Not An Action"}, {"content": {"text": ATTACK}}]}
        client.post("/v1/decide/batch", json=body).raise_for_status()
        assert {each["reason_code"] for each in records(client)} == {
            "INVALID_ARGUMENT", "STATIC_POLICY_BLOCK",
        }  # fmt: skip


class TestReading:
    def test_filters_and_pages(self, client: httpx2.Client) -> None:
        for number in range(7):
            decide(client, ATTACK, subject={"user_id": f"u{number % 2}"})
        assert len(records(client, user_id="u0")) == 4
        assert records(client, outcome="WARN") == []
        assert len(records(client, outcome=["WARN", "BLOCK"], risk_level="critical")) == 7
        assert len(records(client, policy_id="sys_sqli_union")) == 7
        assert records(client, until="2020-01-01T00:00:00Z") == []
        assert len(records(client, since="2020-01-01T00:00:00Z")) == 7
        ids: list[str] = []
        cursor = ""
        while True:
            page = client.get(
                f"{AUDIT}/records", params={"limit": 3, **({"cursor": cursor} if cursor else {})}
            ).json()
            ids += [each["decision_id"] for each in page["records"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert ids == sorted(set(ids), reverse=True)
        assert len(ids) == 7

    @pytest.mark.parametrize(
        ("filters", "field"),
        [
            ({"outcome": "MAYBE"}, "outcome[0]"),
            ({"limit": 1001}, "limit"),
            ({"cursor": "x"}, "cursor"),
            ({"since": "yesterday"}, "since"),
        ],
    )
    def test_an_invalid_filter_is_refused_with_its_field(
        self, client: httpx2.Client, filters: dict[str, Any], field: str
    ) -> None:
        answer = client.get(f"{AUDIT}/records", params=filters)
        assert answer.status_code == 400
        assert [each["field"] for each in answer.json()["error"]["details"]] == [field]

    def test_records_of_another_tenant_are_not_found(self, client: httpx2.Client) -> None:
        decision_id = decide(client, ATTACK)["decision_id"]
        answer = client.get(
            f"{AUDIT}/records/{decision_id}", headers={"X-Tenant-ID": "somebody-else"}
        )
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "RECORD_NOT_FOUND"

    def test_an_export_has_every_record_oldest_first(self, client: httpx2.Client) -> None:
        ids = [decide(client, ATTACK, tool="=1+1")["decision_id"] for _ in range(3)]
        answer = client.get(f"{AUDIT}/export")
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert [each["decision_id"] for each in lines] == ids
        assert lines == records(client)[::-1]
        answer = client.get(f"{AUDIT}/export", params={"format": "csv", "outcome": "BLOCK"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [each["decision_id"] for each in rows] == ids
        assert [each["time"] for each in rows] == [each["time"] for each in lines]
        assert rows[0]["tool"] == "'=1+1", "a spreadsheet would run it"

    def test_a_tail_over_grpc_sends_new_records(
        self, client: httpx2.Client, channel: grpc.Channel, tenant: str
    ) -> None:
        before = decide(client, ATTACK)["decision_id"]
        cursor = records(client)[0]["cursor"]
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

    def test_a_tail_over_http_sends_new_records(self, client: httpx2.Client) -> None:
        decide(client, ATTACK)
        cursor = records(client)[0]["cursor"]
        with client.stream("GET", f"{AUDIT}/tail", params={"cursor": cursor}) as tail:
            assert tail.headers["content-type"] == "application/x-ndjson"
            tenant = client.headers["x-tenant-id"]
            with servers.http_client(str(client.base_url), tenant) as another:
                ids = [decide(another, ATTACK)["decision_id"] for _ in range(2)]
            lines = tail.iter_lines()
            assert [json.loads(next(lines))["decision_id"] for _ in ids] == ids

    def test_a_tail_continues_a_list_without_a_gap(self, client: httpx2.Client) -> None:
        matching = {"outcome": "BLOCK"}
        empty = client.get(f"{AUDIT}/records", params=matching).json()
        assert empty["records"] == []
        ids = [decide(client, ATTACK)["decision_id"] for _ in range(3)]
        listed = records(client, **matching)
        page = client.get(f"{AUDIT}/records", params={**matching, "limit": 1}).json()
        assert int(page["tail_cursor"]) >= int(listed[0]["cursor"]) > int(empty["tail_cursor"])
        older = {**matching, "limit": 1, "cursor": page["next_cursor"]}
        assert client.get(f"{AUDIT}/records", params=older).json()["tail_cursor"] == ""
        tailing = {**matching, "cursor": empty["tail_cursor"]}
        with client.stream("GET", f"{AUDIT}/tail", params=tailing) as tail:
            lines = tail.iter_lines()
            assert [json.loads(next(lines))["decision_id"] for _ in ids] == ids

    def test_invalid_requests_for_streams_are_refused(
        self, client: httpx2.Client, channel: grpc.Channel
    ) -> None:
        assert client.get(f"{AUDIT}/export", params={"format": "xml"}).status_code == 400
        stub = audit_pb2_grpc.AuditServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refusal:
            list(stub.ExportRecords(audit_pb2.ExportRecordsRequest(format="xml")))
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    def test_verify_finds_a_wrong_anchor(self, client: httpx2.Client) -> None:
        decide(client, ATTACK)
        verification = client.get(f"{AUDIT}/verify").json()
        assert (verification["intact"], verification["problems"]) == (True, [])
        assert verification["removals"] == []
        again = client.get(f"{AUDIT}/verify", params={"anchor": verification["head"]}).json()
        assert again["intact"] is True
        forged = f"{verification['last_batch']}:{'0' * 64}"
        assert client.get(f"{AUDIT}/verify", params={"anchor": forged}).json()["intact"] is False


class TestChanges:
    def test_a_change_has_its_actor_and_both_versions_without_secrets(
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
        for filters, count in (
            ({"kind": "org_policy"}, 3),
            ({"kind": "org_policy", "op": "create"}, 1),
            ({"actor": "nobody"}, 0),
            ({"until": "2020-01-01T00:00:00Z"}, 0),
        ):
            page = client.get(f"{AUDIT}/changes", params=filters).json()["changes"]
            assert len(page) == count, filters
        first = client.get(f"{AUDIT}/changes", params={"limit": 3}).json()
        rest = client.get(
            f"{AUDIT}/changes", params={"limit": 3, "cursor": first["next_cursor"]}
        ).json()
        revisions = [each["revision"] for each in first["changes"] + rest["changes"]]
        assert revisions == sorted(revisions, reverse=True)
        assert (len(revisions), rest["next_cursor"]) == (4, "")

    def test_changes_of_the_platform_have_their_own_list(self, client: httpx2.Client) -> None:
        page = client.get(f"{AUDIT}/platform-changes", params={"kind": "static_policy"}).json()
        assert {each["actor"] for each in page["changes"]} == {"catalog"}
        assert client.get(f"{AUDIT}/changes").json()["changes"] == []


def test_a_number_that_json_does_not_have_is_recorded(
    client: httpx2.Client, channel: grpc.Channel, tenant: str
) -> None:
    """Otherwise the log would reject the batch, with the records of other callers in it."""
    set_level(client, "full")
    request = decide_pb2.DecideRequest(tenant_id=tenant)
    request.arguments.fields["ratio"].number_value = float("nan")
    decision = decide_pb2_grpc.DecideServiceStub(channel).Decide(request)
    assert (decision.allowed, decision.incomplete) == (True, False)
    record = client.get(f"{AUDIT}/records/{decision.decision_id}").json()
    assert record["redacted_arguments"] == {"ratio": "nan"}


class TestCommands:
    def test_commands_search_export_and_verify_records(
        self, server: servers.Server, client: httpx2.Client, tenant: str, tmp_path: Path
    ) -> None:
        set_level(client, "full")
        ids = [decide(client, text)["decision_id"] for text in (ATTACK, PLAIN)]
        target = ("--server", server.grpc_address)
        mine = ("--tenant", tenant)
        search = servers.run_pdp("audit", "search", *mine, "--outcome", "block", "--json", *target)
        assert [each["decision_id"] for each in servers.json_output(search)["records"]] == ids[:1]
        assert ids[1] in servers.run_pdp("audit", "search", *mine, "--since", "1h", *target).stdout
        file = tmp_path / "export.ndjson"
        servers.run_pdp("audit", "export", *mine, "--output", str(file), *target)
        lines = file.read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["decision_id"] for line in lines] == ids
        verified = servers.run_pdp("audit", "verify", "--json", *target)
        assert (verified.returncode, servers.json_output(verified)["intact"]) == (0, True)
        assert "logging_level" in servers.run_pdp("audit", "changes", *mine, *target).stdout
        assert servers.run_pdp("audit", "search", "--since", "soon", *target).returncode == 2

    def test_a_tail_since_a_time_shows_the_past_first(
        self, server: servers.Server, client: httpx2.Client, tenant: str
    ) -> None:
        """Then it goes on with what is decided from now on."""
        ids = [decide(client, ATTACK)["decision_id"] for _ in range(2)]
        arguments = ("audit", "tail", "--tenant", tenant, "--since", "1h", "--json")
        with subprocess.Popen(
            [*servers.COMMAND, *arguments],
            env=servers.environment(PDP_SERVER=server.grpc_address),
            stdout=subprocess.PIPE,
        ) as tail:
            try:
                assert tail.stdout is not None
                past = [json.loads(tail.stdout.readline())["decision_id"] for _ in ids]
                ids.append(decide(client, ATTACK)["decision_id"])
                new = json.loads(tail.stdout.readline())["decision_id"]
            finally:
                tail.terminate()
        assert [*past, new] == ids

    def test_show_prints_a_whole_record(
        self, server: servers.Server, client: httpx2.Client, tenant: str
    ) -> None:
        """By the id of the decision, or of the request."""

        def show(name: str, *options: str) -> subprocess.CompletedProcess[str]:
            target = ("--server", server.grpc_address, "--tenant", tenant)
            return servers.run_pdp("audit", "show", name, *options, *target)

        set_level(client, "full")
        body = {"content": {"text": ATTACK}, "request_id": f"r-{tenant}"}
        decided = client.post("/v1/decide", json=body).json()
        ran = show(decided["decision_id"])
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("BLOCK (not allowed)\n")
        name, policy_id = (decided["matches"][0][key] for key in ("name", "policy_id"))
        assert re.search(rf"static +{re.escape(name)} +{policy_id} +block", ran.stdout)
        assert show(f"r-{tenant}").stdout == ran.stdout
        record = servers.json_output(show(decided["decision_id"], "--json"))
        assert record == client.get(f"{AUDIT}/records/{decided['decision_id']}").json()

        client.post("/v1/decide", json=body).raise_for_status()
        assert show(f"r-{tenant}").stdout.startswith("2 decisions\n")
        missing = show("nothing")
        assert (missing.returncode, missing.stdout) == (3, "")
        assert "there is no record of decision nothing" in missing.stderr

    def test_tables_name_the_policy(
        self, server: servers.Server, client: httpx2.Client, tenant: str
    ) -> None:
        rule = {"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"}
        client.post("/api/v1/static-policies", json=rule).raise_for_status()
        assert decide(client, "a rival")["outcome"] == "BLOCK"
        mine = ("--server", server.grpc_address, "--tenant", tenant)
        found = servers.run_pdp("audit", "search", *mine).stdout
        assert re.search(r"STATIC_POLICY_BLOCK +No rivals ", found)
        changes = servers.run_pdp("audit", "changes", *mine, "--kind", "static_policy").stdout
        assert re.search(r"static_policy +No rivals ", changes)

    def test_export_reports_a_file_that_cannot_be_written(self, server: servers.Server) -> None:
        target = ("--server", server.grpc_address, "--format", "csv")
        refusal = servers.run_pdp("audit", "export", "--output", "/dev/full", *target)
        assert refusal.returncode == 2
        assert refusal.stderr.startswith(
            "pdp: --output: /dev/full cannot be written: No space left"
        )

    def test_verify_says_what_the_retention_has_removed(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/pdp.db"
        with Engine.open(url) as engine:
            engine.decide(text=ATTACK, subject=Subject("u1"))
        with closing(open_audit_log(f"sqlite:///{tmp_path}/audit.db")) as log:
            log.append(['{"tenant_id": "default"}'])
            log.retain(Retention(max_age_s=0), 4e9)
        embedded = ("--embedded", "--database-url", url)
        verified = servers.run_pdp("audit", "verify", "--json", *embedded)
        answer = servers.json_output(verified)
        removal = {"tenant_id": "default", "reason": "age", "records": 1}
        assert (answer["intact"], answer["removals"]) == (True, [removal])
        assert "Removed by retention" in servers.run_pdp("audit", "verify", *embedded).stdout

    def test_verify_exits_with_1_for_a_tampered_log(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/pdp.db"
        with Engine.open(url) as engine:
            engine.decide(text=ATTACK, subject=Subject("u1"))
        with closing(open_audit_log(f"sqlite:///{tmp_path}/audit.db")) as log:
            [record] = log.select(RecordFilter("default"), before=None, limit=9).records
            assert json.loads(record.body)["subject"]["user_id"] == "u1"
        with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as connection:
            connection.execute("UPDATE records SET body = replace(body, '\"u1\"', '\"u2\"')")
        embedded = ("--embedded", "--database-url", url)
        assert servers.run_pdp("audit", "verify", *embedded).returncode == 1


class TestFailure:
    def test_a_decision_that_cannot_be_recorded_is_blocked(self, tmp_path: Path) -> None:
        """A limit on the size of files has the effect of a full disk."""
        with (
            servers.start(tmp_path) as server,
            server.client() as client,
        ):
            set_level(client, "full")
            assert decide(client, PLAIN)["allowed"] is True
            limit_file_size(server, 0)
            blocked = decide(client, PLAIN)
            assert (blocked["outcome"], blocked["incomplete"], blocked["reason_code"]) == (
                "BLOCK", True, "ENGINE_ERROR",
            )  # fmt: skip
            checks = client.get("/readyz").json()["checks"]
            assert checks["audit"].startswith("failing")
            assert server.metric("pdp_audit_unrecorded_total") == 1
            limit_file_size(server, resource.RLIM_INFINITY)
            assert decide(client, PLAIN)["allowed"] is True
            assert client.get("/readyz").json()["checks"]["audit"] == "ok"
            assert client.get(f"{AUDIT}/verify").json()["intact"] is True

    def test_decisions_without_a_record_continue_on_a_full_disk(self, tmp_path: Path) -> None:
        with (
            servers.start(tmp_path) as server,
            server.client() as client,
        ):
            limit_file_size(server, 0)
            assert decide(client, PLAIN)["allowed"] is True
            assert decide(client, ATTACK)["reason_code"] == "ENGINE_ERROR"

    def test_a_draining_server_ends_tails_and_writes_pending_records(self, tmp_path: Path) -> None:
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
            rows = log.follow(RecordFilter("default"), after=0, limit=100).records
            assert [json.loads(each.body)["decision_id"] for each in rows] == ids
            assert log.verify().intact

    def test_a_file_of_another_program_is_refused_as_log(self, tmp_path: Path) -> None:
        (tmp_path / "audit.db").write_bytes(b"not a database, but a diary" * 99)
        with servers.launch(tmp_path) as server:
            assert server.wait() == 78


def limit_file_size(server: servers.Server, limit: int) -> None:
    """Limits the size of the files that the server writes."""
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, hard))
