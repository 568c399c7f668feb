"""A client made with the official SDK of MCP. It prints what it gets as one JSON object.

Usage: client.py MODE URL, or client.py MODE COMMAND ARGUMENT...
"""

# mypy: ignore-errors
# The SDK is installed in the environment that runs this program, and not beside pdp.

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import ElicitResult

progress: list[str | None] = []


async def note(_done: float, _total: float | None, message: str | None) -> None:
    """Keeps a note of progress."""
    progress.append(message)


async def answer(_context: Any, params: Any) -> ElicitResult:
    """Answers a question of the server, in place of a user."""
    assert params.message == "In which city?"
    return ElicitResult(action="accept", content={"name": "Paris"})


async def attempt(call: Any) -> Any:
    """Returns a result, or the error in its place."""
    try:
        return (await call).model_dump(mode="json", by_alias=True, exclude_none=True)
    except MCPError as error:
        return {"error": error.error.model_dump(mode="json", exclude_none=True)}


async def main(mode: str, target: list[str]) -> dict[str, Any]:
    """Calls everything that the server has."""
    server: Any = target[0]
    if not server.startswith("http"):
        server = stdio_client(StdioServerParameters(command=target[0], args=target[1:]))
    async with Client(server, mode=mode, elicitation_callback=answer) as client:
        listed = await client.list_tools()
        return {
            "version": client.protocol_version,
            "tools": sorted(each.name for each in listed.tools),
            "add": await attempt(client.call_tool("add", {"a": 1, "b": 2})),
            "sql": await attempt(client.call_tool("run_sql", {"query": "SELECT 1"})),
            "header": await attempt(
                client.call_tool("run_sql", {"query": "SELECT 1", "region": "größe"})
            ),
            "injection": await attempt(
                client.call_tool("run_sql", {"query": "SELECT 1; DROP TABLE users; --"})
            ),
            "redacted_header": await attempt(
                client.call_tool("run_sql", {"query": "SELECT 1", "region": "4111 1111 1111 1111"})
            ),
            "denied": await attempt(client.call_tool("switched_off", {})),
            "contact": await attempt(client.call_tool("contact", {}, progress_callback=note)),
            "weather": await attempt(client.call_tool("weather", {})),
            "memo": await attempt(client.read_resource("memo://card")),
            "greet": await attempt(client.get_prompt("greet", {"name": "Ada"})),
            "prompts": len((await client.list_prompts()).prompts),
            "resources": len((await client.list_resources()).resources),
            "progress": progress,
        }


print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2:]))))
