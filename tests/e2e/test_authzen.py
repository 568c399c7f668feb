"""AuthZEN over HTTP, beyond the certification scenario: what is permitted, counted and found."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.test_documentation import includes
from tests.support import servers
from tests.support.rest.compliance import GROUPS
from tests.support.rest.limits import PATH as LIMITS
from tests.support.rest.packs import CHAINS, created_json, ok_json, pack, rule

if TYPE_CHECKING:
    import httpx2

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = "/v1/tenant/settings"

EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"
SUBJECTS: Final = "/access/v1/search/subject"
RESOURCES: Final = "/access/v1/search/resource"
ACTIONS: Final = "/access/v1/search/action"
PATHS: Final = (EVALUATION, EVALUATIONS, SUBJECTS, RESOURCES, ACTIONS)

ALICE: Final = {"type": "user", "id": "alice"}
MODEL: Final = {"type": "model", "id": "openai/gpt-4o"}
CARD: Final = "my card is 4111 1111 1111 1111"


def ask(
    client: httpx2.Client, *, resource: Any = MODEL, action: str = "invoke", **more: Any
) -> Any:
    """Returns the answer to an evaluation of Alice; `more` is its context."""
    body = {"subject": ALICE, "action": {"name": action}, "resource": resource, "context": more}
    return ok_json(client.post(EVALUATION, json=body))


def chain(client: httpx2.Client, *rules: dict[str, Any]) -> None:
    """Sets the tenant's chain to one pack with these rules."""
    pack_id = pack(client)["id"]
    for sequence, each in enumerate(rules):
        rule(client, pack_id, f"Rule {sequence}", sequence=sequence, **each)
    ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": pack_id}]}))


def obligations(answer: Any) -> list[tuple[str, Any]]:
    """Returns the types and properties of the obligations of an answer."""
    found = answer["context"].get("obligations", [])
    assert [each["id"] for each in found] == [f"obl-{n}" for n in range(1, len(found) + 1)]
    return [(each["type"], each["properties"]) for each in found]


def test_the_examples_of_the_page_work(server: servers.Server) -> None:
    """Each command runs; what the page says that it prints is in its output."""
    page = (ROOT / "docs/integrations/authzen.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S)
    commands = [index for index, (kind, _) in enumerate(blocks) if kind == "sh"]
    assert len(commands) == 2
    for index in commands:
        code = blocks[index][1].replace("http://127.0.0.1:8080", shlex.quote(server.http_url))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            capture_output=True,
            text=True,
            timeout=servers.TIMEOUT_S,
            check=True,
        )
        assert includes(json.loads(done.stdout), json.loads(blocks[index + 1][1])), done.stdout


def test_a_redaction_is_permitted_only_if_it_is_supported(client: httpx2.Client) -> None:
    """The obligation says what to replace, by pointers into the evaluation."""
    redact = {
        "vendor": "pdp",
        "action": "redact",
        "spans": [
            {
                "pointer": "/context/prompt",
                "start": 11,
                "end": 30,
                "entity_type": "CREDIT_CARD",
                "replacement": "[REDACTED]",
            }
        ],
        "replace": {"/context/prompt": "my card is [REDACTED]"},
    }
    for supported in (None, [], ["step-up"], ["pdp", "redact"], ["custom"], ["custom", "x"]):
        more: dict[str, Any] = {} if supported is None else {"supported_obligations": supported}
        answer = ask(client, prompt=CARD, **more)
        assert answer["decision"] is ("custom" in (supported or ()))
        assert obligations(answer) == [("custom", redact)]


def test_a_plain_permit_says_little(client: httpx2.Client) -> None:
    answer = ask(client, prompt="hello")
    assert answer["decision"] is True
    assert {**answer["context"], "decision_id": ""} == {"decision_id": "", "outcome": "ALLOW"}


