"""The options of `pdp mcp-proxy`, beside those that name the server or the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True)
class McpServerOptions:
    """The MCP server behind the proxy."""

    upstream: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Serve streamable HTTP, in front of the MCP server at URL."
        ),
    ] = ""
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="With --upstream, the address of this machine to listen on."
        ),
    ] = "127.0.0.1:8090"
    upstream_authorization: Annotated[
        str,
        typer.Option(
            envvar="PDP_MCP_UPSTREAM_AUTHORIZATION",
            metavar="CREDENTIAL",
            help="With --upstream, the header Authorization for the MCP server, in place of that "
            "of the clients. Prefer the variable: other users can see a command's options.",
        ),
    ] = ""
    idle_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=1,
            max=86_400,
            help="With --upstream, how long the MCP server may send nothing.",
        ),
    ] = 600.0
    server_name: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The name of the MCP server, for the actions of its tools: mcp:NAME:TOOL.  "
            "[default: the name of the command, or the host in --upstream]",
            show_default=False,
        ),
    ] = ""


@dataclass(frozen=True)
class McpCallerOptions:
    """For whom the proxy works."""

    tenant: Annotated[
        str,
        typer.Option(metavar="TENANT", help="The tenant whose policies apply.  [default: default]"),
    ] = ""
    customer: Annotated[
        str,
        typer.Option(metavar="ID", help="The customer whose policies apply in addition."),
    ] = ""
    user: Annotated[
        str, typer.Option(metavar="ID", help="The user for whom the MCP client works.")
    ] = ""
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A group of the user; may be repeated."),
    ] = None
    agent: Annotated[str, typer.Option(metavar="ID", help="The agent: the MCP client.")] = ""
    session: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="The conversation or agent run.  [default: a new ID; with --upstream, the "
            "session of the protocol, if there is one]",
            show_default=False,
        ),
    ] = ""


@dataclass(frozen=True)
class McpRuleOptions:
    """What the proxy does beside asking for decisions."""

    pins: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Keep the hashes of tool definitions in FILE. A tool is pinned when it is first "
            "listed. Without FILE, pins last as long as the proxy.",
        ),
    ] = ""
    pins_locked: Annotated[
        bool,
        typer.Option(
            "--pins-locked", help="Add no pins to the file. A tool without a pin is denied."
        ),
    ] = False
    pin_changes: Annotated[
        str,
        typer.Option(
            metavar="report|block",
            help="What happens if the definition of a tool has changed: it is logged, or the tool "
            "is also denied.",
        ),
    ] = "report"
    tool_denials: Annotated[
        str,
        typer.Option(
            metavar="error|result",
            help="How a denied tools/call is answered: by a JSON-RPC error, or by a result with "
            "isError, which clients show to the model.",
        ),
    ] = "error"
    count_lists: Annotated[
        bool,
        typer.Option(
            "--count-lists",
            help="Decide on lists as on calls, so that they count and are recorded. By default, "
            "they are simulated.",
        ),
    ] = False
    auditor_key: Annotated[
        str,
        typer.Option(
            envvar="PDP_MCP_AUDITOR_KEY",
            metavar="KEY",
            help="The API key with the role auditor that lists are simulated with, if the "
            "credential for decisions has only the role pep.",
        ),
    ] = ""
