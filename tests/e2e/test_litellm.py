"""LiteLLM's generic guardrail over HTTP: no answer lets through what is not understood."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.decisions.text_stream import HOLD_BACK
from pdp.domain.access import ROLES
from tests.support import servers
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.rest.limits import make
from tests.unit.test_litellm_messages import MALFORMED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

PATH: Final = "/beta/litellm_basic_guardrail_api"
CARD: Final = "4111 1111 1111 1111"
DROP: Final = "SELECT 1; DROP TABLE users;"
PEP_ROLES: Final = {"pep", "editor", "admin", "follower"}
INPUT_TYPES: Final = ("request", "response")


MASKING: Final = {"X-PDP-Mask-Responses": "true"}


def ask(client: httpx2.Client, **fields: Any) -> Any:
    """Sends a question, by default about a request; returns the answer."""
    body = {"input_type": "request", "request_data": {}, **fields}
    answer = client.post(PATH, json=body, headers=MASKING)
    assert answer.status_code == 200
    return answer.json()


def call_of(tool: str, **arguments: str) -> dict[str, Any]:
    """Returns a tool call."""
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def test_a_harmless_request_passes(client: httpx2.Client) -> None:
    assert ask(client, texts=["hello"]) == {"action": "NONE"}


def test_texts_are_redacted_in_their_order(client: httpx2.Client) -> None:
    texts = ["hello", f"card {CARD}", f"again {CARD} and {CARD}"]
    assert ask(client, texts=texts) == {
        "action": "GUARDRAIL_INTERVENED",
        "texts": ["hello", "card [REDACTED]", "again [REDACTED] and [REDACTED]"],
    }


def test_a_large_text_is_redacted_too(client: httpx2.Client) -> None:
    for input_type in INPUT_TYPES:
        answer = ask(client, input_type=input_type, texts=[f"{'word ' * 20_000}{CARD}"])
        assert answer["texts"][0].endswith("word [REDACTED]")


@pytest.mark.parametrize("headers", [{}, {"X-PDP-Mask-Responses": "false"}], ids=str)
def test_an_answer_whose_redaction_might_get_lost_is_refused(
    client: httpx2.Client, headers: dict[str, str]
) -> None:
    """LiteLLM drops redactions on most streams; only its configuration says that it does not."""
    body = {"input_type": "response", "texts": [f"card {CARD}"]}
    assert client.post(PATH, json=body, headers=headers).json()["action"] == "BLOCKED"
    body["input_type"] = "request"
    answer = client.post(PATH, json=body, headers=headers).json()
    assert answer["action"] == "GUARDRAIL_INTERVENED"


def test_a_refusal_has_the_message_of_the_policy_and_the_id_of_the_decision(
    client: httpx2.Client, blocked: str
) -> None:
    answer = ask(client, texts=["our rival"])
    assert answer["action"] == "BLOCKED"
    assert answer["blocked_reason"].startswith("No! (decision ")


@pytest.mark.parametrize("input_type", ["request", "response"])
def test_a_tool_call_is_judged_as_a_call(client: httpx2.Client, input_type: str) -> None:
    calls = [call_of("run_sql", q=DROP)]
    answer = ask(client, input_type=input_type, texts=["ok"], tool_calls=calls)
    assert answer["action"] == "BLOCKED"


@pytest.mark.parametrize("input_type", ["request", "response"])
def test_what_cannot_be_redacted_is_refused(client: httpx2.Client, input_type: str) -> None:
    """LiteLLM does not take back tool calls."""
    calls = [call_of("note", text=CARD)]
    answer = ask(client, input_type=input_type, texts=["ok"], tool_calls=calls)
    assert answer["action"] == "BLOCKED"
    assert "cannot replace" in answer["blocked_reason"]


def test_a_call_of_an_mcp_tool_is_judged(client: httpx2.Client) -> None:
    tool = {"type": "function", "function": {"name": "run_sql", "description": "Runs SQL"}}
    assert ask(client, texts=["Runs SQL", DROP], tools=[tool])["action"] == "BLOCKED"
    tool["function"] = {"name": "note", "description": "Notes"}
    answer = ask(client, texts=["Notes", CARD], tools=[tool])
    assert answer["texts"] == ["Notes", "[REDACTED]"]


CONVERSATION: Final = [
    {"role": "user", "content": "our rival"},
    {"role": "assistant", "content": "no"},
    {"role": "user", "content": "hello"},
]


@pytest.mark.parametrize(
    ("history", "texts", "action"),
    [
        ("", 3, "BLOCKED"),
        ("all", 3, "BLOCKED"),
        ("latest", 3, "GUARDRAIL_INTERVENED"),
        ("latest", 1, "BLOCKED"),
        ("none", 3, "BLOCKED"),
    ],
)
def test_earlier_messages_may_be_replaced(
    client: httpx2.Client, blocked: str, history: str, texts: int, action: str
) -> None:
    messages = CONVERSATION[:texts]
    contents = [each["content"] for each in messages]
    body = {"input_type": "request", "texts": contents, "structured_messages": messages}
    headers = {"X-PDP-History": history} if history else {}
    answer = client.post(PATH, json=body, headers=headers).json()
    assert answer["action"] == action
    if action != "BLOCKED":
        assert answer["texts"] == ["[BLOCKED]", "no", "hello"]


def test_images_are_what_the_setting_says(client: httpx2.Client) -> None:
    fields = {"texts": ["look"], "images": ["data:image/png;base64,AAAA"], "model": "m"}
    assert ask(client, **fields) == {"action": "NONE"}
    answer = client.put("/v1/tenant/settings", json={"unjudged": "block"})
    assert answer.is_success, answer.text
    assert ask(client, **fields)["action"] == "BLOCKED"


def test_a_stream_holds_back_what_may_not_be_complete(client: httpx2.Client) -> None:
    sent = ""
    whole = f"Your card is {CARD} and so on. " + "word " * 200
    for end in range(5, len(whole), 50):
        answer = ask(client, input_type="response", texts=[whole[:end]], litellm_call_id="s")
        text = (answer.get("texts") or [whole[:end]])[0]
        (held,) = answer["stream_holdback_chars"]
        shown = text[: len(text) - held]
        assert text.startswith(sent), "what was sent cannot be taken back"
        sent = max(sent, shown, key=len)
        assert "4111" not in sent
        assert held >= min(HOLD_BACK, len(text))
    assert sent.startswith("Your card is [REDACTED] and so on.")


SECRETS: Final = (CARD, "4012 8888 8888 1881", "jane.doe@example.com")
WHOLE: Final = " ".join(
    f"{secret} {'and some more words ' * count}" for count, secret in enumerate(SECRETS * 3, 5)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cuts=st.sets(st.integers(1, len(WHOLE) - 1), max_size=6))
def test_a_stream_is_redacted_as_one_text_however_it_is_cut(
    client: httpx2.Client, cuts: set[int]
) -> None:
    """Sends what LiteLLM sends: in each round what is not held back, at the end all of it."""
    fields: dict[str, Any] = {"input_type": "response", "litellm_call_id": str(sorted(cuts))}
    expected = ask(client, input_type="response", texts=[WHOLE])["texts"][0]
    assert not any(secret in expected for secret in SECRETS[:2])
    sent = ""
    for end in sorted(cuts):
        answer = ask(client, **fields, texts=[WHOLE[:end]])
        text = (answer.get("texts") or [WHOLE[:end]])[0]
        assert text.startswith(sent), "what was sent cannot be taken back"
        sent += text[len(sent) : len(text) - answer["stream_holdback_chars"][0]]
        assert expected.startswith(sent)
    assert ask(client, **fields, texts=[WHOLE])["texts"][0] == expected


@pytest.mark.usefixtures("same_day")
def test_a_stream_is_one_request_to_limits(client: httpx2.Client) -> None:
    make(client, daily_request_limit=2)
    data = {"user_api_key_user_id": "u1"}
    fields: dict[str, Any] = {"input_type": "response", "request_data": data}
    for length in range(1, 6):
        texts = ["word " * length]
        assert ask(client, **fields, texts=texts, litellm_call_id="a")["action"] == "NONE"
    assert ask(client, **fields, texts=["x"], litellm_call_id="b")["action"] == "NONE"
    answer = ask(client, **fields, texts=["x"], litellm_call_id="c")
    assert answer["action"] == "BLOCKED"
    # The second stream goes on although the limit is reached.
    assert ask(client, **fields, texts=["x y"], litellm_call_id="b")["action"] == "NONE"


def test_a_later_round_is_judged_like_the_first(client: httpx2.Client, blocked: str) -> None:
    fields: dict[str, Any] = {"input_type": "response", "litellm_call_id": "a"}
    assert ask(client, **fields, texts=["our"])["action"] == "NONE"
    assert ask(client, **fields, texts=["our rival"])["action"] == "BLOCKED"
    assert ask(client, **fields, texts=["our rival again"])["action"] == "BLOCKED"


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_refused_with_the_status_200(
    client: httpx2.Client, body: bytes
) -> None:
    """LiteLLM goes on after any other status if it is configured so."""
    answer = client.post(PATH, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["action"] == "BLOCKED"
    assert answer.headers["x-pdp-status-hint"] in {"400", "413"}


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
    ids=["text", "gzip"],
)
def test_another_content_type_is_refused(client: httpx2.Client, headers: dict[str, str]) -> None:
    body = json.dumps({"input_type": "request", "texts": ["x"]})
    answer = client.post(PATH, content=body, headers=headers)
    assert (answer.status_code, answer.json()["action"]) == (200, "BLOCKED")
    assert answer.headers["x-pdp-status-hint"] == "415"


def test_a_value_of_the_header_that_is_unknown_is_refused(client: httpx2.Client) -> None:
    body = {"input_type": "request", "texts": ["hello"]}
    answer = client.post(PATH, json=body, headers={"X-PDP-Mask-Responses": "yes"})
    assert answer.json()["action"] == "BLOCKED"


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES: Final = ("texts", "images", "tools", "tool_calls", "structured_messages", "model")
MESSAGES: Final = st.fixed_dictionaries(
    {"input_type": st.sampled_from(["request", "response"]) | JSON},
    optional={
        **dict.fromkeys((*NAMES, "request_data", "litellm_call_id"), JSON),
        "texts": st.lists(st.text(max_size=40), max_size=3) | JSON,
        "tool_calls": st.lists(
            st.fixed_dictionaries({"function": st.fixed_dictionaries({"name": JSON})}), max_size=2
        ),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(message=MESSAGES | JSON)
def test_any_message_is_decided_or_refused(client: httpx2.Client, message: Any) -> None:
    answer = client.post(PATH, json=message)
    assert answer.status_code == 200
    body = answer.json()
    assert body["action"] in {"NONE", "GUARDRAIL_INTERVENED", "BLOCKED"}
    if not isinstance(message, dict) or message.get("input_type") not in INPUT_TYPES:
        assert body["action"] == "BLOCKED"
    if body["action"] != "BLOCKED":
        texts = message.get("texts") or []
        assert len(body.get("texts", texts)) == len(texts)
        if message["input_type"] == "response":
            assert len(body["stream_holdback_chars"]) == len(texts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_refused(client: httpx2.Client, body: bytes) -> None:
    answer = client.post(PATH, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["action"]) == (200, "BLOCKED")


@pytest.fixture(scope="module")
def required(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials; the team's id is the tenant, if a key is for all."""
    folder = tmp_path_factory.mktemp("litellm")
    with authenticated_server(folder, PDP_LITELLM_TENANT="user_api_key_team_id") as opened:
        yield opened