def test_arguments_are_redacted_with_exact_numbers(client: httpx2.Client) -> None:
    """The rest of the arguments is as it was; a number can have any size."""
    large = 123456789012345678901234567890
    tool = {"type": "tool", "id": "mail", "properties": {"n": large, "to": CARD}}
    answer = ask(client, resource=tool, action="tools/call", supported_obligations=["custom"])
    ((_, properties),) = obligations(answer)
    assert properties["spans"][0]["pointer"] == "/resource/properties/to"
    redacted = {"/resource/properties": {"n": large, "to": "my card is [REDACTED]"}}
    assert properties["replace"] == redacted


def test_a_payload_is_redacted_in_place(client: httpx2.Client) -> None:
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": CARD}]})
    payload = {"format": "openai.chat_completions", "body": body}
    answer = ask(client, payload=payload, supported_obligations=["custom"])
    assert answer["decision"] is True
    ((_, properties),) = obligations(answer)
    assert [each["pointer"] for each in properties["spans"]] == [
        "/context/payload/body/messages/0/content"
    ]
    redacted = body.replace("4111 1111 1111 1111", "[REDACTED]")
    assert properties["replace"] == {"/context/payload/body": redacted}
    denied = ask(client, payload=payload)
    assert (denied["decision"], denied["context"]["outcome"]) == (False, "REDACT")


def test_a_payload_that_is_not_understood_is_refused(client: httpx2.Client) -> None:
    evaluation = {"subject": ALICE, "action": {"name": "invoke"}, "resource": MODEL}
    for payload in ({"format": "nope", "body": "{}"}, {"format": "mcp.jsonrpc", "body": "x"}):
        body = {**evaluation, "context": {"payload": payload}}
        answer = client.post(EVALUATION, json=body)
        assert answer.status_code == 400
        (detail,) = answer.json()["error"]["details"]
        assert detail["field"].startswith("context.payload")
        (item,) = ok_json(client.post(EVALUATIONS, json={"evaluations": [body]}))["evaluations"]
        assert item["decision"] is False
        assert item["context"]["error"]["status"] == 400
        assert item["context"]["error"]["message"].startswith("context.payload")


def test_a_route_is_an_obligation(client: httpx2.Client) -> None:
    action = {"type": "ROUTE_TO", "route_to_model": "claude-sonnet-4"}
    chain(client, {"conditions": {"models": ["gpt-4o"]}, "action": action})
    assert ask(client)["decision"] is False
    answer = ask(client, supported_obligations=["custom"])
    assert (answer["decision"], answer["context"]["outcome"]) == (True, "ROUTE_TO")
    ((kind, properties),) = obligations(answer)
    assert kind == "custom"
    assert (properties["vendor"], properties["action"]) == ("pdp", "route_to")
    assert (properties["provider"], properties["model"]) == ("anthropic", "claude-sonnet-4")


def test_fields_are_masked(client: httpx2.Client) -> None:
    ok_json(client.post("/policies/c1", json={"sensitive_fields": ["ssn"]}))
    table = {"type": "table", "id": "users", "properties": {"fields": ["ssn", "name"]}}
    denied = ask(client, resource=table, action="read", customer_id="c1")
    masked = {"vendor": "pdp", "action": "mask_fields", "fields": ["ssn"]}
    assert (denied["decision"], obligations(denied)) == (False, [("custom", masked)])
    answer = ask(
        client, resource=table, action="read", customer_id="c1", supported_obligations=["custom"]
    )
    assert (answer["decision"], obligations(answer)) == (True, [("custom", masked)])


def test_a_prompt_is_denied_with_a_step_up(client: httpx2.Client) -> None:
    """Even if the enforcement point supports it: the user has not answered yet."""
    action = {"type": "PROMPT", "prompt_message": "Are you sure?"}
    chain(client, {"conditions": {"models": ["gpt-4o"]}, "action": action})
    answer = ask(client, supported_obligations=["custom", "step-up"])
    assert answer["decision"] is False
    ((kind, properties),) = obligations(answer)
    expected = {"acr_value": "urn:pdp:user-confirmation", "message": "Are you sure?"}
    assert (kind, {**properties, **expected}) == ("step-up", properties)
    assert properties.keys() - expected.keys() == {"confirmation", "expires_at"}


