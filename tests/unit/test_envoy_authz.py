"""ext_authz: what passes, what is refused, and with which answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.adapters.envoy.contract import CheckRequest
from pdp.errors import MalformedRequest, PdpError
from tests.support.envoy import CARD, CHAT, Peer, check_of

CHAT_BODY = b'{"messages":[{"role":"user","content":"hi"}]}'
DENIED = 7


def chat(text: str) -> bytes:
    """Returns a chat request."""
    return json.dumps({"messages": [{"role": "user", "content": text}]}).encode()


def headers_of(options: Any) -> dict[str, str]:
    return {each.header.key: each.header.value for each in options}


async def test_a_request_passes_with_the_facts_that_the_mapping_names() -> None:
    peer = Peer()
    request = check_of(CHAT_BODY, x_user="ann", x_other="eve", x_request_id="r-1")
    request.attributes.context_extensions["agent"] = "bot"
    request.attributes.source.principal = "spiffe://acme/app"
    metadata = request.attributes.metadata_context.filter_metadata["jwt"]
    metadata.update({"token": {"groups": ["dev", "ops"]}})
    answer = await peer.check(request)
    assert answer.status.code == 0
    (asked,) = peer.port.asked
    assert asked.tenant_id == "acme"
    assert asked.subject.user_id == "ann"
    assert asked.subject.agent_id == "bot"
    assert list(asked.subject.groups) == ["dev", "ops"]
    assert asked.customer_id == "spiffe://acme/app"
    assert asked.request_id == "r-1"
    assert asked.direction == "input"
    assert asked.payload.format == CHAT
    assert asked.payload.body == CHAT_BODY.decode()
    assert asked.payload.history == "all"
    for options in (answer.ok_response.headers, answer.ok_response.response_headers_to_add):
        assert headers_of(options) == {"x-decision": "d1", "x-outcome": "ALLOW"}
    assert dict(answer.dynamic_metadata)["decision_id"] == "d1"
    assert dict(answer.dynamic_metadata)["request_judged"] is True


async def test_a_refusal_has_the_form_status_and_headers_of_the_route() -> None:
    answer = await Peer().check(check_of(chat("deny")))
    assert answer.status.code == DENIED
    denied = answer.denied_response
    assert denied.status.code == 429
    assert headers_of(denied.headers) == {
        "content-type": "application/json",
        "retry-after": "7",
        "x-decision": "d1",
        "x-outcome": "BLOCK",
    }
    error = json.loads(denied.body)["error"]
    assert error["code"] == "LIMIT_EXCEEDED"
    assert error["decision_id"] == "d1"
    assert dict(answer.dynamic_metadata)["decision_id"] == "d1"


@pytest.mark.parametrize("word", [CARD, "mask", "route", "lost"])
async def test_what_needs_another_body_is_refused(word: str) -> None:
    answer = await Peer().check(check_of(chat(word)))
    assert answer.status.code == DENIED
    assert answer.denied_response.status.code == 403


@pytest.mark.parametrize("word", [CARD, "mask", "route"])
async def test_what_needs_another_body_is_left_to_ext_proc_if_it_follows(word: str) -> None:
    answer = await Peer().check(check_of(chat(word), path="/followed"))
    assert answer.status.code == 0
    assert dict(answer.dynamic_metadata)["request_judged"] is False


REFUSED = {
    "part of a body": (check_of(CHAT_BODY, x_envoy_auth_partial_body="true"), 413),
    "a word that is not true or false": (check_of(CHAT_BODY, x_envoy_auth_partial_body="x"), 413),
    "shorter than declared": (check_of(CHAT_BODY, content_length="9999"), 400),
    "a length that is no number": (check_of(CHAT_BODY, content_length="1, 2"), 400),
    "compressed": (check_of(CHAT_BODY, content_encoding="gzip"), 415),
    "no body": (check_of(), 400),
    "not UTF-8": (check_of(b'{"messages":"\xff"}'), 400),
    "too large": (check_of(b"x" * (8 * 1024 * 1024 + 1)), 413),
    "not understood": (check_of(chat("broken")), 400),
    "no route": (check_of(CHAT_BODY, path="/v2"), 403),
    "a path of two readings": (check_of(CHAT_BODY, path="/open/../v1/chat/completions"), 400),
    "a required fact is missing": (check_of(path="/open/x", method="GET"), 400),
}


@pytest.mark.parametrize(("request_", "status"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_judged_is_refused(request_: Any, status: int) -> None:
    answer = await Peer().check(request_)
    assert answer.status.code == DENIED
    assert answer.denied_response.status.code == status
    assert "error" in json.loads(answer.denied_response.body)


async def test_a_route_without_a_payload_is_judged_by_its_facts() -> None:
    peer = Peer()
    answer = await peer.check(check_of(path="/open/models", method="GET", x_user="ann"))
    assert answer.status.code == 0
    (asked,) = peer.port.asked
    assert not asked.HasField("payload")


async def test_a_body_as_text_is_read_too() -> None:
    request = check_of()
    request.attributes.request.http.body = chat("deny").decode()
    assert (await Peer().check(request)).status.code == DENIED


async def test_headers_that_envoy_sends_one_by_one_are_read_too() -> None:
    peer = Peer()
    request = check_of(CHAT_BODY)
    added = request.attributes.request.http.header_map.headers
    added.add(key="x-user", raw_value=b"ann")
    await peer.check(request)
    assert peer.port.asked[0].subject.user_id == "ann"


async def test_a_message_without_a_request_is_refused() -> None:
    with pytest.raises(MalformedRequest, match=r"attributes\.request\.http"):
        await Peer().check(CheckRequest())


@given(raw=st.binary(max_size=300), body=st.binary(max_size=60), path=st.text(max_size=30))
async def test_nothing_that_is_not_understood_passes(raw: bytes, body: bytes, path: str) -> None:
    """Noise on the wire, and noise in each field: a refusal or a decision, nothing else."""
    try:
        request = CheckRequest.FromString(raw)
    except Exception:
        request = check_of(body, path=path)
    peer = Peer()
    try:
        answer = await peer.check(request)
    except PdpError:
        return
    if answer.status.code == 0:
        assert len(peer.port.asked) == 1
    else:
        assert answer.denied_response.status.code >= 400
