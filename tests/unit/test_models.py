"""The compiled model catalog agrees with a slow implementation that checks every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.model_catalog import TIERS, ModelConfig, config_id, normalize_name
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
    """Returns the last model of a tier that the catalog offers."""
    active = [each for each in models if each.tier == tier and each.is_active]
    return active[-1] if active else None


def models_named(models: Sequence[ModelConfig], name: str, provider: str) -> list[ModelConfig]:
    """Returns all models that a name can mean, by the rules in the docstring of `ModelIndex`."""
    by_provider = {
        each.provider: [m for m in models if m.provider == each.provider] for each in models
    }
    name, provider = normalize_name(name), normalize_name(provider)
    if provider:
        return _of_provider(by_provider.get(provider, []), name) or _of_provider(
            by_provider.get(provider, []), name.removeprefix(f"{provider}/")
        )
    if name in TIERS:
        return next(filter(None, (_of_provider(own, name) for own in by_provider.values())), [])
    owner, _, rest = name.partition("/")
    same_name = [each for each in models if normalize_name(each.model_id) == name]
    return same_name + (_of_provider(by_provider.get(owner, []), rest) if rest else [])


def _of_provider(own: Sequence[ModelConfig], name: str) -> list[ModelConfig]:
    model_of_tier = current(own, name) if name in TIERS else None
    return (
        [model_of_tier]
        if model_of_tier
        else [each for each in own if normalize_name(each.model_id) == name]
    )


def state(models: Sequence[ModelConfig]) -> ModelState:
    if any(each.killed for each in models):
        return ModelState.KILLED
    return ModelState.KNOWN if any(each.is_active for each in models) else ModelState.UNKNOWN


def provider_is_killed(models: Sequence[ModelConfig], name: str, provider: str) -> bool:
    """Returns whether all models of the provider in the request are switched off."""
    provider = normalize_name(provider) or (
        normalize_name(name).partition("/")[0] if "/" in name else ""
    )
    own = [each for each in models if each.provider == provider]
    return bool(own) and all(each.killed for each in own)


def maker_is_killed(models: Sequence[ModelConfig], name: str) -> bool:
    """Returns whether the name says who makes the model, and all models of that company are off.

    Of the providers here, only these are known to make models.
    """
    maker = normalize_name(name).partition("/")[0] if "/" in name else ""
    return maker in {"anthropic", "openai"} and provider_is_killed(models, "", maker)


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
request_names = st.sampled_from(
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
request_providers = st.sampled_from(("", "openai", "OpenAI", " lab", "anthropic", "unknown"))


@given(catalogs, request_names, request_providers)
def test_the_index_agrees_with_a_check_of_every_model(
    models: list[ModelConfig], name: str, provider: str
) -> None:
    index = ModelIndex(models)
    candidates = models_named(models, name, provider)
    assert index.resolve(name, provider).state == (
        state(candidates) if candidates else ModelState.UNKNOWN
    )
    stopped = (
        any(each.killed for each in candidates)
        or provider_is_killed(models, name, provider)
        or (not candidates and maker_is_killed(models, name))
    )
    assert (index.killed(name, provider) is not None) == stopped
    assert index.any_killed == any(each.killed for each in models)


def test_the_killed_model_is_the_one_that_the_request_names() -> None:
    first, second = model(killed=True), model(model_id="o3", killed=True)
    killed = ModelIndex([first, second]).killed("O3", "OPENAI")
    assert killed is not None
    assert killed.model is second
    assert not killed.by_provider


def test_a_tier_follows_the_catalog() -> None:
    old, new = model("anthropic", "opus-4", tier="opus"), model("anthropic", "opus-5", tier="opus")
    foreign = model("lab", "big", tier="opus")
    assert ModelIndex([old, foreign]).resolve("opus").model is old
    assert ModelIndex([old, foreign, new]).resolve("opus").model is new
    retired = model("anthropic", "opus-5", tier="opus", active=False)
    assert ModelIndex([old, foreign, retired]).resolve("opus").model is old
    assert ModelIndex([foreign]).resolve("opus", "anthropic") == ResolvedModel(ModelState.UNKNOWN)


def test_a_tier_does_not_fall_back_if_its_current_model_is_switched_off() -> None:
    old = model("anthropic", "opus-4", tier="opus")
    new = model("anthropic", "opus-5", tier="opus", killed=True)
    assert ModelIndex([old, new]).resolve("opus") == ResolvedModel(ModelState.KILLED, new)


def test_a_model_that_is_no_longer_offered_is_unknown_but_returned() -> None:
    retired = model(active=False)
    assert ModelIndex([retired]).resolve("gpt-4o") == ResolvedModel(ModelState.UNKNOWN, retired)


def test_an_empty_catalog_blocks_no_model() -> None:
    index = ModelIndex()
    assert not index.any_killed
    assert index.killed("", "") is None
    assert index.resolve("") == ResolvedModel(ModelState.UNKNOWN)
