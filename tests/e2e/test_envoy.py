"""A real Envoy asks a real PDP, with the configurations of `deploy/envoy`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest

from demo.gateway import filter_of
from demo.programs import ROOT
from demo.steps import CARD, STEPS
from demo.upstream import SECRET
from tests.support.envoy_gateways import CHAT, Chain, chain, envoy_program
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.programs

ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
DECISION_ID: Final = "x-pdp-decision-id"
EXT_PROC: Final = "envoy.filters.http.ext_proc"
PER_ROUTE: Final = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3"
UNION: Final = "SELECT name FROM users WHERE id = 1 UNION SELECT password FROM users"
MODES: Final = {
    "buffered": ("BUFFERED", "BUFFERED", False),
    "streams streamed, all else buffered": ("BUFFERED", "STREAMED", True),
    "streamed": ("STREAMED", "STREAMED", False),
    "duplex": ("FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED", False),
}


def set_modes(config: dict[str, Any], request: str, response: str, *, override: bool) -> None:
    """Sets how ext_proc sends bodies."""
    settings = filter_of(config, EXT_PROC)
    settings["processing_mode"]["request_body_mode"] = request
    settings["processing_mode"]["response_body_mode"] = response
    settings["allow_mode_override"] = override
    if not override:
        del settings["grpc_service"]["initial_metadata"]


@pytest.fixture(scope="module", params=list(MODES.values()), ids=list(MODES))
def processed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chain]:
    """A gateway with ext_proc, in each mode."""
    of_request, of_response, override = request.param

    def change(config: dict[str, Any]) -> None:
        set_modes(config, of_request, of_response, override=override)

    with chain(tmp_path_factory.mktemp("proc"), "ext_proc.yaml", change) as opened:
        yield opened


@pytest.fixture(scope="module")
def authorized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A gateway with ext_authz."""
    with chain(tmp_path_factory.mktemp("authz"), "ext_authz.yaml") as opened:
        yield opened


def content_of(answer: httpx2.Response) -> str:
    """Returns the text of an answer, streamed or not."""
    if "event-stream" not in answer.headers["content-type"]:
        content: str = answer.json()["choices"][0]["message"]["content"]
        return content
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


# ext_proc


@pytest.mark.parametrize("stream", [False, True])
def test_a_clean_chat_passes_unchanged(processed: Chain, stream: bool) -> None:
    answer = processed.chat("What is a proxy?", stream=stream)
    assert answer.status_code == 200
    assert content_of(answer).startswith("You said: What")
    sent = json.loads(processed.upstream.bodies[-1])
    assert sent["messages"][0]["content"] == "What is a proxy?"


def test_a_card_number_does_not_reach_the_upstream(processed: Chain) -> None:
    answer = processed.chat(f"Refund {CARD} now")
    assert answer.status_code == 200
    assert b"4111" not in processed.upstream.bodies[-1]
    assert content_of(answer) == "You said: Refund [REDACTED] now"


@pytest.mark.parametrize("stream", [False, True])
def test_a_secret_in_an_answer_does_not_reach_the_client(processed: Chain, stream: bool) -> None:
    answer = processed.chat("What is the key?", stream=stream)
    assert content_of(answer) == "The key is [REDACTED], keep it safe."
    assert SECRET[:7] not in answer.text


def test_events_reach_the_client_while_the_upstream_goes_on(tmp_path: Path) -> None:
    """With the configuration of `deploy/envoy` as it is. The upstream waits for the client."""
    text = "wait " + "for the next word of a long sentence " * 60
    with chain(tmp_path, "ext_proc.yaml") as opened:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], "stream": True}
        with opened.client.stream("POST", CHAT, json=body) as answer:
            lines = answer.iter_lines()
            first = next(line for line in lines if "sentence" in line)
            assert first.startswith("data: ")
            opened.upstream.go_on.set()
            assert "data: [DONE]" in list(lines)


def test_a_request_that_is_stopped_does_not_reach_the_upstream(processed: Chain) -> None:
    before = len(processed.upstream.bodies)
    answer = processed.chat(UNION)
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "STATIC_POLICY_BLOCK"
    assert ID.fullmatch(error["decision_id"])
    assert answer.headers[DECISION_ID] == error["decision_id"]
    assert len(processed.upstream.bodies) == before


def test_an_answer_that_is_stopped_does_not_reach_the_client(
    processed: Chain, request: pytest.FixtureRequest
) -> None:
    """If its headers have gone to the client before, Envoy cuts the connection."""
    tools = [{"type": "function", "function": {"name": "run_sql"}}]
    try:
        answer = processed.chat("What is in the database?", tools=tools)
    except httpx2.RemoteProtocolError:
        assert "buffered" not in request.node.callspec.id
        return
    assert answer.status_code == 403
    assert "password" not in answer.text


