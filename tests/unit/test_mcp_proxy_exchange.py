"""What passes between a client and a server, and what does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.mcp.exchange import McpSide, ToolDenialForm
from pdp.adapters.mcp.messages import read_message
from pdp.adapters.mcp.methods import FROM_CLIENT, FROM_SERVER
from pdp.adapters.mcp.pins import Pins, PinState, hash_of
from pdp.adapters.mcp.tools import MAX_TOOLS_IN_PAGE, PinAction
from pdp.jsonpb.structs import struct_object
from tests.support.mcp import (
    CALLER,
    MODERN_META,
    WordDecisions,
    call,
    error_of,
    exchange_of,
    message_of,
    names_of,
    notification,
    request,
    result,
    tool,
    tool_list,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.adapters.mcp.messages import McpMessage


@pytest.fixture
def decisions() -> WordDecisions:
    """Decisions that depend on words."""
    return WordDecisions()


class TestRequests:
    """Requests of clients."""

    async def test_an_allowed_call_passes_unchanged(self, decisions: WordDecisions) -> None:
        message = call("add", a=1)
        passage = await exchange_of(decisions).request(message, McpSide.CLIENT, CALLER)
        assert passage.forward is message
        assert passage.answer is None

    async def test_the_decision_is_about_the_message_and_the_caller(
        self, decisions: WordDecisions
    ) -> None:
        message = call("add", a=1)
        await exchange_of(decisions).request(message, McpSide.CLIENT, CALLER)
        ((kind, asked),) = decisions.requests
        assert kind == "decide"
        assert asked.payload == pb.Payload(format="mcp.jsonrpc", body=message.text)
        assert asked.direction == "input"
        assert (asked.tenant_id, asked.session_id) == ("acme", "session-1")
        assert asked.subject == pb.Subject(user_id="ada", groups=["staff"], agent_id="agent-1")
        assert (asked.target.resource_type, asked.target.resource_id) == ("mcp_server", "demo")
        assert struct_object(asked.context)["mcp"]["method"] == "tools/call"

    async def test_a_denied_call_is_answered_by_the_error_of_the_binding(
        self, decisions: WordDecisions
    ) -> None:
        passage = await exchange_of(decisions).request(
            call("add", "id-7", a="forbidden"), McpSide.CLIENT, CALLER
        )
        assert passage.forward is None
        assert passage.answer is not None
        assert json.loads(passage.answer) == {
            "jsonrpc": "2.0",
            "id": "id-7",
            "error": {
                "code": -32001,
                "message": "Stopped: STATIC_POLICY_BLOCK.",
                "data": {
                    "reason": "STATIC_POLICY_BLOCK",
                    "outcome": "BLOCK",
                    "decisionId": "d1",
                    "statusHint": 403,
                },
            },
        }

    @pytest.mark.parametrize("meta", [None, MODERN_META])
    async def test_a_denied_call_can_be_a_result_that_the_model_reads(
        self, decisions: WordDecisions, meta: Any
    ) -> None:
        exchange = exchange_of(decisions, denials=ToolDenialForm.RESULT)
        params: dict[str, Any] = {"name": "add", "arguments": {"a": "forbidden"}}
        params |= {"_meta": meta} if meta else {}
        passage = await exchange.request(request("tools/call", params), McpSide.CLIENT, CALLER)
        assert passage.answer is not None
        answer = json.loads(passage.answer)["result"]
        assert answer["isError"] is True
        assert answer["content"][0]["text"] == (
            "Stopped: STATIC_POLICY_BLOCK. (STATIC_POLICY_BLOCK, decision d1)"
        )
        assert answer.get("resultType") == ("complete" if meta else None)

    async def test_other_denials_stay_errors(self, decisions: WordDecisions) -> None:
        exchange = exchange_of(decisions, denials=ToolDenialForm.RESULT)
        for message in (
            request("prompts/get", {"name": "forbidden"}),
            request("tools/unknown", {}),
            call("add", a="unclear"),
        ):
            passage = await exchange.request(message, McpSide.CLIENT, CALLER)
            assert error_of(passage.answer)["code"] < 0

    async def test_a_redaction_changes_only_what_is_redacted(
        self, decisions: WordDecisions
    ) -> None:
        text = '{ "jsonrpc":"2.0","id":1, "method":"tools/call","params":{"name":"a",%s}}'
        message = read_message((text % '"arguments":{"x":"a secret","n":1.50}').encode())
        passage = await exchange_of(decisions).request(message, McpSide.CLIENT, CALLER)
        assert passage.forward is not None
        assert passage.forward.text == text % '"arguments":{"x":"a [REDACTED]","n":1.50}'
        assert passage.forward.params["arguments"] == {"x": "a [REDACTED]", "n": 1.5}

    @pytest.mark.parametrize(
        "message",
        [
            call("secret"),
            call("add", "secret", a=1),
            request("resources/read", {"uri": "file:///secret"}),
            request("prompts/get", {"name": "secret"}),
        ],
    )
    async def test_a_redaction_never_changes_what_a_request_acts_on(
        self, decisions: WordDecisions, message: McpMessage
    ) -> None:
        passage = await exchange_of(decisions).request(message, McpSide.CLIENT, CALLER)
        assert passage.forward is None
        error = error_of(passage.answer)
        assert (error["code"], error["data"]["reason"]) == (-32001, "NOT_REDACTABLE")
        assert error["data"]["decisionId"] == "d1"

    @pytest.mark.parametrize("word", ["rerouted", "masked", "rerouted secret", "asked"])
    async def test_what_the_proxy_cannot_do_is_a_denial(
        self, decisions: WordDecisions, word: str
    ) -> None:
        passage = await exchange_of(decisions).request(call("add", a=word), McpSide.CLIENT, CALLER)
        assert passage.forward is None
        assert error_of(passage.answer)["code"] == -32001

    @pytest.mark.parametrize(
        "method", ["tools/delete", "sampling/createMessage", "Tools/Call", "x"]
    )
    async def test_an_unknown_method_is_denied_without_a_decision(
        self, decisions: WordDecisions, method: str
    ) -> None:
        passage = await exchange_of(decisions).request(request(method, {}), McpSide.CLIENT, CALLER)
        assert passage.forward is None
        assert error_of(passage.answer)["code"] == -32601
        assert decisions.requests == []

    @pytest.mark.parametrize("method", sorted(FROM_CLIENT))
    async def test_nothing_passes_without_decisions(
        self, decisions: WordDecisions, method: str
    ) -> None:
        decisions.reachable = False
        message = request(method, {"name": "add", "uri": "a:b", "note": "text"})
        passage = await exchange_of(decisions).request(message, McpSide.CLIENT, CALLER)
        assert passage.forward is None
        error = error_of(passage.answer)
        assert (error["code"], error["data"]["reason"]) == (-32603, "UNAVAILABLE")

    async def test_a_message_that_is_not_understood_is_at_fault_itself(
        self, decisions: WordDecisions
    ) -> None:
        passage = await exchange_of(decisions).request(
            call("add", a="unclear"), McpSide.CLIENT, CALLER
        )
        assert passage.forward is None
        assert error_of(passage.answer)["code"] == -32602

    async def test_only_a_ping_without_content_needs_no_decision(
        self, decisions: WordDecisions
    ) -> None:
        exchange = exchange_of(decisions)
        decisions.reachable = False
        empty: tuple[Any, ...] = (None, {}, {"_meta": {"progressToken": 3}})
        for params in empty:
            message = request("ping", params)
            assert (await exchange.request(message, McpSide.CLIENT, CALLER)).forward is message
        for params in ({"x": 1}, {"_meta": {"note": "a"}}, {"_meta": {"progressToken": "a b"}}):
            passage = await exchange.request(request("ping", params), McpSide.CLIENT, CALLER)
            assert passage.forward is None

    @pytest.mark.parametrize(
        ("method", "kind"),
        [
            ("tools/call", "decide"),
            ("prompts/get", "decide"),
            ("resources/read", "decide"),
            ("completion/complete", "decide"),
            ("tools/list", "simulate"),
            ("initialize", "simulate"),
            ("server/discover", "simulate"),
            ("tasks/get", "simulate"),
        ],
    )
    async def test_what_uses_a_server_counts_and_the_rest_does_not(
        self, decisions: WordDecisions, method: str, kind: str
    ) -> None:
        params = {"name": "add", "uri": "a:b"}
        await exchange_of(decisions).request(request(method, params), McpSide.CLIENT, CALLER)
        assert decisions.kinds == [kind]

    async def test_lists_count_if_nothing_may_be_simulated(self, decisions: WordDecisions) -> None:
        exchange = exchange_of(decisions, simulates=False)
        await exchange.request(request("tools/list"), McpSide.CLIENT, CALLER)
        await exchange.answer(tool_list(tool("add")), "tools/list", McpSide.SERVER, CALLER)
        assert set(decisions.kinds) == {"decide"}

    async def test_a_request_with_confirmations_is_decided(self, decisions: WordDecisions) -> None:
        """A simulation would not use them."""
        params = {"_meta": {"dev.pdp/tokens": ["x.y.z"]}}
        exchange = exchange_of(decisions)
        passage = await exchange.request(request("tools/list", params), McpSide.CLIENT, CALLER)
        ((kind, asked),) = decisions.requests
        assert (kind, list(asked.tokens)) == ("decide", ["x.y.z"])
        assert asked.payload.body == json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        )
        assert passage.forward is not None
        assert passage.forward.text == asked.payload.body

    async def test_a_server_cannot_confirm(self, decisions: WordDecisions) -> None:
        """Its request is judged as it is, with what stands in the place of confirmations."""
        params = {"messages": [], "_meta": {"dev.pdp/tokens": ["x.y.z"]}}
        message = request("sampling/createMessage", params)
        await exchange_of(decisions).request(message, McpSide.SERVER, CALLER)
        ((_, asked),) = decisions.requests
        assert not asked.tokens
        assert asked.payload.body == message.text

    async def test_an_unknown_version_is_refused(self, decisions: WordDecisions) -> None:
        params = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}}
        passage = await exchange_of(decisions).request(
            request("tools/list", params), McpSide.CLIENT, CALLER
        )
        error = error_of(passage.answer)
        assert error["code"] == -32022
        assert "2025-11-25" in error["data"]["supported"]


class TestAnswers:
    """Answers of servers, and of clients."""

    async def test_an_allowed_result_passes_unchanged(self, decisions: WordDecisions) -> None:
        message = result({"content": [{"type": "text", "text": "fine"}]})
        assert (
            await exchange_of(decisions).answer(message, "tools/call", McpSide.SERVER, CALLER)
            is message
        )
        ((kind, asked),) = decisions.requests
        assert (kind, asked.direction) == ("decide", "output")
        assert asked.payload.answers == "tools/call"
        assert struct_object(asked.context)["mcp"]["method"] == "tools/call"

    async def test_a_result_is_redacted(self, decisions: WordDecisions) -> None:
        message = result({"content": [{"type": "text", "text": "a secret"}]})
        passing = await exchange_of(decisions).answer(message, "tools/call", McpSide.SERVER, CALLER)
        assert passing.result == {"content": [{"type": "text", "text": "a [REDACTED]"}]}
        assert json.loads(passing.text) == passing.document

    async def test_an_error_takes_the_place_of_a_denied_result(
        self, decisions: WordDecisions
    ) -> None:
        message = result({"content": [{"type": "text", "text": "forbidden"}]}, "id-7")
        passing = await exchange_of(decisions).answer(message, "tools/call", McpSide.SERVER, CALLER)
        assert "forbidden" not in passing.text
        answer = json.loads(passing.text)
        assert answer["id"] == "id-7"
        assert (answer["error"]["code"], answer["error"]["data"]["decisionId"]) == (-32001, "d1")

    async def test_an_error_of_a_server_is_judged_too(self, decisions: WordDecisions) -> None:
        error = {"code": -32000, "message": "a secret", "data": "forbidden"}
        message = message_of({"jsonrpc": "2.0", "id": 1, "error": error})
        passing = await exchange_of(decisions).answer(message, "tools/call", McpSide.SERVER, CALLER)
        assert error_of(passing.text)["code"] == -32001
        assert "forbidden" not in passing.text

    @pytest.mark.parametrize(
        ("version", "passes"), [("2025-11-25", True), ("2031-01-01", False), (None, False)]
    )
    async def test_a_session_of_an_unknown_version_does_not_begin(
        self, decisions: WordDecisions, version: str | None, passes: bool
    ) -> None:
        message = result({"protocolVersion": version, "capabilities": {}, "serverInfo": {}})
        passing = await exchange_of(decisions).answer(message, "initialize", McpSide.SERVER, CALLER)
        assert (passing is message) is passes

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ({"taskId": "t", "status": "working"}, "simulate"),
            ({"taskId": "t", "status": "completed", "result": {"content": []}}, "decide"),
        ],
    )
    async def test_the_end_of_a_task_counts_and_a_poll_does_not(
        self, decisions: WordDecisions, value: Any, kind: str
    ) -> None:
        await exchange_of(decisions).answer(result(value), "tasks/get", McpSide.SERVER, CALLER)
        assert decisions.kinds == [kind]

    async def test_no_result_passes_without_decisions(self, decisions: WordDecisions) -> None:
        decisions.reachable = False
        for method in ("tools/call", "tools/list", "prompts/list", "initialize", ""):
            message = result({"tools": [tool("a")], "protocolVersion": "2025-11-25"})
            passing = await exchange_of(decisions).answer(message, method, McpSide.SERVER, CALLER)
            assert error_of(passing.text)["code"] == -32603

    async def test_the_answer_of_a_user_to_the_server_is_judged(
        self, decisions: WordDecisions
    ) -> None:
        message = result({"action": "accept", "content": {"name": "forbidden"}})
        passing = await exchange_of(decisions).answer(
            message, "elicitation/create", McpSide.SERVER, CALLER
        )
        assert error_of(passing.text)["code"] == -32001

    async def test_a_client_has_no_tools(self, decisions: WordDecisions) -> None:
        """Its answer to a server must not pin the tools of the server."""
        pins = Pins("demo")
        exchange = exchange_of(decisions, pins=pins)
        await exchange.answer(tool_list(tool("add", "Mine.")), "", McpSide.CLIENT, CALLER)
        assert decisions.kinds == ["decide"]
        assert pins.compare({"add": "h"}) == {"add": PinState.NEW}

    async def test_a_redaction_counts_without_an_obligation(
        self, decisions: WordDecisions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        message = result({"content": "a text"})

        async def decide(_request: pb.DecideRequest) -> pb.DecideResponse:
            redacted = message.text.replace("a text", "[REDACTED]")
            return pb.DecideResponse(
                allowed=True, outcome=pb.OUTCOME_ALLOW, redacted_payload=redacted
            )

        monkeypatch.setattr(decisions, "decide", decide)
        passing = await exchange_of(decisions).answer(message, "x", McpSide.SERVER, CALLER)
        assert passing.result == {"content": "[REDACTED]"}

    @pytest.mark.parametrize(
        "answer",
        [
            pb.DecideResponse(),
            pb.DecideResponse(outcome=pb.OUTCOME_ALLOW),
            pb.DecideResponse(allowed=True),
            pb.DecideResponse(allowed=True, outcome=pb.OUTCOME_REDACT),
            pb.DecideResponse(allowed=True, outcome=pb.OUTCOME_BLOCK),
            pb.DecideResponse(allowed=True, outcome=pb.OUTCOME_REDACT, redacted_payload="{}"),
            pb.DecideResponse(allowed=True, outcome=pb.OUTCOME_REDACT, redacted_payload="no json"),
        ],
    )
    async def test_a_decision_that_makes_no_sense_lets_nothing_pass(
        self,
        decisions: WordDecisions,
        monkeypatch: pytest.MonkeyPatch,
        answer: pb.DecideResponse,
    ) -> None:
        async def decide(_request: pb.DecideRequest) -> pb.DecideResponse:
            return answer

        monkeypatch.setattr(decisions, "decide", decide)
        passing = await exchange_of(decisions).answer(
            result({"content": "a"}), "x", McpSide.SERVER, CALLER
        )
        assert error_of(passing.text)["code"] == -32001


class TestServerRequests:
    """Requests of servers, up to version 2025-11-25."""

    @pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create"])
    async def test_they_are_judged(self, decisions: WordDecisions, method: str) -> None:
        exchange = exchange_of(decisions)
        passing = request(method, {"message": "fine", "messages": []})
        assert (await exchange.request(passing, McpSide.SERVER, CALLER)).forward is passing
        denied = request(method, {"message": "forbidden", "messages": []})
        passage = await exchange.request(denied, McpSide.SERVER, CALLER)
        assert passage.forward is None
        assert error_of(passage.answer)["code"] == -32001
        assert decisions.kinds == ["decide", "decide"]

    @pytest.mark.parametrize("method", sorted(FROM_CLIENT.keys() - FROM_SERVER.keys()))
    async def test_a_server_cannot_send_what_only_clients_send(
        self, decisions: WordDecisions, method: str
    ) -> None:
        passage = await exchange_of(decisions).request(request(method), McpSide.SERVER, CALLER)
        assert passage.forward is None
        assert error_of(passage.answer)["code"] == -32601


class TestNotifications:
    """Notifications of both sides."""

    @pytest.mark.parametrize(
        "message",
        [
            notification("notifications/initialized"),
            notification("notifications/cancelled", {"requestId": "a-1"}),
            notification("notifications/progress", {"progressToken": 1, "progress": 0.5}),
            notification("notifications/tools/list_changed", {"_meta": {"progressToken": "x"}}),
        ],
    )
    async def test_one_without_content_needs_no_decision(
        self, decisions: WordDecisions, message: McpMessage
    ) -> None:
        decisions.reachable = False
        assert await exchange_of(decisions).notification(message, CALLER) is message

    async def test_one_with_confirmations_does_not_pass(self, decisions: WordDecisions) -> None:
        params = {"_meta": {"dev.pdp/tokens": ["x.y.z"]}}
        message = notification("notifications/initialized", params)
        assert await exchange_of(decisions).notification(message, CALLER) is None
        assert decisions.kinds == []

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("notifications/message", {"level": "info", "data": "%s"}),
            ("notifications/progress", {"progressToken": 1, "progress": 1, "message": "%s"}),
            ("notifications/cancelled", {"requestId": 1, "reason": "%s"}),
            ("notifications/unknown", {"x": {"y": ["%s"]}}),
            ("notifications/initialized", {"_meta": {"%s": 1}}),
        ],
    )
    async def test_one_with_content_is_judged(
        self, decisions: WordDecisions, method: str, params: dict[str, Any]
    ) -> None:
        def with_word(word: str) -> McpMessage:
            return notification(method, json.loads(json.dumps(params).replace("%s", word)))

        exchange = exchange_of(decisions)
        fine = with_word("fine")
        assert await exchange.notification(fine, CALLER) is fine
        assert await exchange.notification(with_word("forbidden"), CALLER) is None
        redacted = await exchange.notification(with_word("secret"), CALLER)
        assert redacted is not None
        assert "secret" not in redacted.text
        assert set(decisions.kinds) == {"simulate"}
        decisions.reachable = False
        assert await exchange.notification(fine, CALLER) is None


class TestToolLists:
    """Lists of tools."""

    async def test_a_list_has_the_tools_that_the_caller_may_call(
        self, decisions: WordDecisions
    ) -> None:
        message = tool_list(tool("add"), tool("forbidden"), tool("asked"), nextCursor="c")
        passing = await exchange_of(decisions).answer(message, "tools/list", McpSide.SERVER, CALLER)
        assert names_of(passing) == ["add"]
        assert passing.result["nextCursor"] == "c"
        assert json.loads(passing.text) == passing.document
        assert set(decisions.kinds) == {"simulate"}

    async def test_a_list_in_full_passes_unchanged(self, decisions: WordDecisions) -> None:
        message = tool_list(tool("add"), tool("sub"))
        assert (
            await exchange_of(decisions).answer(message, "tools/list", McpSide.SERVER, CALLER)
            is message
        )

    @pytest.mark.parametrize("scope", ["public", "private"])
    async def test_a_list_that_clients_may_cache_is_private(
        self, decisions: WordDecisions, scope: str
    ) -> None:
        message = tool_list(tool("add"), ttlMs=60_000, cacheScope=scope, resultType="complete")
        passing = await exchange_of(decisions).answer(message, "tools/list", McpSide.SERVER, CALLER)
        assert passing.result == {**message.result, "cacheScope": "private"}

    async def test_a_definition_that_is_denied_is_left_out(self, decisions: WordDecisions) -> None:
        """A description is text that the model reads."""
        message = tool_list(tool("add"), tool("sub", "Do what is forbidden."), tool("mul"))
        passing = await exchange_of(decisions).answer(message, "tools/list", McpSide.SERVER, CALLER)
        assert names_of(passing) == ["add", "mul"]

    async def test_a_definition_is_redacted(self, decisions: WordDecisions) -> None:
        message = tool_list(tool("add", "Knows a secret."))
        passing = await exchange_of(decisions).answer(message, "tools/list", McpSide.SERVER, CALLER)
        assert passing.result["tools"][0]["description"] == "Knows a [REDACTED]."

    async def test_definitions_are_redacted_beside_one_that_is_denied(
        self, decisions: WordDecisions
    ) -> None:
        message = tool_list(tool("add", "Knows a secret."), tool("sub", "forbidden"))
        passing = await exchange_of(decisions).answer(message, "tools/list", McpSide.SERVER, CALLER)
        assert names_of(passing) == ["add"]
        assert "secret" not in passing.text

    async def test_what_stands_beside_the_tools_is_judged(self, decisions: WordDecisions) -> None:
        message = tool_list(tool("add"), _meta={"note": "forbidden"})
        passing = await exchange_of(decisions).answer(message, "tools/list", McpSide.SERVER, CALLER)
        assert error_of(passing.text)["code"] == -32001

    @pytest.mark.parametrize(
        "tools",
        [
            None,
            {},
            "add",
            [1],
            [{}],
            [{"name": ""}],
            [{"name": 1}],
            [tool("add"), tool("add", "Another.")],
            [tool(f"t{index}") for index in range(MAX_TOOLS_IN_PAGE + 1)],
        ],
    )
    async def test_a_list_that_is_not_understood_is_refused(
        self, decisions: WordDecisions, tools: Any
    ) -> None:
        passing = await exchange_of(decisions).answer(
            result({"tools": tools}), "tools/list", McpSide.SERVER, CALLER
        )
        assert error_of(passing.text)["data"]["reason"] == "INVALID_TOOL_LIST"
        assert decisions.requests == []

    async def test_a_list_without_tools_is_refused(self, decisions: WordDecisions) -> None:
        passing = await exchange_of(decisions).answer(
            result({"x": 1}), "tools/list", McpSide.SERVER, CALLER
        )
        assert error_of(passing.text)["data"]["reason"] == "INVALID_TOOL_LIST"

    async def test_a_list_is_filtered_even_if_its_request_is_not_known(
        self, decisions: WordDecisions
    ) -> None:
        """So a stream that is resumed does not let a list through."""
        message = tool_list(tool("add"), tool("forbidden"))
        passing = await exchange_of(decisions).answer(message, "", McpSide.SERVER, CALLER)
        assert names_of(passing) == ["add"]


class TestPins:
    """Definitions that have changed."""

    async def test_a_change_is_reported_only_by_default(self, decisions: WordDecisions) -> None:
        exchange = exchange_of(decisions)
        await exchange.answer(tool_list(tool("add")), "tools/list", McpSide.SERVER, CALLER)
        changed = tool_list(tool("add", "Now another."))
        assert await exchange.answer(changed, "tools/list", McpSide.SERVER, CALLER) is changed
        passage = await exchange.request(call("add"), McpSide.CLIENT, CALLER)
        assert passage.forward is not None

    async def test_a_changed_tool_is_blocked_if_that_is_configured(
        self, decisions: WordDecisions
    ) -> None:
        exchange = exchange_of(decisions, action=PinAction.BLOCK)
        await exchange.answer(
            tool_list(tool("add"), tool("sub")), "tools/list", McpSide.SERVER, CALLER
        )
        changed = tool_list(tool("add", "Now another."), tool("sub"))
        passing = await exchange.answer(changed, "tools/list", McpSide.SERVER, CALLER)
        assert names_of(passing) == ["sub"]
        decisions.requests.clear()
        passage = await exchange.request(call("add"), McpSide.CLIENT, CALLER)
        assert error_of(passage.answer)["code"] == -32001
        assert error_of(passage.answer)["data"] == {"reason": "TOOL_DEFINITION_CHANGED"}
        assert decisions.requests == []
        assert (await exchange.request(call("sub"), McpSide.CLIENT, CALLER)).forward is not None

    async def test_a_tool_that_is_as_it_was_is_trusted_again(
        self, decisions: WordDecisions
    ) -> None:
        exchange = exchange_of(decisions, action=PinAction.BLOCK)
        for description in ("A tool.", "Another.", "A tool."):
            listed = tool_list(tool("add", description))
            await exchange.answer(listed, "tools/list", McpSide.SERVER, CALLER)
        assert (await exchange.request(call("add"), McpSide.CLIENT, CALLER)).forward is not None

    async def test_a_tool_that_was_not_listed_is_not_trusted(
        self, decisions: WordDecisions
    ) -> None:
        exchange = exchange_of(decisions, action=PinAction.BLOCK)
        passage = await exchange.request(call("add"), McpSide.CLIENT, CALLER)
        assert error_of(passage.answer)["data"] == {"reason": "TOOL_NOT_LISTED"}

    async def test_with_locked_pins_only_pinned_tools_are_trusted(
        self, decisions: WordDecisions, tmp_path: Path
    ) -> None:
        path = tmp_path / "pins.json"
        Pins("demo", path).compare({"add": hash_of(tool("add"))})
        exchange = exchange_of(decisions, pins=Pins("demo", path, locked=True))
        listed = tool_list(tool("add"), tool("sub"))
        passing = await exchange.answer(listed, "tools/list", McpSide.SERVER, CALLER)
        assert names_of(passing) == ["add"]
        assert (await exchange.request(call("add"), McpSide.CLIENT, CALLER)).forward is not None
        passage = await exchange.request(call("sub"), McpSide.CLIENT, CALLER)
        assert error_of(passage.answer)["data"] == {"reason": "TOOL_NOT_PINNED"}

    async def test_a_list_whose_pins_cannot_be_stored_is_refused(
        self, decisions: WordDecisions, tmp_path: Path
    ) -> None:
        exchange = exchange_of(decisions, pins=Pins("demo", tmp_path / "missing" / "pins.json"))
        passing = await exchange.answer(
            tool_list(tool("add")), "tools/list", McpSide.SERVER, CALLER
        )
        assert error_of(passing.text)["data"] == {"reason": "PIN_FAULT"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("forbidden"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
METHODS = st.sampled_from([*FROM_CLIENT, *FROM_SERVER, "notifications/progress", "other"])
DOCUMENTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHODS},
    optional={"id": st.integers(0, 3), "params": st.dictionaries(st.text(max_size=6), JSON)},
)


@given(DOCUMENTS, st.sampled_from(McpSide))
async def test_whatever_passes_was_allowed_or_has_no_content(
    document: dict[str, Any], side: McpSide
) -> None:
    decisions = WordDecisions()
    exchange, message = exchange_of(decisions), message_of(document)
    if message.is_notification:
        passing = await exchange.notification(message, CALLER)
    else:
        passage = await exchange.request(message, side, CALLER)
        assert (passage.forward is None) != (passage.answer is None)
        passing = passage.forward
    if passing is not None:
        assert "forbidden" not in passing.text
        bare = passing.params.keys() <= {"_meta", "requestId", "progressToken", "progress", "total"}
        assert decisions.requests or bare


@given(st.dictionaries(st.sampled_from(["tools", "content", "x"]), JSON), METHODS)
async def test_every_answer_passes_or_becomes_an_error(value: dict[str, Any], method: str) -> None:
    message = result(value)
    passing = await exchange_of(WordDecisions()).answer(message, method, McpSide.SERVER, CALLER)
    assert "forbidden" not in passing.text
    assert json.loads(passing.text)["id"] == 1
    assert passing.result is not None or error_of(passing.text)["code"] < 0