def test_the_credential_comes_before_the_body_and_its_type(required: AuthenticatedServer) -> None:
    for headers in ({}, {"content-type": "application/json"}):
        answer = required.request("POST", PATH, content=b"{", headers=headers)
        assert (answer.status_code, answer.json()["action"]) == (200, "BLOCKED")
        assert "UNAUTHENTICATED" in answer.json()["blocked_reason"]
        assert answer.headers["x-pdp-status-hint"] == "401"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bound_to", ["own", "*"])
@pytest.mark.parametrize("tenant", ["own", "other", ""])
def test_role_and_tenant_are_checked(
    required: AuthenticatedServer, role: str, bound_to: str, tenant: str
) -> None:
    key = required.key(role, bound_to)
    data = {"user_api_key_team_id": tenant} if tenant else {}
    body = {"input_type": "request", "texts": ["hello"], "request_data": data}
    answer = required.request("POST", PATH, key, json=body)
    assert answer.status_code == 200
    reason = answer.json().get("blocked_reason", "")
    if role not in PEP_ROLES:
        assert "ACCESS_DENIED" in reason
    elif not tenant:
        assert "request_data.user_api_key_team_id: is missing" in reason
    elif tenant == "other" and bound_to == "own":
        assert "TENANT_MISMATCH" in reason
    else:
        assert answer.json() == {"action": "NONE"}


def test_later_rounds_need_the_tenant_too(required: AuthenticatedServer) -> None:
    own, other = required.key("pep", "own"), required.key("pep", "third")
    body = {
        "input_type": "response",
        "texts": ["hello"],
        "litellm_call_id": "a",
        "request_data": {"user_api_key_team_id": "own"},
    }
    assert required.request("POST", PATH, own, json=body).json()["action"] == "NONE"
    assert required.request("POST", PATH, own, json=body).json()["action"] == "NONE"
    answer = required.request("POST", PATH, other, json=body)
    assert "TENANT_MISMATCH" in answer.json()["blocked_reason"]


def test_a_fault_of_the_engine_is_a_refusal(tmp_path: Path) -> None:
    with servers.start(tmp_path, patch="layer:dlp") as server, server.client("acme") as client:
        for input_type in ("request", "response"):
            assert ask(client, input_type=input_type, texts=["hello"])["action"] == "BLOCKED"
