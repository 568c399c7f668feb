"""The model catalog: which models there are, and which of them are switched off (seed 002).

It is the platform's, in force for all tenants (decide.md, Tenants).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Mapping

KIND: Final = "model_config"

TIERS: Final = ("haiku", "sonnet", "opus")
"""From the smallest models to the largest. A tier may stand for a model's name."""

REASONS: Final = ("maintenance", "cost_runaway", "security_event", "other")
"""Why a model is switched off (seed 002)."""

SHIPPED_FIELDS: Final = ("display_name", "tier", "is_active")
"""What a release says of a model, and an admin may say otherwise."""

_IDS: Final = UUID("8f2b7c1e-5d0a-5c3e-9a46-1b7e60d94f21")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model of the catalog.

    Attributes:
        id: made from provider and model id, so that a model that is taken out and added again is
            the same one, and one that ships with the product has the same id everywhere.
        provider: in lower case.
        model_id: as the provider calls it; compared without regard to case.
        tier: one of `TIERS`; empty for none.
        is_active: the catalog offers it: one that is not is no target of a route, and no tier's
            current model.
        kill_switch_disabled_at: since when it is switched off, in seconds since the epoch; None
            where it is not.
        disabled_reason: one of `REASONS`; None where it is not switched off.
        shipped: the `SHIPPED_FIELDS` as a release has set them last; None for a model that an
            admin has added.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    provider: str
    model_id: str
    display_name: str
    tier: str = ""
    is_active: bool = True
    kill_switch_disabled_at: float | None = None
    disabled_reason: str | None = None
    shipped: Mapping[str, Any] | None = None
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def killed(self) -> bool:
        """Whether it is switched off."""
        return self.kill_switch_disabled_at is not None

    @property
    def name(self) -> str:
        """What tells it from all others, for people: `openai/gpt-4o`."""
        return f"{self.provider}/{self.model_id}"

    def disabled(self, at: float, reason: str) -> ModelConfig:
        """Returns it switched off; one that is so already stays so since when it was."""
        since = at if self.kill_switch_disabled_at is None else self.kill_switch_disabled_at
        return replace(self, kill_switch_disabled_at=since, disabled_reason=reason)

    def enabled(self) -> ModelConfig:
        """Returns it switched on."""
        return replace(self, kill_switch_disabled_at=None, disabled_reason=None)


def folded(name: str) -> str:
    """Returns a provider or model id as it is compared: no switch is got round by case."""
    return name.strip().casefold()


def config_id(provider: str, model_id: str) -> str:
    """Returns the id of a model: a UUID, the same for all spellings of the two."""
    return str(uuid5(_IDS, f"{folded(provider)}/{folded(model_id)}"))


def body_of(model: ModelConfig) -> dict[str, Any]:
    """Returns the fields of `model` as the store keeps them."""
    return {name: getattr(model, name) for name in ModelConfig.__slots__}
