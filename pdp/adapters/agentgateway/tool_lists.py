"""Removes the tools from a list that no policy would let the caller use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.decision import Outcome
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.adapters.simulations import Simulator

TOOLS_LIST: Final = "tools/list"

MAX_TOOLS: Final = 1_000
"""Tools of one list."""

_DELIMITER: Final = "_"
"""What agentgateway writes between the names of a server and a tool if it has several servers."""


async def usable_tools(
    result: dict[str, Any], services: Sequence[str], simulator: Simulator
) -> dict[str, Any] | None:
    """Returns the result of `tools/list` without the tools whose calls are blocked.

    Args:
        result: the result.
        services: the MCP servers that it is of.
        simulator: simulates a call of each tool.

    Returns:
        None if all tools stay.

    Raises:
        InvalidArgument: the list is not one, or too long.
    """
    tools = result.get("tools")
    if not isinstance(tools, list):
        raise InvalidArgument.of(Violation("mcp_response.tools", "must be an array"))
    if len(tools) > MAX_TOOLS:
        raise InvalidArgument.of(
            Violation("mcp_response.tools", f"has more than {MAX_TOOLS} items")
        )
    usable: list[Any] = []
    for index, tool in enumerate(tools):
        name = tool.get("name") if isinstance(tool, dict) else None
        if not isinstance(name, str) or not name:
            path = f"mcp_response.tools[{index}].name"
            raise InvalidArgument.of(Violation(path, "must be the name of a tool"))
        server, own_name = server_of(name, services)
        decision = await simulator.decide_tool(own_name, server)
        if decision.outcome < Outcome.CANCEL and not decision.incomplete:
            usable.append(tool)
    if len(usable) == len(tools):
        return None
    filtered = {**result, "tools": usable}
    if "cacheScope" in result or "ttlMs" in result:
        filtered["cacheScope"] = "private"  # the list is this caller's
    return filtered


def server_of(name: str, services: Sequence[str]) -> tuple[str, str]:
    """Returns the server of a tool, and the tool's name there.

    Args:
        name: the name in the list. If there are several servers, it begins with that of one.
        services: the servers.
    """
    if len(services) == 1:
        return services[0], name
    for service in sorted(services, key=len, reverse=True):
        if service and name.startswith(service + _DELIMITER):
            return service, name[len(service) + len(_DELIMITER) :]
    return "", name
