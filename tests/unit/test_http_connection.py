"""One HTTP connection, below the application (pdp.transport.http.connection)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pdp.transport.http.connection import BoundedProtocol, LeavingConfig
from pdp.transport.http.server import _listen, _Uvicorn
from tests.support.servers import PATIENCE_S

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_a_client_that_leaves_is_noticed_by_the_request_that_is_answered() -> None:
    """Also where it has sent another one meanwhile; a tail would else go on for nobody."""
    begun, noticed = asyncio.Event(), asyncio.Event()

    async def tail(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        noticed.set()

    app: Any = tail
    settings: dict[str, Any] = {"loop": "none", "lifespan": "off", "log_config": None}
    server = _Uvicorn(LeavingConfig(app, http=BoundedProtocol, ws="none", **settings))
    listener = _listen("127.0.0.1:0", shared=False)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.up.wait()
    _, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(GET + GET)
    async with asyncio.timeout(PATIENCE_S):
        await begun.wait()
        writer.close()
        await noticed.wait()
    server.should_exit = True
    await serving
