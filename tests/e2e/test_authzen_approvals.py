"""AuthZEN requests that wait for a person: obligations, tokens, and access requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.config import load
from pdp.errors import ConfigError
from pdp.server.adapters import AdapterContext, authzen
from tests.support.approvals import DELETE, ESCALATE, ApprovalTenant
from tests.support.authenticated_servers import authenticated_server

if TYPE_CHECKING:
    from collections.abc import Iterator

EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"
REQUESTS: Final = "/access/v1/requests"
WELL_KNOWN: Final = "/.well-known/authzen-configuration"

URL: Final = "https://pdp.example.com"
PROBLEM: Final = "urn:openid:authzen:access-request:error:"
CARD: Final = "4111 1111 1111 1111"
CONFIRM: Final = "db:prod:truncate"
PAYLOAD: Final = "openai.chat_completions"

RULES: Final = (
    {"name": "deleting", "conditions": {"actions": [DELETE]}, "action": ESCALATE},
    {
        "name": "truncating",
        "conditions": {"actions": [CONFIRM]},
        "action": {"type": "PROMPT", "prompt_message": "Truncate?"},
    },
    {"name": "asking", "conditions": {"content_regex": "launch codes"}, "action": ESCALATE},
)


def question(number: int = 7, action: str = DELETE, **context: Any) -> dict[str, Any]:
    """Returns an evaluation of Ann's, which needs an approval."""
    return {
        "subject": {"type": "user", "id": "ann", "properties": {"team": "blue"}},
        "action": {"name": action},
        "resource": {"type": "tool", "id": "sql"},
        "context": {"arguments": {"id": number}, "agent": "bot", **context},
    }


