"""Numbers stay exact on every way to a decision, and their number is bounded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc, simulate_pb2, simulate_pb2_grpc
from pdp.domain.request import MAX_VALUES
from tests.e2e.test_grpc import error_details
from tests.support.rest.packs import ok_json, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx2

    from tests.e2e.conftest import CommandResult

TIMEOUT_S: Final = 30.0
IDS: Final = [1234567890123456789, -(2**63), 2**64 - 1, 2**53 + 1, 1.0, 0.1, 10**30]
ARGUMENTS: Final = {"note": "a needle", "ids": IDS}
REDACTED: Final = {"note": "a [REDACTED]", "ids": IDS}


@pytest.fixture(autouse=True)
def redacting(client: httpx2.Client) -> None:
    """The tenant's chain redacts the word needle."""
    rules = [
        {"name": "Needle", "conditions": {"content_regex": "needle"}, "action": {"type": "REDACT"}}
    ]
    packs = [{"id": pack(client, "Needles", rules=rules)["id"], "sequence": 0}]
    ok_json(client.put("/api/admin/policy-chains/org", json={"packs": packs}))


@pytest.fixture
def stub(channel: grpc.Channel) -> decide_pb2_grpc.DecideServiceStub:
    return decide_pb2_grpc.DecideServiceStub(channel)


def same(answer: str | Any) -> bool:
    """Whether redacted arguments are as expected, with the type of each number."""
    value = json.loads(answer) if isinstance(answer, str) else answer
    return repr(value) == repr(REDACTED)


class TestHttp:
    """Bodies, in which `arguments` is an object."""

    def test_decide(self, client: httpx2.Client) -> None:
        answer = client.post("/v1/decide", json={"arguments": ARGUMENTS})
        assert same(answer.json()["redacted_arguments"])
        assert b'"ids":[1234567890123456789,' in answer.content
        assert "redacted_arguments_json" not in answer.json()

    def test_batch(self, client: httpx2.Client) -> None:
        body = {"requests": [{"arguments": ARGUMENTS}, {}, {"arguments": ARGUMENTS}]}
        first, second, third = ok_json(client.post("/v1/decide/batch", json=body))["responses"]
        assert same(first["redacted_arguments"])
        assert same(third["redacted_arguments"])
        assert "redacted_arguments" not in second

    def test_simulate(self, client: httpx2.Client) -> None:
        body = {"request": {"arguments": ARGUMENTS}}
        answer = ok_json(client.post("/v1/simulate", json=body))
        assert same(answer["decision"]["redacted_arguments"])

    def test_the_full_simulator(self, client: httpx2.Client) -> None:
        body = {"arguments": ARGUMENTS, "context": {"id": IDS[0]}}
        answer = ok_json(client.post("/api/admin/policy/simulate", json=body))
        assert same(answer["decision"]["redacted_arguments"])

    def test_the_record(self, client: httpx2.Client) -> None:
        client.put("/v1/org/policy", json={"logging_level": "full"}).raise_for_status()
        decision = ok_json(client.post("/v1/decide", json={"arguments": ARGUMENTS}))
        record = ok_json(client.get(f"/api/admin/audit/records/{decision['decision_id']}"))
        assert repr(record["redacted_arguments"]["ids"]) == repr(IDS)


