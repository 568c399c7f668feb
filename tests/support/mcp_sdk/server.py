"""A server made with the official SDK of MCP: over stdio, or over HTTP on a port.

Usage: server.py [PORT]
"""

# mypy: ignore-errors
# The SDK is installed in the environment that runs this program, and not beside pdp.

from __future__ import annotations

import sys
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, Resolve
from pydantic import BaseModel, Field

CARD = "4111 1111 1111 1111"

server = MCPServer("demo", instructions="Adds numbers.")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def run_sql(
    query: str,
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "eu",
) -> str:
    """Runs a query."""
    return f"{region}: {query}"


@server.tool()
def switched_off() -> str:
    """Does what a policy denies."""
    return "it ran"


@server.tool()
async def contact(context: Context) -> str:
    """Returns a contact, and reports progress."""
    await context.report_progress(1, 2, f"found {CARD}")
    return f"Ada, card {CARD}"


class City(BaseModel):
    """What the user is asked for."""

    name: str


async def ask_for_city() -> Elicit[City]:
    """Asks the user for a city."""
    return Elicit("In which city?", City)


@server.tool()
async def weather(city: Annotated[City, Resolve(ask_for_city)]) -> str:
    """Tells the weather of a city that the user names."""
    return f"Sun in {city.name}"


@server.resource("memo://card")
def memo() -> str:
    """A memo."""
    return f"The card is {CARD}"


@server.prompt()
def greet(name: str) -> str:
    """A greeting."""
    return f"Greet {name}, card {CARD}"


if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run()