class Asking(ApprovalTenant):
    """A tenant with an enforcement point that speaks AuthZEN."""

    def post(self, path: str, body: Any, key: str = "") -> Any:
        """Returns the answer to a request, which must succeed."""
        answer = self.server.request("POST", path, key or self.pep, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def evaluate(self, body: Any, *tokens: str, key: str = "") -> Any:
        """Returns the answer to an evaluation, with tokens."""
        if tokens:
            body = {**body, "context": {**body["context"], "tokens": list(tokens)}}
        return self.post(EVALUATION, body, key)

    def submit(self, body: Any, answer: Any, *, key: str = "", **denial: Any) -> Any:
        """Submits the access request that an answer offers; returns the HTTP answer."""
        offer = answer["context"]["access_request"]
        echoed = {name: offer[name] for name in ("expires_at", "binding_token")}
        body = {**body, "denial": {**echoed, **denial}}
        return self.server.request("POST", REQUESTS, key or self.pep, json=body)

    def task(self, task_id: str, key: str = "") -> Any:
        """Returns the HTTP answer to a look at a task."""
        return self.server.request("GET", f"{REQUESTS}/{task_id}", key or self.pep)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """A tenant of a server that takes no access requests."""
    with authenticated_server(tmp_path_factory.mktemp("plain")) as server:
        yield Asking(server, "acme", RULES)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """A tenant of a server that takes access requests."""
    settings = {"PDP_AUTHZEN_ACCESS_REQUEST": "on", "PDP_PUBLIC_URL": URL}
    with authenticated_server(tmp_path_factory.mktemp("requests"), **settings) as server:
        yield Asking(server, "acme", RULES)


def approve(tenant: Asking, answer: Any) -> None:
    """Approves, as Bob, what an answer waits for."""
    status, body = tenant.answer("approve", answer["context"]["approval_id"], tenant.bob)
    assert status == 200, body


def custom(answer: Any, action: str) -> dict[str, Any]:
    """Returns the properties of an obligation of type `custom`."""
    (found,) = (
        each["properties"]
        for each in answer["context"]["obligations"]
        if each["properties"].get("action") == action
    )
    return dict(found)


class TestTokens:
    """What every server says, and the tokens that an enforcement point sends back."""

    def test_an_evaluation_that_needs_an_approval_says_so(self, plain: Asking) -> None:
        for supported in ([], ["custom"], ["custom", "step-up", "approval"]):
            answer = plain.evaluate(question(1, supported_obligations=supported))
            context = answer["context"]
            assert answer["decision"] is False
            assert context["outcome"] == "ESCALATE"
            assert context["approval_state"] == "pending"
            properties = custom(answer, "approval")
            assert properties["vendor"] == "pdp"
            assert properties["message"] == "Deleting in production"
            for name in ("approval_id", "approval_state", "expires_at"):
                assert properties[name] == context[name]
            assert plain.approval(context["approval_id"])["state"] == "pending"
            assert "access_request" not in context

    def test_a_token_lets_the_approved_evaluation_pass_once(self, plain: Asking) -> None:
        asked = plain.evaluate(question(2))
        token = custom(asked, "approval")["token"]
        waiting = plain.evaluate(question(2), token)
        assert (waiting["decision"], waiting["context"]["outcome"]) == (False, "ESCALATE")
        approve(plain, asked)
        other = plain.evaluate(question(3), token)
        assert other["context"]["reason_code"] == "TOKEN_MISMATCH"
        passed = plain.evaluate(question(2), token)
        assert passed["decision"] is True
        assert passed["context"]["approved_by"] == [asked["context"]["approval_id"]]
        again = plain.evaluate(question(2), token)
        assert (again["decision"], again["context"]["reason_code"]) == (False, "TOKEN_USED")
        altered = plain.evaluate(question(2), token[:-2])
        assert altered["context"]["reason_code"] == "TOKEN_INVALID"

    def test_an_approved_evaluation_passes_once_without_a_token(self, plain: Asking) -> None:
        """Enforcement points that know no tokens ask again."""
        asked = plain.evaluate(question(4))
        assert plain.evaluate(question(4))["decision"] is False
        approve(plain, asked)
        assert plain.evaluate(question(5))["decision"] is False, "another one"
        assert plain.evaluate(question(4))["decision"] is True
        later = plain.evaluate(question(4))
        assert later["decision"] is False
        assert later["context"]["approval_id"] != asked["context"]["approval_id"]

    def test_a_confirmation_lets_a_prompt_pass_once(self, plain: Asking) -> None:
        asked = plain.evaluate(question(6, CONFIRM))
        assert asked["decision"] is False
        (prompt,) = asked["context"]["obligations"]
        assert (prompt["type"], prompt["properties"]["message"]) == ("step-up", "Truncate?")
        confirmation = prompt["properties"]["confirmation"]
        assert prompt["properties"]["expires_at"].endswith("Z")
        assert plain.evaluate(question(6, CONFIRM))["decision"] is False
        assert plain.evaluate(question(6, CONFIRM), confirmation)["decision"] is True
        again = plain.evaluate(question(6, CONFIRM), confirmation)
        assert again["context"]["reason_code"] == "TOKEN_USED"

    def test_an_approval_is_not_used_for_obligations_that_are_not_supported(
        self, plain: Asking
    ) -> None:
        """The request could not pass anyway."""
        body = question(8, prompt=f"delete {CARD}")
        asked = plain.evaluate(body)
        approve(plain, asked)
        refused = plain.evaluate(body)
        assert refused["decision"] is False
        assert refused["context"]["approval_state"] == "approved"
        assert plain.approval(asked["context"]["approval_id"])["state"] == "approved"
        able = {**body, "context": {**body["context"], "supported_obligations": ["custom"]}}
        passed = plain.evaluate(able)
        assert passed["decision"] is True
        assert custom(passed, "redact")["replace"] == {"/context/prompt": "delete [REDACTED]"}
        assert CARD not in json.dumps(plain.approval(asked["context"]["approval_id"]))

    @pytest.mark.parametrize("tokens", ["x", {"a": 1}, [1], [None], ["x", 2]])
    def test_tokens_of_a_wrong_type_are_refused(self, plain: Asking, tokens: Any) -> None:
        body = question(9, tokens=tokens)
        answer = plain.server.request("POST", EVALUATION, plain.pep, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["field"] == "context.tokens"

    def test_too_many_tokens_are_refused(self, plain: Asking) -> None:
        body = question(9, tokens=["x"] * 9)
        answer = plain.server.request("POST", EVALUATION, plain.pep, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["field"] == "context.tokens"

    @pytest.mark.parametrize(
        "semantic", ["execute_all", "deny_on_first_deny", "permit_on_first_permit"]
    )
    def test_approved_evaluations_pass_among_others(self, plain: Asking, semantic: str) -> None:
        number = 100 + len(semantic)
        asked = plain.evaluate(question(number))
        approve(plain, asked)
        items = [question(number), question(number + 50), question(1, "db:prod:read")]
        options = {"evaluations_semantic": semantic}
        answers = plain.post(EVALUATIONS, {"evaluations": items, "options": options})
        decisions = [each["decision"] for each in answers["evaluations"]]
        expected = {"permit_on_first_permit": [True], "deny_on_first_deny": [True, False]}
        assert decisions == expected.get(semantic, [True, False, True])

    def test_access_requests_are_off(self, plain: Asking) -> None:
        """Then `context.approval` is a value for conditions, as all else."""
        asked = plain.evaluate(question(10))
        body = {**question(10), "denial": {"expires_at": "x", "binding_token": "y"}}
        assert plain.server.request("POST", REQUESTS, plain.pep, json=body).status_code == 404
        assert plain.task(asked["context"]["approval_id"]).status_code == 404
        other = plain.evaluate(question(10, approval={"id": "x"}))
        assert other["context"]["approval_id"] != asked["context"]["approval_id"]


class TestAccessRequests:
    """The draft's way: an offer, a task, and another evaluation."""

    def test_the_metadata_name_the_endpoint(self, asking: Asking, plain: Asking) -> None:
        metadata = asking.server.request("GET", WELL_KNOWN).json()
        assert metadata["access_request_endpoint"] == f"{URL}{REQUESTS}"
        assert metadata["capabilities"] == ["urn:openid:authzen:capability:access-request"]
        assert "supported_obligations" in metadata
        assert plain.server.request("GET", WELL_KNOWN).status_code == 404, "no URL"

    def test_from_the_denial_to_the_permit(self, asking: Asking) -> None:
        body = question(1)
        denied = asking.evaluate(body)
        context = denied["context"]
        assert denied["decision"] is False
        assert context["evaluation_id"] == context["decision_id"]
        assert context["reason"] == "approval_required"
        offer = context["access_request"]
        assert offer["endpoint"] == f"{URL}{REQUESTS}"
        assert offer["expires_at"] == context["expires_at"]
        assert offer["display"]["description"] == "Deleting in production"

        submitted = asking.submit(body, denied, evaluation_id=context["evaluation_id"])
        task = submitted.json()["task"]
        assert submitted.status_code == 202
        assert submitted.headers["location"] == task["status_endpoint"]
        assert task["status_endpoint"] == f"{URL}{REQUESTS}/{task['id']}"
        assert (task["status"], task["expires_at"]) == ("pending", offer["expires_at"])
        assert "result" not in submitted.json()
        assert asking.submit(body, denied).json() == submitted.json(), "the same one"

        pending = asking.task(task["id"])
        assert (pending.status_code, pending.json()) == (200, submitted.json())
        assert int(pending.headers["retry-after"]) > 0
        assert asking.evaluate(body)["decision"] is False

        approve(asking, denied)
        approved = asking.task(task["id"])
        assert "retry-after" not in approved.headers
        assert approved.json()["task"]["status"] == "approved"
        result = approved.json()["result"]
        assert result["mode"] == "reevaluate"
        assert result["approval"]["approved_until"] == offer["expires_at"]
        assert "bob" not in approved.text, "who has approved is for auditors"
        assert asking.submit(body, denied).status_code == 201

        again = question(1, approval=result["approval"])
        permitted = asking.evaluate(again)
        assert permitted["decision"] is True
        assert permitted["context"]["approval"] == {"id": task["id"]}
        assert asking.task(task["id"]).json()["task"]["status"] == "used"

        replayed = asking.evaluate(again)
        assert replayed["decision"] is False
        assert replayed["context"]["reason"] == "approval_unverifiable"
        assert replayed["context"]["next_action"] == "request"
        assert replayed["context"]["approval_id"] != task["id"]
        assert replayed["context"]["access_request"]["binding_token"] != offer["binding_token"]

    def test_the_binding_token_is_the_token_of_the_approval(self, asking: Asking) -> None:
        denied = asking.evaluate(question(2))
        approve(asking, denied)
        token = denied["context"]["access_request"]["binding_token"]
        assert token == custom(denied, "approval")["token"]
        assert asking.evaluate(question(2), token)["decision"] is True

    def test_another_approval_does_not_lift_a_denial(self, asking: Asking) -> None:
        """Neither that of another evaluation, nor one that does not exist."""
        own, other = asking.evaluate(question(3)), asking.evaluate(question(4))
        approve(asking, own)
        approve(asking, other)
        for reference in (other["context"]["approval_id"], "unknown"):
            answer = asking.evaluate(question(3, approval={"id": reference}))
            assert answer["decision"] is False
            assert answer["context"]["reason"] == "approval_unverifiable"
        for each in (own, other):
            assert asking.approval(each["context"]["approval_id"])["state"] == "approved"
        reference = {"id": own["context"]["approval_id"]}
        assert asking.evaluate(question(3, approval=reference))["decision"] is True

    @pytest.mark.parametrize("reference", ["x", {}, {"id": 1}, {"id": ""}, {"id": "x" * 257}])
    def test_a_reference_of_a_wrong_type_is_refused(self, asking: Asking, reference: Any) -> None:
        body = question(5, approval=reference)
        answer = asking.server.request("POST", EVALUATION, asking.pep, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["field"].startswith("context.approval")

    def test_a_denied_request(self, asking: Asking) -> None:
        body = question(6)
        denied = asking.evaluate(body)
        asking.answer("deny", denied["context"]["approval_id"], asking.bob, "not today")
        task = asking.submit(body, denied)
        assert task.status_code == 201
        assert task.json()["task"]["status"] == "denied"
        assert "not today" in task.json()["task"]["display"]["description"]
        assert "result" not in task.json()
        reference = {"id": denied["context"]["approval_id"]}
        answer = asking.evaluate(question(6, approval=reference))
        assert answer["decision"] is False
        assert answer["context"]["reason"] == "policy_denied"
        assert answer["context"]["next_action"] == "none"
        assert "access_request" not in answer["context"]

    def test_a_cancelled_request(self, asking: Asking) -> None:
        denied = asking.evaluate(question(7))
        approval_id = denied["context"]["approval_id"]
        assert asking.answer("cancel", approval_id, asking.pep)[0] == 200
        assert asking.submit(question(7), denied).json()["task"]["status"] == "cancelled"

    @pytest.mark.parametrize(
        "changes",
        [
            {"subject": {"type": "user", "id": "carol", "properties": {"team": "blue"}}},
            {"subject": {"type": "user", "id": "ann", "properties": {"team": "red"}}},
            {"subject": {"type": "user", "id": "ann"}},
            {"action": {"name": CONFIRM}},
            {"action": {"name": DELETE, "properties": {"soft": True}}},
            {"resource": {"type": "tool", "id": "shell"}},
            {"context": {"arguments": {"id": 9}, "agent": "bot"}},
            {"context": {"arguments": {"id": 8}, "agent": "bot", "more": 1}},
            {"context": {}},
        ],
    )
    def test_a_submission_of_something_else_is_refused(
        self, asking: Asking, changes: dict[str, Any]
    ) -> None:
        denied = asking.evaluate(question(8))
        refused = asking.submit({**question(8), **changes}, denied)
        assert_problem(refused, 400, "invalid_denial_binding")

    @pytest.mark.parametrize(
        "denial", [{"binding_token": ""}, {"binding_token": "x"}, {"binding_token": "x" * 9000}]
    )
    def test_a_submission_with_another_token_is_refused(
        self, asking: Asking, denial: dict[str, Any]
    ) -> None:
        denied = asking.evaluate(question(8))
        token = denied["context"]["access_request"]["binding_token"]
        refused = asking.submit(question(8), denied, **denial)
        assert_problem(refused, 400, "invalid_denial_binding")
        assert token not in refused.text
        altered = asking.submit(question(8), denied, binding_token=token[:-3] + "abc")
        assert_problem(altered, 400, "invalid_denial_binding")

    @pytest.mark.parametrize(
        ("denial", "field"),
        [
            (None, "denial"),
            ([], "denial"),
            ({}, "denial.expires_at"),
            ({"expires_at": 1, "binding_token": "x"}, "denial.expires_at"),
            ({"expires_at": "x", "binding_token": 1}, "denial.binding_token"),
        ],
    )
    def test_a_submission_without_a_denial_is_refused(
        self, asking: Asking, denial: Any, field: str
    ) -> None:
        body = {**question(8), "denial": denial}
        answer = asking.server.request("POST", REQUESTS, asking.pep, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["field"] == field

    def test_a_confirmation_is_no_binding_token(self, asking: Asking) -> None:
        asked = asking.evaluate(question(9, CONFIRM))
        assert "access_request" not in asked["context"]
        confirmation = asked["context"]["obligations"][0]["properties"]["confirmation"]
        denial = {"expires_at": "x", "binding_token": confirmation}
        body = {**question(9, CONFIRM), "denial": denial}
        answer = asking.server.request("POST", REQUESTS, asking.pep, json=body)
        assert_problem(answer, 400, "not_requestable")

    def test_only_the_caller_that_was_denied_sees_a_task(self, asking: Asking) -> None:
        denied = asking.evaluate(question(10))
        task_id = asking.submit(question(10), denied).json()["task"]["id"]
        other = asking.server.new_key("pep", "acme")["key"]
        foreign = asking.server.key("pep", "globex")
        assert_problem(asking.task(task_id, other), 404, "unknown_task")
        assert_problem(asking.task(task_id, foreign), 404, "unknown_task")
        assert_problem(
            asking.task(task_id, asking.server.key("admin", "acme")), 404, "unknown_task"
        )
        assert_problem(asking.task("unknown"), 404, "unknown_task")
        assert asking.server.request("GET", f"{REQUESTS}/{task_id}").status_code == 401
        assert asking.task(task_id, asking.bob).status_code == 403, "an approver asks for nothing"
        assert asking.task(task_id).status_code == 200

    def test_only_the_caller_that_was_denied_submits(self, asking: Asking) -> None:
        denied = asking.evaluate(question(11))
        other = asking.server.new_key("pep", "acme")["key"]
        foreign = asking.server.key("pep", "globex")
        for key in (other, foreign):
            refused = asking.submit(question(11), denied, key=key)
            assert refused.status_code in {400, 404}
            assert refused.json()["type"].startswith(PROBLEM)
        assert asking.submit(question(11), denied, key=asking.bob).status_code == 403
        body = {**question(11), "denial": {"expires_at": "x", "binding_token": "x"}}
        assert asking.server.request("POST", REQUESTS, json=body).status_code == 401
        assert asking.submit(question(11), denied).status_code == 202

    def test_who_asked_cannot_approve(self, asking: Asking) -> None:
        denied = asking.evaluate(question(12))
        status, _ = asking.answer("approve", denied["context"]["approval_id"], asking.ann)
        assert status == 403
        task = asking.submit(question(12), denied)
        assert task.json()["task"]["status"] == "pending"
        reference = {"id": denied["context"]["approval_id"]}
        assert asking.evaluate(question(12, approval=reference))["decision"] is False

    def test_nothing_is_offered_that_could_not_pass(self, asking: Asking) -> None:
        """The enforcement point must carry out the other obligations, too."""
        body = question(13, prompt=f"delete {CARD}")
        unable = asking.evaluate(body)
        assert "access_request" not in unable["context"]
        assert "needs supported_obligations: custom" in str(unable["context"]["reason_admin"])
        able = question(13, prompt=f"delete {CARD}", supported_obligations=["custom"])
        offered = asking.evaluate(able)
        approve(asking, offered)
        assert asking.submit(able, offered).json()["task"]["status"] == "approved"
        assert asking.evaluate(able)["decision"] is True

    def test_payloads(self, asking: Asking) -> None:
        messages = [{"role": "user", "content": "the launch codes"}]
        body: dict[str, Any] = {
            "subject": {"type": "user", "id": "ann"},
            "action": {"name": "invoke"},
            "resource": {"type": "model", "id": "gpt-4o", "properties": {"provider": "openai"}},
            "context": {"payload": {"format": PAYLOAD, "body": json.dumps({"messages": messages})}},
        }
        denied = asking.evaluate(body)
        task = asking.submit(body, denied)
        assert (task.status_code, task.json()["task"]["status"]) == (202, "pending")
        changed = json.dumps({"messages": [{"role": "user", "content": "other launch codes"}]})
        other = {**body, "context": {"payload": {"format": PAYLOAD, "body": changed}}}
        assert_problem(asking.submit(other, denied), 400, "invalid_denial_binding")
        approve(asking, denied)
        reference = asking.task(task.json()["task"]["id"]).json()["result"]["approval"]
        again = {**body, "context": {**body["context"], "approval": reference}}
        assert asking.evaluate(again)["decision"] is True
        assert asking.evaluate(again)["decision"] is False

    def test_several_evaluations(self, asking: Asking) -> None:
        items = [question(20), question(21, "db:prod:read")]
        first, second = asking.post(EVALUATIONS, {"evaluations": items})["evaluations"]
        assert second["decision"] is True
        assert "access_request" not in second["context"]
        assert asking.submit(items[0], first).status_code == 202
        approve(asking, first)
        items[0] = question(20, approval={"id": first["context"]["approval_id"]})
        answers = asking.post(EVALUATIONS, {"evaluations": items})["evaluations"]
        assert [each["decision"] for each in answers] == [True, True]

    def test_a_permit_says_nothing_of_requests(self, asking: Asking) -> None:
        answer = asking.evaluate(question(22, "db:prod:read"))
        assert answer["decision"] is True
        assert answer["context"].keys() == {"decision_id", "outcome"}


def assert_problem(answer: Any, status: int, problem: str) -> None:
    """Asserts that an answer is a problem of the draft."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["type"], body["status"]) == (f"{PROBLEM}{problem}", status)
    assert body["title"]
    assert body["detail"]


def test_a_server_without_a_url_takes_no_access_requests() -> None:
    settings = load({"authzen_access_request": "on", "http_listen": "127.0.0.1:0"})
    context: Any = AdapterContext(settings, None, None)  # type: ignore[arg-type] # not used
    with pytest.raises(ConfigError, match="Set PDP_PUBLIC_URL"):
        authzen(context)
