"""Confirmations in the metadata of MCP requests: `params._meta["dev.pdp/tokens"]`.

They are taken out before a request is judged, so that it is the same as the one without them, and
before it goes on, so that no server gets them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.payloads.edits import locate
from pdp.payloads.pointers import member
from pdp.transport.http.fact_headers import checked_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

META: Final = "_meta"
TOKENS_KEY: Final = "dev.pdp/tokens"
PLACE: Final = f'params.{META}["{TOKENS_KEY}"]'

_SPACES: Final = " \t\r\n"


class TakenTokens(NamedTuple):
    """The tokens of a request, and the request without them.

    Attributes:
        text: the text without them; all else stays as it was written.
        params: the parameters without them.
        tokens: the tokens.
    """

    text: str
    params: dict[str, Any]
    tokens: tuple[str, ...]


def has_tokens(params: Mapping[str, Any]) -> bool:
    """Whether the parameters of a request have tokens, valid or not."""
    meta = params.get(META)
    return isinstance(meta, dict) and TOKENS_KEY in meta


def take_tokens(text: str, params: Mapping[str, Any], pointer: str) -> TakenTokens:
    """Takes the tokens out of a request that has some.

    Args:
        text: JSON text with the parameters.
        params: the parameters.
        pointer: the place of the parameters in the text.

    Raises:
        InvalidArgument: there is no list of tokens, or too many. The error does not show them.
    """
    meta: dict[str, Any] = params[META]
    value = meta[TOKENS_KEY]
    tokens = checked_tokens(value if isinstance(value, list) else (None,), PLACE)
    rest = {key: each for key, each in meta.items() if key != TOKENS_KEY}
    without = {key: each for key, each in params.items() if key != META or rest}
    place = member(pointer, META)
    if rest:
        without[META] = rest
        place = member(place, TOKENS_KEY)
    return TakenTokens(_without_member(text, place), without, tuple(tokens))


def _without_member(text: str, pointer: str) -> str:
    """Returns JSON text without a member of an object, and without its comma."""
    spans = locate(text, ((pointer, True), (pointer, False)))
    start, end = spans[pointer, True].start, spans[pointer, False].end
    before, after = text[:start].rstrip(_SPACES), text[end:].lstrip(_SPACES)
    if after.startswith(","):
        return text[:start] + after[1:].lstrip(_SPACES)
    return before.removesuffix(",") + text[end:]
