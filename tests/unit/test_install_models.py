"""The model catalog is brought to each release; changes of admins are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp import catalog
from pdp.admin.install.catalog import install_catalog
from pdp.admin.kill_switch import KillSwitches
from pdp.admin.model_catalog import ModelCatalog, read_models
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher
from pdp.domain.model_catalog import REASONS, TIERS, ModelConfig, config_id, normalize_name
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.errors import ModelNotFound
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def model(name: str, display_name: str = "", tier: str = "", provider: str = "lab") -> ModelConfig:
    return ModelConfig(config_id(provider, name), provider, name, display_name or name, tier)


class Product:
    """A store, its use cases, and releases with models."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.store = open_store(f"sqlite:///{path}")
        self._patch = patch
        self._workspace: Workspace | None = None

    def release(self, *models: ModelConfig) -> bool:
        """Installs a release with these models; returns whether it wrote anything."""
        self._patch.setattr(catalog, "models", lambda: models)
        digest = catalog.digest
        self._patch.setattr(
            catalog, "digest", lambda part: repr(models) if part == "models" else digest(part)
        )
        written = install_catalog(self.store)
        self._patch.undo()
        return written

    @property
    def workspace(self) -> Workspace:
        if self._workspace is None:
            publisher = create_publisher(self.store, DEFAULT_RISK_TABLE)
            self._workspace = Workspace(self.store, publisher)
        return self._workspace

    @property
    def admin(self) -> ModelCatalog:
        return ModelCatalog(self.workspace)

    @property
    def switches(self) -> KillSwitches:
        return KillSwitches(self.workspace)

    def models(self) -> dict[str, ModelConfig]:
        with self.store.view() as reader:
            return {each.model_id: each for each in read_models(reader)}

    def close(self) -> None:
        if self._workspace is not None:
            self._workspace.close()
        self.store.close()


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    with pytest.MonkeyPatch.context() as patch:
        product = Product(tmp_path / "pdp.db", patch)
        yield product
        product.close()


def lab(name: str) -> str:
    return config_id("lab", name)


class TestUpgrade:
    def test_a_release_adds_changes_and_retires_models(self, product: Product) -> None:
        assert product.release(model("a"), model("b"))
        first = product.models()["a"]
        assert first.shipped == {"display_name": "a", "tier": "", "is_active": True}
        assert first.created_at == first.updated_at > 0
        assert product.release(model("c"), model("a", "A", "opus"))
        after = product.models()
        assert list(after) == ["a", "c"]
        assert (after["a"].display_name, after["a"].tier) == ("A", "opus")
        assert after["a"].created_at == first.created_at

    def test_an_unchanged_release_writes_nothing(self, product: Product) -> None:
        assert product.release(model("a"))
        assert not product.release(model("a"))

    def test_reordering_alone_changes_no_model(self, product: Product) -> None:
        product.release(model("a"), model("b"))
        before = product.models()
        product.release(model("b"), model("a"))
        assert product.models() == before