def test_bodies_of_several_megabytes_are_judged_whole(processed: Chain) -> None:
    filler = [{"role": "user", "content": "x" * 1_000_000}] * 3
    messages = [*filler, {"role": "user", "content": f"card {CARD}"}]
    answer = processed.client.post(CHAT, json={"model": "gpt-4o", "messages": messages})
    assert answer.status_code == 200, answer.text
    assert len(processed.upstream.bodies[-1]) > 3_000_000
    assert b"4111" not in processed.upstream.bodies[-1]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"", {}, 400),
        (b'{"messages": []', {}, 400),
        (b"\x1f\x8b\x08\x00", {"content-encoding": "gzip"}, 415),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', {}, 400),
        (b'{"messages":[],"messages":[]}', {}, 400),
    ],
    ids=["not JSON", "empty", "cut", "compressed", "not UTF-8", "duplicate keys"],
)
def test_what_is_not_understood_does_not_reach_the_upstream(
    processed: Chain, body: bytes, headers: dict[str, str], status: int
) -> None:
    before = len(processed.upstream.bodies)
    assert processed.client.post(CHAT, content=body, headers=headers).status_code == status
    assert len(processed.upstream.bodies) == before


@pytest.mark.parametrize(
    "answer",
    ["200|application/json|{", "200|application/json|{}", "200|text/html|hello"],
    ids=["not JSON", "of no format", "of another type"],
)
def test_answers_that_are_not_understood_do_not_reach_the_client(
    processed: Chain, answer: str, request: pytest.FixtureRequest
) -> None:
    try:
        got = processed.chat(f"raw:{answer}")
    except httpx2.RemoteProtocolError:
        assert "buffered" not in request.node.callspec.id
        return
    assert got.status_code == 502
    assert "hello" not in got.text


def test_a_failure_of_the_upstream_reaches_the_client_redacted(processed: Chain) -> None:
    answer = processed.chat(f'raw:429|application/json|{{"error": "slow down {CARD}"}}')
    assert answer.status_code == 429
    assert answer.json() == {"error": "slow down [REDACTED]"}


def test_what_other_filters_refuse_keeps_its_status(processed: Chain) -> None:
    answer = processed.client.post(CHAT, json={}, headers={"authorization": "Bearer x"})
    assert answer.status_code == 401


def test_routes_that_the_mapping_does_not_name_are_refused(processed: Chain) -> None:
    for path in ("/v1/other", "/v1/models/../files", "//v1/models", "/v1/models%2F..%2Ffiles"):
        assert processed.client.get(path).status_code in {400, 403}, path


def test_upstreams_are_not_asked_for_compressed_answers(processed: Chain) -> None:
    processed.client.post(
        CHAT,
        json={"messages": [{"role": "user", "content": "hi"}]},
        headers={"accept-encoding": "gzip"},
    )
    assert "accept-encoding" not in processed.upstream.headers[-1]


# ext_authz


def test_authz_lets_a_clean_request_pass_unchanged(authorized: Chain) -> None:
    answer = authorized.chat("What is a proxy?")
    assert answer.status_code == 200
    assert ID.fullmatch(answer.headers[DECISION_ID])
    assert authorized.upstream.headers[-1][DECISION_ID] == answer.headers[DECISION_ID]


@pytest.mark.parametrize("text", [f"Refund {CARD}", UNION], ids=["redaction", "injection"])
def test_authz_refuses_what_may_not_pass_unchanged(authorized: Chain, text: str) -> None:
    before = len(authorized.upstream.bodies)
    answer = authorized.chat(text)
    assert answer.status_code == 403
    assert answer.json()["error"]["decision_id"] == answer.headers[DECISION_ID]
    assert len(authorized.upstream.bodies) == before


def test_authz_judges_bodies_of_several_megabytes_whole(authorized: Chain) -> None:
    filler = [{"role": "user", "content": "x" * 1_000_000}] * 3
    messages = [*filler, {"role": "user", "content": f"card {CARD}"}]
    assert authorized.client.post(CHAT, json={"messages": messages}).status_code == 403
    assert authorized.client.post(CHAT, json={"messages": filler}).status_code == 200


