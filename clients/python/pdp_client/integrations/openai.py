"""A hook for the OpenAI SDK: judges what goes to the model, and what comes back.

openai = guard_openai(OpenAI(), pdp.Client())
openai.chat.completions.create(model="gpt-4o", messages=[...])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from pdp_client.integrations._provider_sdk import Provider, guard_sdk

if TYPE_CHECKING:
    from pdp_client.async_client import AsyncClient
    from pdp_client.client import Client
    from pdp_client.integrations._provider_sdk import Context

T = TypeVar("T")

_OPENAI: Final = Provider(
    "openai",
    {
        "chat.completions.create": "openai.chat_completions",
        "responses.create": "openai.responses",
    },
    refused=("beta", "chat", "completions", "realtime", "responses", "with_"),
)


def guard_openai(openai: T, client: Client | AsyncClient, context: Context | None = None) -> T:
    """Returns an `OpenAI` or `AsyncOpenAI` whose calls are judged.

    `chat.completions.create` and `responses.create` are judged, streamed or not. They raise
    `Denied` or `Held` if the request or the answer is stopped. Methods that would go around the
    judgement raise `NotImplementedError`. Calls that do not create text, for instance of
    embeddings, are not judged.

    Args:
        openai: the client object of the SDK.
        client: asks for decisions; an `AsyncClient` for an `AsyncOpenAI`.
        context: what is known of every call, for instance the subject; or a function that returns
            it.

    Raises:
        TypeError: one of the two clients is for asyncio, and the other is not.
    """
    return cast("T", guard_sdk(openai, _OPENAI, client, context))
