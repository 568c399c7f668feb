"""`pdp mcp-proxy`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from pdp.cli.options.mcp_proxy import (  # noqa: TC001 - read by typer
    McpCallerOptions,
    McpRuleOptions,
    McpServerOptions,
)
from pdp.cli.options.spread import spread
from pdp.cli.options.target import TargetOptions  # noqa: TC001 - read by typer

EPILOG: Final = """
\b
Exit codes:
  0      the client has closed the connection and the MCP server has ended; with --upstream, a
         signal has ended the proxy
  2      the options do not fit together
  4      the server or its database is not available
  78     the settings, a file, an address or the command prevent the start
  128+N  signal N has ended the proxy or the MCP server
  other  the exit code of the MCP server

\b
Examples:
  pdp mcp-proxy --server-name files -- npx -y @modelcontextprotocol/server-filesystem ~/notes
  pdp mcp-proxy --embedded --database-url sqlite:///var/pdp.db --user ada -- ./my-server
  pdp mcp-proxy --upstream https://mcp.example.com/mcp --pins pins.json --pin-changes block
"""


@spread
def command(
    mcp_server: McpServerOptions,
    caller: McpCallerOptions,
    rules: McpRuleOptions,
    target: TargetOptions,
    program: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- COMMAND...",
            help="Serve stdio, in front of the MCP server that COMMAND starts.",
        ),
    ] = None,
) -> None:
    """Ask for decisions between an MCP client and an MCP server.

    Every call of a tool, prompt or resource is decided on before the MCP server gets it, and every
    result before the client gets it. A server decides; with --embedded, this process decides and
    reads the database itself.
    """
    from pdp.cli.run.mcp_proxy import run_proxy  # noqa: PLC0415 - loads protobuf

    run_proxy(mcp_server, caller, rules, target, program or [])