def test_authz_refuses_part_of_a_body(tmp_path: Path) -> None:
    """Envoy sends the first bytes only, and would let the rest pass unseen."""

    def change(config: dict[str, Any]) -> None:
        settings = filter_of(config, "envoy.filters.http.ext_authz")
        settings["with_request_body"] |= {"max_request_bytes": 100, "allow_partial_message": True}

    with chain(tmp_path, "ext_authz.yaml", change) as opened:
        assert opened.chat("hi").status_code == 200
        assert opened.chat("x" * 200 + CARD).status_code == 413
        assert len(opened.upstream.bodies) == 1


# Both


@pytest.mark.parametrize("config", ["ext_proc.yaml", "ext_authz.yaml"])
def test_nothing_passes_without_the_pdp(tmp_path: Path, config: str) -> None:
    with chain(tmp_path, config) as opened:
        assert opened.chat("hi").status_code == 200
        opened.pdp.process.terminate()
        opened.pdp.wait()
        assert opened.chat("hi").status_code == 503
        assert len(opened.upstream.bodies) == 1


@pytest.mark.parametrize("config", ["ext_proc.yaml", "ext_authz.yaml"])
def test_nothing_passes_without_a_credential(tmp_path: Path, config: str) -> None:
    with chain(tmp_path, config, PDP_AUTH="required") as opened:
        assert opened.chat("hi").status_code == 503
        assert not opened.upstream.bodies


@pytest.mark.parametrize(
    ("config", "fact"), [("ext_proc.yaml", "details"), ("ext_authz.yaml", "decision_id")]
)
def test_the_access_log_has_the_decisions(tmp_path: Path, config: str, fact: str) -> None:
    with chain(tmp_path, config) as opened:
        passed, refused = opened.chat("hi"), opened.chat(UNION)
    first, second = opened.gateway.access_log
    assert ID.fullmatch(first["decision_id"])
    shown = first.get("response_decision_id", first["decision_id"])
    assert passed.headers[DECISION_ID] == shown
    assert refused.headers[DECISION_ID] in second[fact]


def test_requests_do_not_wait_for_each_other(processed: Chain) -> None:
    """One request whose body never ends, on the same connection of Envoy to the PDP."""
    with httpx2.Client(base_url=processed.gateway.url, trust_env=False, timeout=TIMEOUT_S) as slow:
        headers = {**processed.client.headers, "content-type": "application/json"}

        def parts() -> Iterator[bytes]:
            yield b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "'
            assert processed.chat("hi").status_code == 200
            yield b'hello"}]}'

        answer = slow.post(CHAT, content=parts(), headers=headers)
    assert answer.status_code == 200


def test_the_demo_runs_several_times_at_once() -> None:
    envoy_program()
    command = [sys.executable, "-m", "demo"]
    demos = [
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for demo in demos:
        out, errors = demo.communicate(timeout=TIMEOUT_S * 3)
        assert demo.returncode == 0, out + errors
        ids = re.findall(rf"decision ({ID.pattern})", out)
        assert len(set(ids)) == len(STEPS)


@pytest.mark.parametrize("mode", ["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_filter_that_does_not_keep_its_word_lets_nothing_through(
    tmp_path: Path, mode: str, stream: bool
) -> None:
    """The metadata of the call say that it allows other modes, and it does not."""

    def change(config: dict[str, Any]) -> None:
        settings = filter_of(config, EXT_PROC)
        settings["allow_mode_override"] = False
        settings["processing_mode"]["response_body_mode"] = mode

    with chain(tmp_path, "ext_proc.yaml", change) as opened:
        answer = opened.chat("What is the key?", stream=stream)
        assert content_of(answer) == "The key is [REDACTED], keep it safe."


def test_settings_of_a_route_count(tmp_path: Path) -> None:
    """Envoy says how it sends the bodies of this route, not of the filter."""

    def change(config: dict[str, Any]) -> None:
        set_modes(config, "BUFFERED", "BUFFERED", override=False)
        listener = config["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        mode = {
            **filter_of(config, EXT_PROC)["processing_mode"],
            "request_body_mode": "FULL_DUPLEX_STREAMED",
            "response_body_mode": "FULL_DUPLEX_STREAMED",
        }
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"] = {
            EXT_PROC: {
                "@type": f"{PER_ROUTE}.ExtProcPerRoute",
                "overrides": {"processing_mode": mode},
            }
        }

    with chain(tmp_path, "ext_proc.yaml", change) as opened:
        assert content_of(opened.chat(f"Refund {CARD}")) == "You said: Refund [REDACTED]"
        assert b"4111" not in opened.upstream.bodies[-1]
        assert "[REDACTED]" in content_of(opened.chat("What is the key?", stream=True))