def test_a_denial_has_reasons(client: httpx2.Client) -> None:
    """One for the user, and one for administrators that names the policies."""
    action = {"type": "BLOCK", "message": "Not this model."}
    chain(client, {"conditions": {"models": ["gpt-4o"]}, "action": action})
    context = ask(client)["context"]
    assert context["reason_user"] == {"403": "Not this model."}
    assert context["reason_admin"]["403"].startswith("CHAIN_BLOCK: chain/")


def test_warnings_let_a_request_pass(client: httpx2.Client) -> None:
    action = {"type": "ALLOW_WITH_OVERRIDE", "override_message": "You are watched."}
    chain(client, {"conditions": {"models": ["gpt-4o"]}, "action": action})
    answer = ask(client)
    assert answer["decision"] is True
    assert answer["context"]["warnings"] == ["You are watched."]


def test_a_tool_has_the_action_of_the_tenants_table(client: httpx2.Client) -> None:
    """So policies on actions hold for tools, whatever the AuthZEN action is called."""
    table = [{"tool": "run_*", "action": "database:table:drop"}]
    ok_json(client.put(SETTINGS, json={"tool_actions": table}))
    policy = {"blocked_actions": ["database:table:drop", "mcp:files:remove", "tool:wipe:call"]}
    ok_json(client.post("/policies/c1", json=policy))

    def decided(tool: str, action: str = "tools/call", **properties: Any) -> bool:
        resource = {"type": "tool", "id": tool, "properties": properties}
        answer = ask(client, resource=resource, action=action, customer_id="c1")
        return bool(answer["decision"])

    assert not decided("run_sql")
    assert not decided("run_sql", "read")
    assert decided("walk_sql")
    assert not decided("remove", server="files")
    assert decided("remove", server="other")
    assert not decided("Wipe")
    assert not decided("harmless", "database:table:drop")


