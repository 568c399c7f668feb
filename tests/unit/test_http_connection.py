"""One HTTP connection (pdp.transport.http.connection), and the methods of uvicorn it overrides."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pdp.errors import ConfigError
from pdp.transport.http import connection, server, uvicorn_hooks
from pdp.transport.http.client_certificates import ClientCertificateProtocol
from pdp.transport.http.connection import BoundedProtocol, DrainConfig
from pdp.transport.http.server import _listen, _Uvicorn
from pdp.transport.http.uvicorn_hooks import check_hooks
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_the_active_request_notices_a_closed_connection() -> None:
    """Even if the client has sent another request meanwhile. Otherwise a tail would never end."""
    started, closed = asyncio.Event(), asyncio.Event()

    async def tail(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        started.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        closed.set()

    app: Any = tail
    settings: dict[str, Any] = {"loop": "none", "lifespan": "off", "log_config": None}
    http = _Uvicorn(DrainConfig(app, http=BoundedProtocol, ws="none", **settings))
    listener = _listen("127.0.0.1:0", shared=False)
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    await http.started_up.wait()
    _, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(GET + GET)
    async with asyncio.timeout(TIMEOUT_S):
        await started.wait()
        writer.close()
        await closed.wait()
    http.should_exit = True
    await serving


class Renamed:
    """A class of a uvicorn that has renamed one method and changed the parameters of another."""

    def send_bad_request(self, msg: str) -> None: ...

    def shutdown(self, code: int) -> None: ...


class Inherits(HttpToolsProtocol):
    """A class of a uvicorn that no longer overrides a method of asyncio."""


@pytest.mark.parametrize(
    ("base", "hooks", "reason"),
    [
        (Renamed, {"send_400_response": ("msg",)}, r"Renamed\.send_400_response is missing"),
        (Renamed, {"shutdown": ()}, r"Renamed\.shutdown takes \(code\), not \(\)"),
        (Inherits, {"connection_lost": ("exc",)}, r"Inherits\.connection_lost is missing"),
    ],
)
def test_a_missing_or_changed_hook_is_refused(
    base: type, hooks: dict[str, tuple[str, ...]], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        check_hooks(base, hooks)
    assert "pip install" in caught.value.message


def test_the_import_checks_every_overridden_method_of_the_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = {*vars(BoundedProtocol), *vars(ClientCertificateProtocol)}
    overrides = {name for name in own & set(vars(HttpToolsProtocol)) if not name.startswith("__")}
    assert "_start_asgi_task" in overrides
    assert overrides <= set(connection.HOOKS)
    overrides = {name for name in vars(_Uvicorn) if name in vars(uvicorn.Server)}
    assert {name for name in overrides if not name.startswith("__")} <= set(server.HOOKS)
    # The import itself fails if a hook is missing.
    monkeypatch.delattr(HttpToolsProtocol, "send_400_response")
    code = compile(Path(connection.__file__).read_text(), connection.__file__, "exec")
    with pytest.raises(ConfigError, match="send_400_response is missing"):
        exec(code, {"__name__": "renamed"})  # noqa: S102 - the module's own source


def test_the_supported_versions_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert f"uvicorn{uvicorn_hooks.SUPPORTED}" in project["project"]["dependencies"]
