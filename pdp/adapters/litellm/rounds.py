"""The rounds of a stream: LiteLLM asks again and again about the text so far.

The first round of a call is decided: limits count it, and it is recorded. Later rounds of the same
text are simulated, as long as they find nothing new. So a stream is one request to limits, and has
one record, and another one whenever the decision on it changes.

A client of LiteLLM may choose the id of its call. So a round is later only if all its texts go on
from those of the round before, and all else is the same.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from cachetools import TTLCache

from pdp.adapters.approvals import is_held
from pdp.strictjson.objects import to_text

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.adapters.litellm.messages import GuardrailQuestion

MAX_CALLS: Final = 20_000
"""Calls of which the last round is remembered."""

LIFETIME_S: Final = 900.0
"""How long a round is remembered."""

Key = tuple[str, str, str]
"""The principal, the tenant and the id of a call."""

Findings = tuple[int, frozenset[tuple[str, str, str]]]
"""What a decision found: its outcome, and the policies that matched."""


class Round(NamedTuple):
    """A decided round.

    Attributes:
        texts: the length and the hash of each text.
        rest: the hash of all else.
        findings: what the decision found.
    """

    texts: tuple[tuple[int, bytes], ...]
    rest: bytes
    findings: Findings


class Rounds:
    """The last round of each call. The event loop's thread uses it."""

    def __init__(self) -> None:
        self._rounds: TTLCache[Key, Round] = TTLCache(MAX_CALLS, LIFETIME_S)

    def previous(self, key: Key, question: GuardrailQuestion) -> Round | None:
        """Returns the round that a question goes on from; None if it must be decided."""
        known = self._rounds.get(key)
        if known is None or not question.call_id or len(known.texts) > len(question.texts):
            return None
        if known.rest != _rest(question):
            return None
        for (length, digest), text in zip(known.texts, question.texts, strict=False):
            if len(text) < length or _hash(text[:length]) != digest:
                return None
        return known

    def remember(self, key: Key, question: GuardrailQuestion, decision: pb.DecideResponse) -> None:
        """Remembers the decision on a question as the last round of its call.

        A held answer is decided each time: a simulation would not see that a person has agreed.
        """
        if question.call_id and not is_held(decision):
            texts = tuple((len(text), _hash(text)) for text in question.texts)
            self._rounds[key] = Round(texts, _rest(question), findings_of(decision))


def findings_of(decision: pb.DecideResponse) -> Findings:
    """Returns what a decision found."""
    matches = frozenset((each.layer, each.policy_id, each.action) for each in decision.matches)
    return decision.outcome, matches


def _rest(question: GuardrailQuestion) -> bytes:
    rest = question._replace(texts=())
    return _hash(to_text([*rest._replace(identity=dict(rest.identity))]))


def _hash(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