class TestSemantics:
    """The three semantics of evaluations, and what counts."""

    DENIED: Final = {"type": "tool", "id": "bad"}
    FINE: Final = {"type": "tool", "id": "good"}

    @pytest.fixture
    def limited(self, client: httpx2.Client) -> httpx2.Client:
        """A client of a tenant in which Alice has six requests a day, and no bad tools."""
        chain(client, {"conditions": {"tools": ["bad"]}, "action": {"type": "BLOCK"}})
        body = {"scope": "user", "subject_id": "alice", "daily_request_limit": 6}
        created_json(client.post(LIMITS, json=body))
        return client

    def decided(
        self, client: httpx2.Client, semantic: str, *resources: Any, **context: Any
    ) -> list[Any]:
        """Returns the decisions on resources."""
        body = {
            "subject": ALICE,
            "action": {"name": "tools/call"},
            "options": {"evaluations_semantic": semantic},
            "evaluations": [{"resource": each} for each in resources],
            "context": context,
        }
        answers = ok_json(client.post(EVALUATIONS, json=body))["evaluations"]
        return [each["decision"] for each in answers]

    @pytest.mark.usefixtures("same_day")
    def test_what_comes_after_the_deciding_item_does_not_count(
        self, limited: httpx2.Client
    ) -> None:
        fine, bad = self.FINE, self.DENIED
        assert self.decided(limited, "deny_on_first_deny", fine, bad, fine, fine) == [True, False]
        assert self.decided(limited, "permit_on_first_permit", bad, fine, fine) == [False, True]
        assert self.decided(limited, "permit_on_first_permit", fine, fine, fine) == [True]
        for path in (SUBJECTS, RESOURCES, ACTIONS):  # searches count nothing
            search = {"subject": ALICE, "action": {"name": "x"}, "resource": fine}
            ok_json(limited.post(path, json=search))
        # Five requests have counted.
        assert self.decided(limited, "execute_all", fine, fine) == [True, False]
        body = {"subject": ALICE, "action": {"name": "tools/call"}, "resource": fine}
        context = ok_json(limited.post(EVALUATION, json=body))["context"]
        assert context["reason_code"] == "LIMIT_EXCEEDED"
        assert context["retry_after_s"] > 0
        assert list(context["reason_user"]) == ["429"]

    def test_a_failure_is_a_denial(self, client: httpx2.Client) -> None:
        fine = self.FINE
        for broken in ({"type": "tool"}, "x", {"type": "tool", "id": 7}):
            assert self.decided(client, "deny_on_first_deny", fine, broken, fine) == [True, False]
            assert self.decided(client, "permit_on_first_permit", broken, fine) == [False, True]
            assert self.decided(client, "execute_all", broken, fine) == [False, True]
        items = ["x", 1, None, [], {"resource": fine}]
        body = {"subject": ALICE, "action": {"name": "x"}, "evaluations": items}
        answers = ok_json(client.post(EVALUATIONS, json=body))["evaluations"]
        assert [each["decision"] for each in answers] == [False, False, False, False, True]

    @pytest.mark.parametrize(
        ("field", "body"),
        [
            ("evaluations", {"evaluations": {}}),
            ("evaluations", {"evaluations": [{}] * 1001}),
            ("options", {"evaluations": [{}], "options": []}),
            (
                "options.evaluations_semantic",
                {"evaluations": [{}], "options": {"evaluations_semantic": "first"}},
            ),
            (
                "options.evaluations_semantic",
                {"evaluations": [{}], "options": {"evaluations_semantic": ["execute_all"]}},
            ),
            ("subject", {"evaluations": [{}], "subject": "alice"}),
            ("context", {"evaluations": [{}], "context": []}),
        ],
    )
    def test_faults_of_the_whole_request(
        self, client: httpx2.Client, field: str, body: Any
    ) -> None:
        answer = client.post(EVALUATIONS, json=body)
        assert answer.status_code == 400
        assert [each["field"] for each in answer.json()["error"]["details"]] == [field]

    def test_defaults_cannot_make_a_request_huge(self, client: httpx2.Client) -> None:
        context = {"prompt": "x" * 100_000}
        body = {
            "subject": ALICE,
            "action": {"name": "invoke"},
            "resource": MODEL,
            "context": context,
            "evaluations": [{}] * 1000,
        }
        assert client.post(EVALUATIONS, json=body).status_code == 413