class TestGrpc:
    """Messages with `arguments_json`."""

    def test_decide(self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str) -> None:
        request = pb.DecideRequest(tenant_id=tenant, arguments_json=json.dumps(ARGUMENTS))
        response = stub.Decide(request, timeout=TIMEOUT_S)
        assert same(response.redacted_arguments_json)
        assert not response.HasField("redacted_arguments")

    def test_a_struct_is_answered_by_a_struct(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        request = pb.DecideRequest(tenant_id=tenant)
        request.arguments.update({"note": "needle", "id": 5, "half": 0.5})
        response = stub.Decide(request, timeout=TIMEOUT_S)
        assert dict(response.redacted_arguments) == {"note": "[REDACTED]", "id": 5, "half": 0.5}
        assert not response.HasField("redacted_arguments_json")

    def test_without_redactions_there_are_no_redacted_arguments(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        request = pb.DecideRequest(tenant_id=tenant, arguments_json='{"id": 9007199254740993}')
        response = stub.Decide(request, timeout=TIMEOUT_S)
        assert response.outcome == pb.OUTCOME_ALLOW
        assert not response.HasField("redacted_arguments_json")

    def test_a_batch_answers_each_request_in_its_form(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        batch = pb.DecideBatchRequest(tenant_id=tenant)
        batch.requests.add(arguments_json=json.dumps(ARGUMENTS))
        batch.requests.add().arguments.update({"note": "needle"})
        batch.requests.add(arguments_json="{")
        first, second, third = stub.DecideBatch(batch, timeout=TIMEOUT_S).responses
        assert same(first.redacted_arguments_json)
        assert dict(second.redacted_arguments) == {"note": "[REDACTED]"}
        assert (third.outcome, third.reason_code) == (pb.OUTCOME_BLOCK, "INVALID_ARGUMENT")
        assert "requests[2].arguments_json: expected a name" in third.message

    def test_simulate(self, channel: grpc.Channel, tenant: str) -> None:
        request = pb.DecideRequest(tenant_id=tenant, arguments_json=json.dumps(ARGUMENTS))
        response = simulate_pb2_grpc.SimulateServiceStub(channel).Simulate(
            simulate_pb2.SimulateRequest(request=request), timeout=TIMEOUT_S
        )
        assert same(response.decision.redacted_arguments_json)

    @pytest.mark.parametrize(
        ("arguments", "text", "reason"),
        [
            ({"a": 1}, '{"a": 1}', "cannot be combined with arguments; set one of them"),
            (None, '{"a": 1, "a": 2}', 'the name "a" occurs twice in one object'),
            (None, "[]", "must be an object, not an array"),
        ],
    )
    def test_invalid_arguments_are_refused(
        self,
        stub: decide_pb2_grpc.DecideServiceStub,
        tenant: str,
        arguments: dict[str, Any] | None,
        text: str,
        reason: str,
    ) -> None:
        request = pb.DecideRequest(tenant_id=tenant, arguments_json=text)
        if arguments is not None:
            request.arguments.update(arguments)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Decide(request, timeout=TIMEOUT_S)
        assert error_details(caught) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            ["arguments_json"],
        )
        assert reason in str(caught.value.details())

    @pytest.mark.parametrize("as_text", [True, False])
    def test_a_stream_answers_each_message_in_its_form(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str, as_text: bool
    ) -> None:
        request = pb.DecideRequest(tenant_id=tenant, direction="input")
        if as_text:
            request.arguments_json = json.dumps({"id": 5, "note": "needle"})
        else:
            request.arguments.update({"id": 5, "note": "needle"})
        chunk = pb.StreamChunk(stream_id="a", text="hello")
        end = pb.StreamChunk(stream_id="a", last=True)
        messages = [
            pb.DecideStreamRequest(request=request),
            pb.DecideStreamRequest(request=request, chunk=chunk),
            pb.DecideStreamRequest(chunk=end),
        ]
        answers = [each.response for each in stub.DecideStream(iter(messages), timeout=TIMEOUT_S)]
        assert len(answers) == 3
        for answer in answers:
            if as_text:
                redacted = json.loads(answer.redacted_arguments_json)
            else:
                redacted = dict(answer.redacted_arguments)
            assert redacted == {"id": 5, "note": "[REDACTED]"}
            assert answer.HasField("redacted_arguments_json") is as_text


class TestCommands:
    """Commands, which call the server over gRPC."""

    def test_decide(self, cli: Callable[..., CommandResult], tenant: str) -> None:
        options = ("--tenant", tenant, "--arguments", json.dumps(ARGUMENTS))
        ran = cli("decide", *options, "--json")
        assert same(ran.json["redacted_arguments"])
        assert "1234567890123456789" in cli("decide", *options).out

    def test_one_argument(self, cli: Callable[..., CommandResult], tenant: str) -> None:
        options = ("--tenant", tenant, "--arg", "id:=9007199254740993", "--arg", "note=needle")
        answer = cli("decide", *options, "--json").json
        assert answer["redacted_arguments"] == {"id": 9007199254740993, "note": "[REDACTED]"}

    def test_simulate(self, cli: Callable[..., CommandResult], tenant: str) -> None:
        options = ("--tenant", tenant, "--arguments", json.dumps(ARGUMENTS))
        ran = cli("simulate", *options, "--json")
        assert same(ran.json["decision"]["redacted_arguments"])

    def test_replay(
        self,
        cli: Callable[..., CommandResult],
        client: httpx2.Client,
        tenant: str,
        tmp_path: Path,
    ) -> None:
        """The request changes only if its id is the one in the candidate's condition."""
        rules = {"id": {"condition": "arguments.id = 9007199254740993", "score_impact": 100}}
        overlay = {
            "customer_policy": {"customer_id": "c", "policies": {"custom_rules": rules}},
            "org_policy": {"blocking_rules": {"enabled": True, "block_on": "critical"}},
        }
        client.post("/policies/c", json={}).raise_for_status()
        candidate, requests = tmp_path / "overlay.json", tmp_path / "requests.ndjson"
        candidate.write_text(json.dumps(overlay))
        ids = (2**53, 2**53 + 1, 2**53 + 2)
        lines = [json.dumps({"customer_id": "c", "arguments": {"id": each}}) for each in ids]
        requests.write_text("\n".join(lines))
        options = ("--tenant", tenant, "--overlay", str(candidate), "--requests", str(requests))
        answer = cli("replay", *options, "--json").json
        assert (answer["replayed"], answer["changed"]) == (3, 1)


class TestBound:
    """The bound on the number of values, over both protocols."""

    def test_a_body(self, client: httpx2.Client) -> None:
        """The body, `arguments` and the list are values, too."""
        within = {"arguments": {"n": [1] * (MAX_VALUES - 3)}}
        assert client.post("/v1/decide", json=within).status_code == 200
        within["arguments"]["n"].append(1)
        answer = client.post("/v1/decide", json=within)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_ARGUMENT")
        assert answer.json()["error"]["details"][0]["field"] == "body"

    def test_a_batch(self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str) -> None:
        """All its requests count together."""
        text = json.dumps({"n": [1] * (MAX_VALUES // 10 - 2)})
        requests = [pb.DecideRequest(arguments_json=text) for _ in range(10)]
        batch = pb.DecideBatchRequest(tenant_id=tenant, requests=requests)
        assert len(stub.DecideBatch(batch, timeout=TIMEOUT_S).responses) == 10
        batch.requests.add(arguments_json="{}")
        with pytest.raises(grpc.RpcError) as caught:
            stub.DecideBatch(batch, timeout=TIMEOUT_S)
        assert error_details(caught) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            ["requests[10].arguments_json"],
        )
