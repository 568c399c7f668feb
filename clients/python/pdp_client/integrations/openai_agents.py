"""Guardrails for the tools of the OpenAI Agents SDK (the package openai-agents).

rails = PolicyGuardrails(pdp.AsyncClient())

@function_tool(
    tool_input_guardrails=[rails.input], tool_output_guardrails=[rails.output]
)
def search(query: str) -> str: ...
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agents.tool_guardrails import (  # type: ignore[import-not-found] # it is optional
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolInputGuardrailData,
    ToolOutputGuardrail,
    ToolOutputGuardrailData,
)

from pdp_client.enforcement import NotPermitted
from pdp_client.failures import CallFailed
from pdp_client.guard import json_of
from pdp_client.judging import judge_async
from pdp_client.requests import RequestLike, request_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp_client.async_client import AsyncClient

    Context = Callable[[ToolInputGuardrailData], RequestLike]

_NOT_CHECKED = "The call of the tool could not be checked, so it was stopped."


class PolicyGuardrails:
    """Judges the calls of tools, and their results.

    A guardrail cannot change arguments: a call whose arguments must be redacted is stopped. The
    model gets the reason, or the redacted result, in place of the result.

    Attributes:
        input: the guardrail for calls.
        output: the guardrail for results.
    """

    def __init__(self, client: AsyncClient, context: Context | None = None) -> None:
        """Stores how to ask.

        Args:
            client: asks for decisions.
            context: returns what is known of a call, for instance its subject.
        """
        self._client = client
        self._context = context
        self.input: ToolInputGuardrail[Any] = ToolInputGuardrail(self._input, name="pdp_input")
        self.output: ToolOutputGuardrail[Any] = ToolOutputGuardrail(self._output, name="pdp_output")

    async def _input(self, data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
        request = request_of(self._context(data) if self._context else {})
        request.tool = data.context.tool_name
        request.arguments_json = data.context.tool_arguments or "{}"
        try:
            judged = await judge_async(self._client, request)
        except NotPermitted as error:
            return ToolGuardrailFunctionOutput.reject_content(error.reason)
        except CallFailed:
            return ToolGuardrailFunctionOutput.reject_content(_NOT_CHECKED)
        permit = judged.permit
        if permit.arguments != json.loads(request.arguments_json):
            reason = "The arguments hold values that the tool must not get."
            return ToolGuardrailFunctionOutput.reject_content(reason)
        return ToolGuardrailFunctionOutput.allow(judged.decision.decision_id)

    async def _output(self, data: ToolOutputGuardrailData) -> ToolGuardrailFunctionOutput:
        request = request_of(self._context(data) if self._context else {})
        request.tool, request.direction = data.context.tool_name, "output"
        output = data.output
        request.content.text = output if isinstance(output, str) else json_of(output)
        try:
            judged = await judge_async(self._client, request)
        except NotPermitted as error:
            return ToolGuardrailFunctionOutput.reject_content(error.reason)
        except CallFailed:
            return ToolGuardrailFunctionOutput.reject_content(_NOT_CHECKED)
        if judged.permit.text != request.content.text:
            return ToolGuardrailFunctionOutput.reject_content(judged.permit.text)
        return ToolGuardrailFunctionOutput.allow(judged.decision.decision_id)