class TestSearch:
    """Searches find what policies and the catalog name."""

    def found(self, client: httpx2.Client, path: str, **body: Any) -> list[Any]:
        """Returns the results of all pages."""
        results: list[Any] = []
        token = ""
        while True:
            page = {"token": token} if token else {}
            document = ok_json(client.post(path, json={**body, "page": page}))
            results += document["results"]
            token = document["page"]["next_token"]
            if not token:
                return results

    def test_the_models_that_a_subject_may_use(self, client: httpx2.Client) -> None:
        body = {
            "subject": ALICE,
            "action": {"name": "invoke"},
            "resource": {"type": "model", "id": "ignored"},
        }
        before = [each["id"] for each in self.found(client, RESOURCES, **body)]
        assert "openai/gpt-4o" in before
        assert before == sorted(before)
        conditions = {"models": ["gpt-4o"], "user_groups": ["interns"]}
        chain(client, {"conditions": conditions, "action": {"type": "BLOCK"}})
        assert [each["id"] for each in self.found(client, RESOURCES, **body)] == before
        created_json(client.post(f"{GROUPS}/", json={"name": "Interns", "members": ["alice"]}))
        after = [each["id"] for each in self.found(client, RESOURCES, **body)]
        assert set(before) - set(after) == {"openai/gpt-4o"}
        everyone = {"subject": {"type": "user"}, "action": {"name": "invoke"}, "resource": MODEL}
        assert self.found(client, SUBJECTS, **everyone) == []
        actions = {"subject": {"type": "user", "id": "zoe"}, "resource": MODEL}
        assert self.found(client, ACTIONS, **actions) == [{"name": "invoke"}]
        assert self.found(client, ACTIONS, **{**actions, "subject": ALICE}) == []

    def test_the_tools_that_a_subject_may_call(self, client: httpx2.Client) -> None:
        table = [
            {"tool": "remove", "action": "file:system:delete"},
            {"tool": "x*", "action": "a:b:c"},
        ]
        ok_json(client.put(SETTINGS, json={"tool_actions": table}))
        policy = {
            "allowed_tools": ["read", "write", "remove"],
            "blocked_actions": ["file:system:delete"],
        }
        ok_json(client.post("/policies/c1", json=policy))
        agents = {"tools": ["write"], "agent_ids": ["bot"]}
        chain(client, {"conditions": agents, "action": {"type": "BLOCK"}})
        body = {"subject": ALICE, "action": {"name": "tools/call"}, "resource": {"type": "tool"}}
        everything = [{"type": "tool", "id": each} for each in ("read", "remove", "write")]
        assert self.found(client, RESOURCES, **body) == everything
        of_customer = {**body, "context": {"customer_id": "c1"}}
        assert self.found(client, RESOURCES, **of_customer) == [everything[0], everything[2]]
        of_agent = {**body, "subject": {"type": "agent", "id": "bot"}}
        assert self.found(client, RESOURCES, **of_agent) == everything[:2]
        tool = {"type": "tool", "id": "read"}
        who = {"subject": {"type": "agent"}, "action": {"name": "tools/call"}, "resource": tool}
        assert self.found(client, SUBJECTS, **who) == [{"type": "agent", "id": "bot"}]
        what = {"subject": ALICE, "resource": tool}
        assert self.found(client, ACTIONS, **what) == [{"name": "tools/call"}]

    def test_pages_have_at_most_a_hundred_names(self, client: httpx2.Client) -> None:
        """All pages together have every member once, in order."""
        members = [f"user-{number}" for number in range(250)]
        for name, some in (("One", members[:150]), ("Two", members[100:])):
            created_json(client.post(f"{GROUPS}/", json={"name": name, "members": some}))
        body = {"subject": {"type": "user"}, "action": {"name": "invoke"}, "resource": MODEL}
        first = ok_json(client.post(SUBJECTS, json={**body, "page": {"limit": 1000}}))
        assert first["page"]["count"] == len(first["results"]) == 100
        found = [each["id"] for each in self.found(client, SUBJECTS, **body)]
        assert found == sorted(members)

    def test_results_may_have_obligations(self, client: httpx2.Client) -> None:
        """They are found only if the enforcement point supports them."""
        created_json(client.post(f"{GROUPS}/", json={"name": "Staff", "members": ["alice"]}))
        action = {"type": "ROUTE_TO", "route_to_model": "claude-sonnet-4"}
        chain(client, {"conditions": {"models": ["gpt-4o"]}, "action": action})
        body = {"subject": {"type": "user"}, "action": {"name": "invoke"}, "resource": MODEL}
        assert self.found(client, SUBJECTS, **body) == []
        supporting = {**body, "context": {"supported_obligations": ["custom"]}}
        (result,) = self.found(client, SUBJECTS, **supporting)
        assert (result["type"], result["id"]) == ("user", "alice")
        assert result["obligations"][0]["properties"]["action"] == "route_to"

    def test_results_are_what_evaluations_permit(self, client: httpx2.Client) -> None:
        """Each result, put into the evaluation, is permitted; what is left out is denied."""
        chain(client, {"conditions": {"models": ["gpt-4o", "opus"]}, "action": {"type": "BLOCK"}})
        body = {"subject": ALICE, "action": {"name": "invoke"}}
        found = self.found(client, RESOURCES, **body, resource={"type": "model"})
        items = [{"resource": each} for each in found]
        answers = ok_json(client.post(EVALUATIONS, json={**body, "evaluations": items}))
        assert all(each["decision"] for each in answers["evaluations"])
        assert len(found) > 5
        assert MODEL not in found

    def test_a_search_leaves_no_record(self, client: httpx2.Client) -> None:
        ok_json(client.put("/v1/org/policy", json={"logging_level": "full"}))
        body = {"subject": ALICE, "action": {"name": "invoke"}, "resource": {"type": "model"}}
        assert self.found(client, RESOURCES, **body)
        assert ok_json(client.get("/api/admin/audit/records"))["records"] == []

    @pytest.mark.parametrize(
        ("field", "more"),
        [
            ("page", {"page": []}),
            ("page.limit", {"page": {"limit": 0}}),
            ("page.limit", {"page": {"limit": True}}),
            ("page.limit", {"page": {"limit": "1"}}),
            ("page.token", {"page": {"token": 1}}),
            ("page.token", {"page": {"token": "x"}}),
            ("page.token", {"page": {"token": "é"}}),
            ("page.token", {"page": {"token": "bnVsbA=="}}),
            ("page.token", {"page": {"token": "WyJ4IiwgIngiXQ=="}}),
            ("context.prompt", {"context": {"prompt": "x"}}),
            ("context.payload", {"context": {"payload": {}}}),
            ("context.arguments", {"context": {"arguments": {}}}),
        ],
    )
    def test_searches_that_are_refused(self, client: httpx2.Client, field: str, more: Any) -> None:
        body = {"subject": ALICE, "action": {"name": "invoke"}, "resource": {"type": "model"}}
        answer = client.post(RESOURCES, json={**body, **more})
        assert answer.status_code == 400
        assert [each["field"] for each in answer.json()["error"]["details"]] == [field]

    def test_a_token_is_for_one_search(self, client: httpx2.Client, server: servers.Server) -> None:
        """A search of something else, or of another tenant, does not continue with it."""
        body = {"subject": ALICE, "action": {"name": "invoke"}, "resource": {"type": "model"}}
        page = ok_json(client.post(RESOURCES, json={**body, "page": {"limit": 1}}))["page"]
        again = {"page": {"token": page["next_token"], "limit": 1}}
        following = ok_json(client.post(RESOURCES, json={**body, **again}))
        assert following["results"][0]["id"] > "amazon/"
        other = {**body, **again, "subject": {"type": "user", "id": "bob"}}
        assert client.post(RESOURCES, json=other).status_code == 400
        with server.client("another-tenant", Authorization="Bearer x") as stranger:
            assert stranger.post(RESOURCES, json={**body, **again}).status_code == 400

    def test_a_search_is_small(self, client: httpx2.Client) -> None:
        body = {"subject": ALICE, "resource": MODEL, "context": {"x": "y" * 65_536}}
        assert client.post(ACTIONS, json=body).status_code == 413

    def test_a_search_needs_what_the_tenant_requires(self, client: httpx2.Client) -> None:
        """As the evaluation would be refused, there is nothing to find."""
        ok_json(client.put(SETTINGS, json={"require_customer": True}))
        answer = client.post(ACTIONS, json={"subject": ALICE, "resource": MODEL})
        assert answer.status_code == 400
        fields = [each["field"] for each in answer.json()["error"]["details"]]
        assert fields == ["context.customer_id"]