class TestChangesOfAdmins:
    async def test_a_changed_field_is_kept_and_other_fields_follow_the_release(
        self, product: Product
    ) -> None:
        product.release(model("a", "A", "haiku"))
        await product.admin.update("ann", lab("a"), {"display_name": "Ours"})
        for name, tier in (("B", "sonnet"), ("C", "opus")):
            product.release(model("a", name, tier))
            after = product.models()["a"]
            assert (after.display_name, after.tier) == ("Ours", tier)

    async def test_a_field_with_the_shipped_value_follows_the_release_again(
        self, product: Product
    ) -> None:
        product.release(model("a", "A"))
        await product.admin.update("ann", lab("a"), {"display_name": "B"})
        product.release(model("a", "B"))
        product.release(model("a", "C"))
        assert product.models()["a"].display_name == "C"

    async def test_a_kill_switch_is_kept(self, product: Product) -> None:
        product.release(model("a"), model("b"))
        await product.switches.disable_model("ann", lab("a"), "security_event")
        before = product.models()["a"]
        product.release(model("a", "A", "opus"), model("b"))
        after = product.models()["a"]
        assert after.kill_switch_disabled_at == before.kill_switch_disabled_at
        assert (after.disabled_reason, after.tier) == ("security_event", "opus")

    async def test_a_removed_model_is_not_installed_again(self, product: Product) -> None:
        product.release(model("a"), model("b"))
        await product.admin.delete("ann", lab("a"))
        product.release(model("a", "A"), model("b"))
        assert list(product.models()) == ["b"]

    async def test_a_custom_model_is_kept(self, product: Product) -> None:
        product.release(model("a"))
        await product.admin.create("ann", replace(model("own", "Own"), id=""))
        product.release(model("b"))
        assert set(product.models()) == {"own", "b"}

    async def test_a_custom_model_that_a_release_ships_keeps_its_values(
        self, product: Product
    ) -> None:
        product.release(model("a"))
        await product.admin.create("ann", replace(model("own", "Own"), id=""))
        product.release(model("a"), model("OWN", "Shipped", "opus"))
        after = product.models()
        assert set(after) == {"a", "own"}
        assert (after["own"].display_name, after["own"].tier) == ("Own", "")

    async def test_a_changed_model_that_no_longer_ships_becomes_custom(
        self, product: Product
    ) -> None:
        product.release(model("a"), model("b"))
        await product.admin.update("ann", lab("a"), {"tier": "opus"})
        product.release(model("b"))
        assert product.models()["a"].shipped is None

    async def test_a_disabled_model_is_not_deleted(self, product: Product) -> None:
        """An unknown model would be allowed."""
        product.release(model("a"), model("b"))
        await product.switches.disable_model("ann", lab("a"), "other")
        product.release(model("b"))
        after = product.models()["a"]
        assert after.killed
        assert after.shipped is None

    async def test_a_new_model_of_a_disabled_provider_is_disabled(self, product: Product) -> None:
        product.release(model("a"))
        await product.switches.disable_provider("ann", "lab", "cost_runaway")
        product.release(model("a"), model("b"), model("c", provider="other"))
        after = product.models()
        assert after["b"].disabled_reason == "cost_runaway"
        assert not after["c"].killed


def test_a_model_that_a_release_removed_can_be_installed_again(product: Product) -> None:
    product.release(model("a"), model("b"))
    product.release(model("b"))
    product.release(model("b"), model("a"))
    assert list(product.models()) == ["b", "a"]


async def test_a_model_of_no_release_is_not_found(product: Product) -> None:
    product.release(model("a"))
    with pytest.raises(ModelNotFound):
        await product.admin.get(lab("b"))


class TestShipped:
    """The models of this release."""

    MODELS = catalog.models()

    def test_the_required_providers_are_present(self) -> None:
        providers = {each.provider for each in self.MODELS}
        assert providers >= {"openai", "anthropic", "google", "mistral", "meta", "cohere"}

    @pytest.mark.parametrize(
        "name", ["openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-opus-4"]
    )
    def test_the_models_of_the_api_examples_are_present(self, name: str) -> None:
        assert name in {each.name for each in self.MODELS}

    def test_anthropic_is_first_and_has_every_tier(self) -> None:
        tiers = {each.tier for each in self.MODELS if each.provider == "anthropic"}
        assert tiers == set(TIERS)
        assert self.MODELS[0].provider == "anthropic"

    def test_models_obey_the_rules_of_the_use_cases(self) -> None:
        for each in self.MODELS:
            assert each.provider == normalize_name(each.provider)
            assert normalize_name(each.model_id) not in TIERS
            assert each.tier in {"", *TIERS}
            assert each.display_name.strip()
        ids = [each.id for each in self.MODELS]
        assert len(set(ids)) == len(ids)

    def test_reasons_are_those_of_the_api(self) -> None:
        assert {*REASONS} == {"maintenance", "cost_runaway", "security_event", "other"}
