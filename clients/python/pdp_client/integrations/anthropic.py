"""A hook for the Anthropic SDK: judges what goes to the model, and what comes back.

anthropic = guard_anthropic(Anthropic(), pdp.Client())
anthropic.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=[...])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from pdp_client.integrations._provider_sdk import Provider, guard_sdk

if TYPE_CHECKING:
    from pdp_client.async_client import AsyncClient
    from pdp_client.client import Client
    from pdp_client.integrations._provider_sdk import Context

T = TypeVar("T")

_ANTHROPIC: Final = Provider(
    "anthropic",
    {"messages.create": "anthropic.messages"},
    refused=("beta", "completions", "messages", "with_"),
)


def guard_anthropic(
    anthropic: T, client: Client | AsyncClient, context: Context | None = None
) -> T:
    """Returns an `Anthropic` or `AsyncAnthropic` whose calls are judged.

    `messages.create` is judged, streamed or not. It raises `Denied` or `Held` if the request or the
    answer is stopped. Methods that would go around the judgement raise `NotImplementedError`.

    Args:
        anthropic: the client object of the SDK.
        client: asks for decisions; an `AsyncClient` for an `AsyncAnthropic`.
        context: what is known of every call, for instance the subject; or a function that returns
            it.

    Raises:
        TypeError: one of the two clients is for asyncio, and the other is not.
    """
    return cast("T", guard_sdk(anthropic, _ANTHROPIC, client, context))