def test_the_kill_switch_holds(tmp_path: Path) -> None:
    """For evaluations and for searches, at once."""
    with servers.start(tmp_path) as server, server.client("t", Authorization="Bearer x") as client:
        search = {"subject": ALICE, "resource": MODEL}
        assert ask(client)["decision"]
        assert ok_json(client.post(ACTIONS, json=search))["results"]
        path = "/api/admin/kill-switch/providers/openai/disable"
        ok_json(client.post(path, json={"reason": "security_event"}))
        answer = ask(client)
        assert answer["decision"] is False
        assert list(answer["context"]["reason_user"]) == ["503"]
        assert ok_json(client.post(ACTIONS, json=search))["results"] == []


def test_metadata_never_use_the_host_header(tmp_path: Path) -> None:
    """They have the listen address, or the public URL, whatever a caller says."""
    _, address = servers.free_addresses()
    path = "/.well-known/authzen-configuration"
    with servers.start(tmp_path, PDP_HTTP_LISTEN=address) as server:
        answer = server.request("GET", path, headers={"Host": "localhost:1"})
        assert ok_json(answer)["policy_decision_point"] == f"http://{address}"
        assert answer.headers["x-request-id"]
    url = "https://example.com/pdp"
    with servers.start(tmp_path, PDP_PUBLIC_URL=url) as server:
        forwarded = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        metadata = ok_json(server.request("GET", f"{path}/pdp", headers=forwarded))
        assert metadata["policy_decision_point"] == url
        assert metadata["access_evaluation_endpoint"] == f"{url}{EVALUATION}"
        assert server.request("GET", path).status_code == 404
        assert server.request("GET", f"{path}/other").status_code == 404


