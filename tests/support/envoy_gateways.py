"""A real Envoy in front of a chat API, with a PDP of the test."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from demo.__main__ import token_of
from demo.gateway import CONFIGS, Gateway, load
from demo.programs import Unavailable, envoy
from demo.upstream import Upstream
from tests.support.program_environments import unavailable
from tests.support.servers import TIMEOUT_S, Server, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADAPTERS = CONFIGS / "adapters.yaml"
CHAT = "/v1/chat/completions"


def envoy_program() -> Path:
    """Returns the program Envoy. If it cannot be installed, the test is skipped; in CI it fails."""
    try:
        return envoy()
    except Unavailable as error:
        unavailable(f"Envoy cannot be installed: {error}")


@dataclass
class Chain:
    """A client's view of the gateway, with what is behind it.

    Attributes:
        pdp: the PDP.
        upstream: the chat API.
        gateway: Envoy.
        client: of the gateway, with the token of a user.
    """

    pdp: Server
    upstream: Upstream
    gateway: Gateway
    client: httpx2.Client

    def chat(self, text: str, **more: Any) -> httpx2.Response:
        """Sends a chat request."""
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}
        return self.client.post(CHAT, json=body)


@contextmanager
def chain(
    folder: Path,
    config: str,
    change: Callable[[dict[str, Any]], None] = lambda config: None,
    adapters: Path = ADAPTERS,
    **settings: str,
) -> Iterator[Chain]:
    """Starts a PDP, a chat API and Envoy.

    Args:
        folder: an empty one.
        config: the configuration of `deploy/envoy`.
        change: changes it.
        adapters: the mapping file.
        **settings: of the PDP.
    """
    program = envoy_program()
    loaded = load(config)
    change(loaded)
    (folder / "envoy").mkdir(parents=True)
    with (
        start(folder / "pdp", PDP_ADAPTERS_FILE=str(adapters), **settings) as pdp,
        Upstream() as upstream,
        Gateway(
            folder / "envoy",
            loaded,
            {"pdp": pdp.grpc_address, "upstream": upstream.address},
            lambda: program,
        ) as gateway,
        httpx2.Client(
            base_url=gateway.url,
            headers={"authorization": f"Bearer {token_of('ann')}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        ) as client,
    ):
        yield Chain(pdp, upstream, gateway, client)
