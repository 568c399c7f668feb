"""The hash of what a decision is about: who asks, and for what (docs/approvals.md).

It is an HMAC with the key of the installation, so that a text cannot be guessed from its hash. Not
part of it: the id and the time of the request, its usage, entities and tokens.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final

from pdp.decisions.recording_level import sample_rate
from pdp.domain.decision import HeldInput, HeldPart
from pdp.strictjson.canonical import canonical, with_written_floats, written_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.decision import Decision
    from pdp.domain.request import Request, Subject
    from pdp.engine.snapshot import Snapshot

TAG_LENGTH: Final = 32
"""Characters of the tag of a hash: 128 bits."""

_EXACT: Final = float(1 << 53)
_VERSION: Final = 1
_PARTS: Final = "parts"


def input_hash(key: bytes, request: Request) -> str:
    """Returns the hash of a request, in hex; empty without a key.

    The form of a number does not count: `1` and `1.0` are the same.
    """
    subject, target = request.subject, request.target
    return _hash(
        key,
        [
            _VERSION,
            request.tenant_id,
            [subject.user_id, sorted(subject.groups), subject.agent_id, _score(subject)],
            with_written_floats(subject.attributes, _number),
            request.customer_id,
            request.direction or "input",
            request.channel or "interactive",
            [request.provider, request.model],
            request.text,
            request.action,
            request.tool,
            with_written_floats(request.arguments, _number),
            [*target[:3], sorted(target.classifications), sorted(target.fields)],
            with_written_floats(request.context, _number),
        ],
    )


def hash_of_parts(key: bytes, hashes: Sequence[str]) -> str:
    """Returns the hash of several parts of a payload, each once; that of one part is its own."""
    different = list(dict.fromkeys(hashes))
    return different[0] if len(different) == 1 else _hash(key, [_VERSION, _PARTS, *different])


def with_input_hash(
    snapshot: Snapshot, request: Request, decision: Decision, parts: Sequence[Request] = ()
) -> Decision:
    """Returns a decision with its `input_hash`, if it must have one.

    It must if it holds the request, if it is recorded, or if the request wants it. Most decisions
    need none: it costs about as much as the decision.

    Args:
        snapshot: the policies of the decision.
        request: what was decided on.
        decision: the decision.
        parts: the parts of a payload as requests; empty for other requests.
    """
    if decision.plain and not (snapshot.records_plain or request.want_input_hash):
        return decision
    is_needed = decision.holds or request.want_input_hash
    if not is_needed and sample_rate(snapshot, decision) is None:
        return decision
    key = snapshot.platform.keys.approval
    if not decision.holds:
        hashes = [input_hash(key, each) for each in (parts or (request,))]
        return decision._replace(input_hash=hash_of_parts(key, hashes))
    outcomes = frozenset(each.outcome for each in decision.holds)
    held = decision.held or (HeldPart(request, outcomes),)
    hashed = [(input_hash(key, each.request), each.outcomes) for each in held]
    inputs = {
        outcome: _held_input(key, [hash_ for hash_, of_part in hashed if outcome in of_part])
        for outcome in outcomes
    }
    return decision._replace(input_hash=inputs[decision.outcome].hash, inputs=inputs)


def _held_input(key: bytes, hashes: Sequence[str]) -> HeldInput:
    return HeldInput(hash_of_parts(key, hashes), tuple(map(tag_of, dict.fromkeys(hashes))))


def tag_of(hash_: str) -> str:
    """Returns the short form of a hash, for tokens."""
    return hash_[:TAG_LENGTH]


def _hash(key: bytes, value: list[Any]) -> str:
    if not key:
        return ""
    return hmac.digest(key, canonical(value), "sha256").hex()


def _score(subject: Subject) -> Any:
    score = subject.risk_score
    return score if score is None else written_float(score)


def _number(value: float) -> Any:
    """Returns a number in the form in which equal numbers look the same."""
    whole = -_EXACT <= value <= _EXACT and value.is_integer()
    return int(value) if whole else written_float(value)