def test_a_server_that_does_not_know_its_url_has_no_metadata(server: servers.Server) -> None:
    answer = server.request("GET", "/.well-known/authzen-configuration")
    assert answer.status_code == 404
    assert "PDP_PUBLIC_URL" in answer.json()["error"]["message"]


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NAMED: Final = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["user", "agent", "tool", "model", "record"]) | JSON,
        "id": st.text(max_size=8) | JSON,
        "name": st.text(max_size=8) | JSON,
        "properties": st.dictionaries(st.text(max_size=8), JSON) | JSON,
    },
)
CONTEXT: Final = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("arguments", "payload", "prompt", "text", "supported_obligations", "agent"), JSON
    ),
)
ITEM: Final = st.fixed_dictionaries(
    {},
    optional={
        "subject": NAMED | JSON,
        "action": NAMED | JSON,
        "resource": NAMED | JSON,
        "context": CONTEXT | JSON,
        "page": JSON,
    },
)
BODY: Final = ITEM | st.tuples(ITEM, st.lists(ITEM | JSON, max_size=4) | JSON).map(
    lambda pair: {**pair[0], "evaluations": pair[1]}
)


def is_complete(body: Any) -> bool:
    """Whether a document has what an evaluation must have."""
    required = {"subject": ("type", "id"), "action": ("name",), "resource": ("type", "id")}
    return isinstance(body, dict) and all(
        isinstance(body.get(entity), dict)
        and all(isinstance(body[entity].get(each), str) and body[entity][each] for each in members)
        for entity, members in required.items()
    )


@given(path=st.sampled_from(PATHS), body=BODY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_is_decided_or_refused(client: httpx2.Client, path: str, body: Any) -> None:
    """No answer is a fault, and nothing that is not understood is permitted."""
    text = json.dumps(body)
    answer = client.post(path, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in {200, 400}, answer.text
    document = answer.json()
    if answer.status_code == 400:
        assert "decision" not in document
        assert document["error"]["message"]
        return
    if path.startswith("/access/v1/search"):
        assert isinstance(document["results"], list)
        return
    if "evaluations" not in document:
        assert document["decision"] is False or is_complete(body)
        return
    assert len(document["evaluations"]) == len(body["evaluations"])
    for item, decided in zip(body["evaluations"], document["evaluations"], strict=True):
        if not isinstance(item, dict):
            assert decided["decision"] is False
        elif decided["decision"]:
            assert isinstance(item.get("resource", body.get("resource")), dict)


@given(path=st.sampled_from(PATHS), body=st.binary(max_size=64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused(client: httpx2.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
