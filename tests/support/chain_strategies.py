"""Hypothesis strategies for policy chains and requests. Few words, so that rules often match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypothesis import strategies as st

from pdp.domain import policy_chain, policy_pack
from pdp.domain.model_catalog import ModelConfig, config_id
from pdp.domain.policy_chain import ChainEntry, PolicyChain
from pdp.domain.policy_pack import PolicyPack, PolicyRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Entity, Request, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

GROUPS: Final = ("staff", "Staff", "contractors", "interns")
TYPES: Final = ("SSN", "PERSON", "EMAIL")
WORDS: Final = ("alpha", "beta", "gamma")
PROVIDERS: Final = ("openai", "meta")
MODELS: Final = ("gpt-4o", "GPT-4o", "llama", "unknown", "opus")
GLOBS: Final = ("gpt-*", "*/gpt*", "*o", "meta/*")
SCORES: Final = (0.0, 0.25, 0.5, 1.0)

CATALOG: Final = tuple(
    ModelConfig(config_id(provider, name), provider, name, name, tier, kill_switch_disabled_at=at)
    for provider, name, tier, at in (
        ("openai", "gpt-4o", "opus", None),
        ("meta", "llama", "haiku", 1.0),
    )
)


def _some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True)


_CONDITIONS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "user_groups": _some(GROUPS),
    "not_user_groups": _some(GROUPS),
    "entity_types": _some(TYPES),
    "entity_confidence_min": st.sampled_from((*SCORES, None)),
    "content_regex": st.sampled_from((*WORDS, "")),
    "providers": _some(PROVIDERS),
    "not_providers": _some(PROVIDERS),
    "models": _some((*MODELS, *GLOBS)),
    "not_models": _some((*MODELS, *GLOBS)),
    "user_risk_score_min": st.sampled_from(SCORES),
    "intent_complexity": st.sampled_from(("simple", "complex", "")),
    "channel": _some(("interactive", "api")),
}

# At most three at a time: a rule with all conditions would never match.
conditions: Final[st.SearchStrategy[Mapping[str, Any]]] = st.lists(
    st.sampled_from(sorted(_CONDITIONS)), max_size=3, unique=True
).flatmap(lambda names: st.fixed_dictionaries({name: _CONDITIONS[name] for name in names}))

actions: Final[st.SearchStrategy[Mapping[str, Any]]] = st.sampled_from(
    (
        {"type": "ALLOW"},
        {"type": "BLOCK"},
        {"type": "CANCEL"},
        {"type": "REDACT"},
        {"type": "REDACT", "redact_replacement": "-"},
        {"type": "PROMPT", "prompt_message": "why?"},
        {"type": "ALLOW_WITH_OVERRIDE", "override_message": "note"},
        {"type": "ROUTE_TO", "route_to_model": "gpt-4o"},
        {"type": "ROUTE_TO", "route_to_model": "llama"},
        {"type": "ROUTE_TO", "route_to_tier": "opus"},
        {"type": "ROUTE_TO", "route_to_tier": "sonnet"},
    )
)


@st.composite
def policies(draw: st.DrawFn) -> PolicySet:
    """Returns packs of rules, and often an org chain and a chain of the user `u1`."""
    packs: dict[str, PolicyPack] = {}
    rules: dict[str, PolicyRule] = {}
    for number in range(draw(st.integers(1, 4))):
        pack_id = f"p{number}"
        packs[pack_id] = PolicyPack(pack_id, pack_id, is_active=draw(st.integers(0, 9)) > 0)
        for place in range(draw(st.integers(0, 6))):
            rule_id = f"{pack_id}r{place}"
            rules[rule_id] = PolicyRule(
                rule_id,
                pack_id,
                100 - place,  # evaluated in the reverse order of creation
                rule_id,
                draw(actions),
                draw(conditions),
                applies_to=draw(st.sampled_from(("input", "output", "both", "both"))),
                is_active=draw(st.integers(0, 9)) > 0,
            )
    chains = {
        policy_chain.entity_id(user): _chain(draw, user, [*packs])
        for user in ("", "u1")
        if draw(st.integers(0, 4)) > 0
    }
    return PolicySet(
        {
            policy_pack.KIND: packs,
            policy_pack.RULE_KIND: rules,
            policy_chain.KIND: chains,
        }
    )


def _chain(draw: st.DrawFn, user: str, packs: list[str]) -> PolicyChain:
    order = draw(st.lists(st.sampled_from(packs), unique=True))
    return PolicyChain(
        f"chain {user}",
        policy_chain.USER if user else policy_chain.ORG,
        user,
        draw(st.sampled_from((policy_chain.FIRST_APPLICABLE, policy_chain.DENY_OVERRIDES))),
        tuple(ChainEntry(pack_id, pack_id, place) for place, pack_id in enumerate(order)),
    )


entities: Final = st.builds(
    Entity,
    st.sampled_from(TYPES),
    st.sampled_from(SCORES),
    st.integers(0, 12),
    st.integers(0, 20),
)

texts: Final = st.lists(st.sampled_from((*WORDS, "é🎉", "-")), max_size=4).map(" ".join)


def _of(cls: type[T], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Like `st.builds`, but fields with defaults keep their defaults."""
    return st.fixed_dictionaries(fields).map(lambda values: cls(**values))


subjects: Final = _of(
    Subject,
    user_id=st.sampled_from(("", "u1", "u2")),
    groups=_some(GROUPS).map(tuple),
    risk_score=st.none() | st.sampled_from(SCORES),
)

requests: Final = _of(
    Request,
    text=texts,
    arguments=st.none() | st.dictionaries(st.sampled_from(("a", "b/~")), texts, max_size=2),
    direction=st.sampled_from(("input", "output")),
    channel=st.sampled_from(("interactive", "api")),
    intent_complexity=st.sampled_from(("", "simple", "complex")),
    provider=st.sampled_from(("", *PROVIDERS)),
    model=st.sampled_from(("", *MODELS)),
    subject=subjects,
    entities=st.lists(entities, max_size=2).map(tuple),
    explain=st.booleans(),
)
