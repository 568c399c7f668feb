"""A FastAPI application whose requests, responses and tools are judged by a PDP.

    pip install fastapi uvicorn
    uvicorn --app-dir clients/python/examples fastapi_app:app

`PDP_SERVER` is the address of the PDP; by default 127.0.0.1:50051.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pdp_client as pdp
from fastapi import FastAPI, Request  # type: ignore[import-not-found] # it is optional
from fastapi.responses import JSONResponse  # type: ignore[import-not-found]
from pdp_client.integrations.asgi import PolicyMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

client = pdp.AsyncClient()
guard = pdp.Guard(client, {"subject": {"agent_id": "notes-app"}})


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Closes the client at the end."""
    async with client:
        yield


def subject(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """Returns what is known of a request. A real application has checked who the user is."""
    headers = dict(scope["headers"])
    return {"subject": {"user_id": headers.get(b"x-user", b"").decode("latin-1")}}


app = FastAPI(lifespan=lifespan)
app.add_middleware(PolicyMiddleware, client=client, context=subject, skip=["/healthz"])


@app.exception_handler(pdp.NotPermitted)  # type: ignore[untyped-decorator] # see the import
async def refuse(_request: Request, error: pdp.NotPermitted) -> JSONResponse:
    """Answers when the call of a tool is stopped, or waits for a person."""
    content = {"code": error.response.reason_code, "message": error.reason}
    return JSONResponse({"error": content}, status_code=403)


@guard.tool(name="query_notes")
async def query_notes(query: str) -> list[str]:
    """Looks up notes. It gets the query as the decision lets it pass."""
    return [f"a note on {query}"]


@app.post("/notes")  # type: ignore[untyped-decorator] # see the import
async def notes(body: dict[str, Any]) -> dict[str, Any]:
    """Returns the notes on a topic."""
    return {"notes": await query_notes(str(body.get("topic", "")))}


@app.get("/healthz")  # type: ignore[untyped-decorator] # see the import
async def healthz() -> dict[str, str]:
    """Returns that the application runs."""
    return {"status": "ok"}
