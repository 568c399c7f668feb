"""What the demo sends, and what is expected."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from demo.upstream import SECRET

CARD: Final = "4111 1111 1111 1111"
MODEL_OFF: Final = "gpt-4o-mini"
LIMITED: Final = "bob"
"""The user with a limit of two decisions a day: on one request, and on its answer."""


class Step(NamedTuple):
    """A request, and what is expected of it.

    Attributes:
        title: what it shows.
        request: the body of the chat request.
        status: the expected status.
        user: who sends it.
        has: what the answer has.
        has_not: what neither the answer nor the request at the upstream has.
        reaches: whether the request reaches the upstream.
    """

    title: str
    request: dict[str, Any]
    status: int = 200
    user: str = "ann"
    has: str = ""
    has_not: str = ""
    reaches: bool = True


def _chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


_TOOLS: Final = [{"type": "function", "function": {"name": "run_sql"}}]

STEPS: Final = (
    Step("A clean prompt passes.", _chat("What is a proxy?"), has="You said: What is a proxy?"),
    Step(
        "A card number is redacted in the request. The upstream does not see it.",
        _chat(f"Refund the card {CARD}, please."),
        has="[REDACTED]",
        has_not=CARD,
    ),
    Step(
        "A secret that the model gives away is redacted in the answer, although it comes in "
        "several events of a stream.",
        _chat("What is the key of the server?", stream=True),
        has="[REDACTED]",
        has_not=SECRET,
    ),
    Step(
        "A tool call of the model with SQL injection is stopped.",
        _chat("Who is in the database?", tools=_TOOLS),
        status=403,
        has="SQL injection",
        has_not="UNION SELECT password",
    ),
    Step(
        "A model that is switched off cannot be used.",
        {**_chat("Hello"), "model": MODEL_OFF},
        status=503,
        reaches=False,
    ),
    Step("A user with a limit sends a request.", _chat("Hello"), user=LIMITED),
    Step("His next request exceeds the limit.", _chat("Hello"), 429, LIMITED, reaches=False),
)
