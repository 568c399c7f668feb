"""What the tokens of a request let pass.

A grant says which rules it lets pass, and for which inputs. All else judges the request anew.
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from pdp.decisions.approvals.tokens import HoldToken, read_token
from pdp.decisions.input_hash import hash_of_parts, input_hash, tag_of
from pdp.domain.approval import (
    APPROVAL_CANCELLED,
    APPROVAL_UNAVAILABLE,
    APPROVED,
    CANCELLED,
    CONFIRMATION_KIND,
    DENIED,
    KIND,
    PENDING,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_MISMATCH,
    TOKEN_USED,
    USED,
    ApprovalFailed,
    TokenUse,
    denial,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.approval import Approval, EscalatedRule, TokenStates
    from pdp.domain.request import Request


class Grants(NamedTuple):
    """What the tokens of a request let pass.

    Attributes:
        inputs: what is decided on, each with the rules that it may pass.
        rules: the escalated rules that are approved, by the `input_hash` of their approval.
        uses: the tokens to use when the request passes.
    """

    inputs: tuple[Request, ...] = ()
    rules: Mapping[str, tuple[EscalatedRule, ...]] = MappingProxyType({})
    uses: tuple[TokenUse, ...] = ()


NO_GRANTS = Grants()


class ReadTokens(NamedTuple):
    """What the tokens of a request say.

    Attributes:
        tokens: the tokens, each once.
        tags: the tags of what is decided on, in order.
    """

    tokens: tuple[HoldToken, ...]
    tags: tuple[str, ...]

    def ids(self, kind: str) -> list[str]:
        """Returns the ids of the tokens of a kind."""
        return [each.id for each in self.tokens if each.kind == kind]


def read_tokens(key: bytes, request: Request, inputs: Sequence[Request]) -> ReadTokens:
    """Returns what the tokens of a request say.

    Args:
        key: the key of the installation.
        request: the request that has the tokens.
        inputs: what is decided on: the request, or the parts of its payload as requests.

    Raises:
        ApprovalFailed: a token does not fit the request, or there is no key.
    """
    if not key:
        raise ApprovalFailed(APPROVAL_UNAVAILABLE)
    tokens = dict.fromkeys(read_token(key, text, request) for text in request.tokens)
    if any(token.kind not in {KIND, CONFIRMATION_KIND} for token in tokens):
        raise ApprovalFailed(TOKEN_INVALID)
    hashes = [input_hash(key, each) for each in inputs]
    by_tag = {tag_of(each): each for each in hashes}
    for token in tokens:
        if not token.parts or not by_tag.keys() >= set(token.parts):
            raise ApprovalFailed(TOKEN_MISMATCH)
        if hash_of_parts(key, [by_tag[tag] for tag in token.parts]) != token.input_hash:
            raise ApprovalFailed(TOKEN_MISMATCH)
    return ReadTokens(tuple(tokens), tuple(map(tag_of, hashes)))


def grants_of(inputs: Sequence[Request], read: ReadTokens, states: TokenStates) -> Grants:
    """Returns what tokens let pass. An approval that is pending grants nothing yet.

    Args:
        inputs: what is decided on; see `read_tokens`.
        read: what the tokens say.
        states: what the store says of them.

    Raises:
        ApprovalFailed: a token has been used, or its approval was denied or cancelled, or expired.
    """
    passed: dict[str, dict[str, str]] = {}
    rules: dict[str, tuple[EscalatedRule, ...]] = {}
    uses: list[TokenUse] = []
    for token in read.tokens:
        keys: Sequence[str] = token.rules
        if token.kind == KIND:
            approval = _checked(token, states.approvals.get(token.id))
            if approval.state == PENDING:
                continue
            rules[token.input_hash] = approval.rules
            keys = [each.key for each in approval.rules]
        elif token.id in states.used:
            raise ApprovalFailed(TOKEN_USED)
        for tag in token.parts:
            passed.setdefault(tag, {}).update(dict.fromkeys(keys, token.id))
        actor = inputs[0].caller.name
        uses.append(TokenUse(token.kind, token.id, token.input_hash, token.expires_at, actor))
    granted = tuple(
        each._replace(passed=passed[tag]) if tag in passed else each
        for each, tag in zip(inputs, read.tags, strict=True)
    )
    return Grants(granted, rules, tuple(uses))


def _checked(token: HoldToken, approval: Approval | None) -> Approval:
    """Returns an approval that is open.

    Raises:
        ApprovalFailed: it is not open, or not the one that the token is for.
    """
    if approval is None or approval.input_hash != token.input_hash:
        raise ApprovalFailed(TOKEN_INVALID)
    state = approval.state_at(time.time())
    if state in {PENDING, APPROVED}:
        return approval
    problem = {
        DENIED: denial(approval),
        CANCELLED: APPROVAL_CANCELLED,
        USED: TOKEN_USED,
    }.get(state, TOKEN_EXPIRED)
    raise ApprovalFailed(problem)
