"""The model catalog: the known models, and which of them a kill switch disables.

The catalog belongs to the platform and is in force for all tenants (docs/decide.md, Tenants).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND: Final = "model_config"

TIERS: Final = ("haiku", "sonnet", "opus")
"""From the smallest models to the largest. A tier can be used in place of a model's name."""

REASONS: Final = ("maintenance", "cost_runaway", "security_event", "other")
"""Reasons for disabling a model."""

SHIPPED_FIELDS: Final = ("display_name", "tier", "is_active")
"""Fields that a release sets and an admin may change."""

_IDS: Final = UUID("8f2b7c1e-5d0a-5c3e-9a46-1b7e60d94f21")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model of the catalog.

    Attributes:
        id: derived from provider and model id. So a model that is deleted and added again keeps
            its id, and a model that ships with the product has the same id everywhere.
        provider: in lower case.
        model_id: the provider's name of the model; compared without regard to case.
        tier: one of `TIERS`; empty for none.
        is_active: whether the catalog offers the model. A model that is not active cannot be the
            target of a route or the current model of a tier.
        kill_switch_disabled_at: when the kill switch disabled the model, in seconds since the
            epoch; None if it is enabled.
        disabled_reason: one of `REASONS`; None if the model is enabled.
        shipped: the `SHIPPED_FIELDS` as the last release set them; None for a model that an admin
            added.
        created_at, updated_at: seconds since the epoch.
        aliases: other names of the model at its provider, such as those of deployments.
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
    aliases: Sequence[str] = ()

    @property
    def killed(self) -> bool:
        """Whether the kill switch disables the model."""
        return self.kill_switch_disabled_at is not None

    @property
    def name(self) -> str:
        """The model's unique name for people: `openai/gpt-4o`."""
        return f"{self.provider}/{self.model_id}"

    def disabled(self, at: float, reason: str) -> ModelConfig:
        """Returns the model disabled. A model that is already disabled keeps its time."""
        since = at if self.kill_switch_disabled_at is None else self.kill_switch_disabled_at
        return replace(self, kill_switch_disabled_at=since, disabled_reason=reason)

    def enabled(self) -> ModelConfig:
        """Returns the model enabled."""
        return replace(self, kill_switch_disabled_at=None, disabled_reason=None)


def normalize_name(name: str) -> str:
    """Returns a provider or model id for comparison, so that case cannot bypass a kill switch."""
    return name.strip().casefold()


def config_id(provider: str, model_id: str) -> str:
    """Returns the id of a model: a UUID, the same for all spellings of provider and model id."""
    return str(uuid5(_IDS, f"{normalize_name(provider)}/{normalize_name(model_id)}"))


def body_of(model: ModelConfig) -> dict[str, Any]:
    """Returns the fields of `model` as the store keeps them."""
    return {name: getattr(model, name) for name in ModelConfig.__slots__}
