"""Runs `pdp mcp-proxy`."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import ExitStack, asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import pdp.cli.output.structlog_without_rich  # noqa: F401 # isort: skip - must be the first import
from pdp.adapters.mcp.exchange import McpExchange, ToolDenialForm
from pdp.adapters.mcp.http_proxy import McpHttpProxy
from pdp.adapters.mcp.http_server import run_http
from pdp.adapters.mcp.judge import McpCaller, MessageJudge
from pdp.adapters.mcp.pins import Pins
from pdp.adapters.mcp.stdio import run_stdio
from pdp.adapters.mcp.tools import PinAction, ToolGuard
from pdp.adapters.mcp.upstream import Upstream
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.domain.ids import new_id
from pdp.logs import logging_to_stderr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pdp.adapters.mcp.judge import DecisionSource
    from pdp.cli.options.mcp_proxy import McpCallerOptions, McpRuleOptions, McpServerOptions
    from pdp.cli.options.target import TargetOptions
    from pdp.client.remote import Credential

MAX_NAME: Final = 128

T = TypeVar("T", bound=Enum)

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


def run_proxy(
    server: McpServerOptions,
    caller: McpCallerOptions,
    rules: McpRuleOptions,
    target: TargetOptions,
    program: Sequence[str],
) -> None:
    """Runs the proxy, and exits with a code that --help lists."""
    with exit_on_failure(as_json=False), logging_to_stderr("warning"):
        if bool(program) == bool(server.upstream):
            raise UsageError("give either -- COMMAND or --upstream URL")
        name = _server_name(server, program)
        pins = Pins(
            name, Path(rules.pins).expanduser() if rules.pins else None, locked=rules.pins_locked
        )
        action = _choice(PinAction, "--pin-changes", rules.pin_changes)
        denials = _choice(ToolDenialForm, "--tool-denials", rules.tool_denials)
        works_for = _caller(caller, is_stdio=bool(program))

        async def main() -> int:
            async with _decisions(target, rules) as source:
                judge = MessageJudge(source, name, simulates=not rules.count_lists)
                exchange = McpExchange(judge, ToolGuard(judge, name, pins, action), denials)
                if program:
                    return await run_stdio(program, exchange, works_for)
                return await _run_http(server, exchange, works_for)

        code = asyncio.run(main())
    sys.exit(code)


async def _run_http(server: McpServerOptions, exchange: McpExchange, caller: McpCaller) -> int:
    upstream = Upstream(
        server.upstream, idle_s=server.idle_timeout, authorization=server.upstream_authorization
    )
    async with upstream:
        await run_http(McpHttpProxy(exchange, caller, upstream), server.listen, _announce)
    return Exit.OK


def _announce(url: str) -> None:
    print(f"pdp: the MCP proxy listens on {url}", file=sys.stderr, flush=True)


@asynccontextmanager
async def _decisions(target: TargetOptions, rules: McpRuleOptions) -> AsyncIterator[DecisionSource]:
    from pdp.client.decision_sources import RemoteDecisions, open_local  # noqa: PLC0415 - the engine

    if target.embedded:
        from pdp.cli.connect import load_models  # noqa: PLC0415 - the engine
        from pdp.cli.local_database import load_settings, local_actor  # noqa: PLC0415 - as above

        settings = load_settings(target.database_url, create=True)
        async with open_local(settings, local_actor(), load_models(settings)) as local:
            yield local
        return
    from pdp.cli.server_address import server_address  # noqa: PLC0415 - beside the client
    from pdp.client.remote import RemoteClient  # noqa: PLC0415 - loads gRPC

    key = rules.auditor_key
    if not (key.isascii() and key.isprintable()):
        raise UsageError("--auditor-key has characters that are not printable ASCII")
    with ExitStack() as stack:

        def client(credential: Credential) -> RemoteClient:
            address, tls = server_address(target.server), target.client_tls()
            opened = RemoteClient(address, timeout_s=target.timeout, tls=tls, credential=credential)
            return stack.enter_context(opened)

        auditor = client((("x-api-key", key),)) if key else None
        remote = RemoteDecisions(client(target.credential()), auditor)
        stack.callback(remote.close)
        yield remote


def _server_name(server: McpServerOptions, program: Sequence[str]) -> str:
    """Returns the name of the MCP server.

    Raises:
        UsageError: --server-name is no name.
    """
    if server.server_name:
        if not _NAME.fullmatch(server.server_name):
            raise UsageError(
                f"--server-name: use at most {MAX_NAME} letters, digits, dots, hyphens and "
                "underscores"
            )
        return server.server_name
    name = Path(program[0]).name if program else urlsplit(server.upstream).hostname or "upstream"
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:MAX_NAME]


def _choice(kind: type[T], option: str, value: str) -> T:
    try:
        return kind(value)
    except ValueError:
        names = " or ".join(str(each.value) for each in kind)
        raise UsageError(f"{option}: use {names}") from None


def _caller(options: McpCallerOptions, *, is_stdio: bool) -> McpCaller:
    session = options.session or (new_id() if is_stdio else "")
    return McpCaller(
        options.tenant,
        options.customer,
        options.user,
        tuple(options.group or ()),
        options.agent,
        session,
    )
