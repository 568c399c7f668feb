"""The model catalog, compiled: held against a reading of the rules that looks at every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.model_catalog import TIERS, ModelConfig, config_id, folded
from pdp.engine.rules.models import ModelIndex, ModelState, ResolvedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

PROVIDERS = ("anthropic", "openai", "lab")
NAMES = ("turbo", "Turbo-2", "lab/turbo", "x")


def model(
    provider: str = "openai",
    model_id: str = "gpt-4o",
    *,
    tier: str = "",
    active: bool = True,
    killed: bool = False,
) -> ModelConfig:
    return ModelConfig(
        id=config_id(provider, model_id),
        provider=provider,
        model_id=model_id,
        display_name=model_id,
        tier=tier,
        is_active=active,
        kill_switch_disabled_at=1.0 if killed else None,
        disabled_reason="other" if killed else None,
    )


def current(models: Sequence[ModelConfig], tier: str) -> ModelConfig | None:
    """The last model of a tier that is offered."""
    found = [each for each in models if each.tier == tier and each.is_active]
    return found[-1] if found else None


def meant(models: Sequence[ModelConfig], name: str, provider: str) -> list[ModelConfig]:
    """All models that a name may stand for, by the rules as `ModelIndex` tells them."""
    within = {each.provider: [m for m in models if m.provider == each.provider] for each in models}
    name, provider = folded(name), folded(provider)
    if provider:
        return _of_provider(within.get(provider, []), name) or _of_provider(
            within.get(provider, []), name.removeprefix(f"{provider}/")
        )
    if name in TIERS:
        return next(filter(None, (_of_provider(own, name) for own in within.values())), [])
    owner, _, rest = name.partition("/")
    named = [each for each in models if folded(each.model_id) == name]
    return named + (_of_provider(within.get(owner, []), rest) if rest else [])


def _of_provider(own: Sequence[ModelConfig], name: str) -> list[ModelConfig]:
    found = current(own, name) if name in TIERS else None
    return [found] if found else [each for each in own if folded(each.model_id) == name]


def state(models: Sequence[ModelConfig]) -> ModelState:
    if any(each.killed for each in models):
        return ModelState.KILLED
    return ModelState.KNOWN if any(each.is_active for each in models) else ModelState.UNKNOWN


def closed(models: Sequence[ModelConfig], name: str, provider: str) -> bool:
    """Whether all models of the provider that is named are off."""
    named = folded(provider) or (folded(name).partition("/")[0] if "/" in name else "")
    own = [each for each in models if each.provider == named]
    return bool(own) and all(each.killed for each in own)


catalogs = st.lists(
    st.builds(
        model,
        st.sampled_from(PROVIDERS),
        st.sampled_from(NAMES),
        tier=st.sampled_from(("", *TIERS)),
        active=st.booleans(),
        killed=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda each: each.id,
)
asked_names = st.sampled_from(
    (
        "",
        "turbo",
        "TURBO",
        "turbo-2",
        "lab/turbo",
        "openai/x",
        "LAB/new",
        "new",
        "Opus",
        "haiku",
        "openai/opus",
    )
)
asked_providers = st.sampled_from(("", "openai", "OpenAI", " lab", "anthropic", "nobody"))


@given(catalogs, asked_names, asked_providers)
def test_it_is_as_a_look_at_every_model(
    models: list[ModelConfig], name: str, provider: str
) -> None:
    index = ModelIndex(models)
    found = meant(models, name, provider)
    assert index.resolve(name, provider).state == (state(found) if found else ModelState.UNKNOWN)
    stopped = any(each.killed for each in found) or closed(models, name, provider)
    assert (index.killed(name, provider) is not None) == stopped
    assert index.any_killed == any(each.killed for each in models)


def test_what_is_stopped_is_told_by_its_own_name() -> None:
    first, second = model(killed=True), model(model_id="o3", killed=True)
    assert ModelIndex([first, second]).killed("O3", "OPENAI") is second


def test_a_tier_moves_on_with_the_catalog() -> None:
    old, new = model("anthropic", "opus-4", tier="opus"), model("anthropic", "opus-5", tier="opus")
    foreign = model("lab", "big", tier="opus")
    assert ModelIndex([old, foreign]).resolve("opus").model is old
    assert ModelIndex([old, foreign, new]).resolve("opus").model is new
    retired = model("anthropic", "opus-5", tier="opus", active=False)
    assert ModelIndex([old, foreign, retired]).resolve("opus").model is old
    assert ModelIndex([foreign]).resolve("opus", "anthropic") == ResolvedModel(ModelState.UNKNOWN)


def test_a_tier_does_not_fall_back_from_a_model_that_is_off() -> None:
    old = model("anthropic", "opus-4", tier="opus")
    new = model("anthropic", "opus-5", tier="opus", killed=True)
    assert ModelIndex([old, new]).resolve("opus") == ResolvedModel(ModelState.KILLED, new)


def test_a_model_that_is_offered_no_more_is_unknown_but_told() -> None:
    retired = model(active=False)
    assert ModelIndex([retired]).resolve("gpt-4o") == ResolvedModel(ModelState.UNKNOWN, retired)


def test_an_empty_catalog_stops_nothing() -> None:
    index = ModelIndex()
    assert not index.any_killed
    assert index.killed("", "") is None
    assert index.resolve("") == ResolvedModel(ModelState.UNKNOWN)
