"""The kill switch: blocks requests for a model that is switched off.

It runs before all other layers. A model that the catalog does not know passes, unless all models of
its provider are switched off, or the tenant blocks unknown models (decide.md, Kill switch).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pdp.domain.decision import NO_VERDICT, Match, Outcome, RiskFactor, TraceRow, Verdict
from pdp.domain.layers import KILL_SWITCH

if TYPE_CHECKING:
    from pdp.domain.model_catalog import ModelConfig
    from pdp.domain.request import Request
    from pdp.engine.layers.base import Gate, Policies
    from pdp.engine.rules.models import KilledModel, ModelIndex

REASON_CODE: Final = "MODEL_KILL_SWITCH"
STATUS_HINT: Final = 503

UNKNOWN_MODEL: Final = "MODEL_UNKNOWN"
UNKNOWN_MODEL_STATUS: Final = 403


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """Blocks requests for models that are switched off.

    Attributes:
        models: the model catalog.
        points: the risk floor of a blocked request.
        block_unknown: whether a request for a model that the catalog does not know is blocked.
    """

    models: ModelIndex
    points: int
    block_unknown: bool = False
    name: str = KILL_SWITCH

    def admit(self, request: Request) -> Verdict:
        """Returns a BLOCK if the model of the request, or its provider, is switched off."""
        models = self.models
        if not (models.any_killed or self.block_unknown):
            return NO_VERDICT
        if models.any_killed:
            killed = models.killed(request.model, request.provider)
            if killed is not None:
                return self._block(killed)
        if self.block_unknown and request.model.strip() and self._find(request) is None:
            return self._block_unknown(request)
        return NO_VERDICT._replace(rows=(self._row(request),)) if request.explain else NO_VERDICT

    def _find(self, request: Request) -> ModelConfig | None:
        """Returns the model that a request names; None if the catalog does not know it."""
        model = self.models.resolve(request.model, request.provider).model
        return model or self.models.find_alias(request.model, request.provider)

    def with_models(self, models: ModelIndex) -> KillSwitch:
        """See `ModelAware`."""
        return replace(self, models=models)

    def _block(self, killed: KilledModel) -> Verdict:
        model = killed.model
        if killed.by_provider:
            target, policy_id, name = f"provider {model.provider}", model.provider, model.provider
        else:
            target, policy_id, name = f"model {model.name}", model.id, model.display_name
        reason = f"{target} is disabled since {_time(model)}: {model.disabled_reason}"
        message = f"The {target} is disabled at the moment. Choose another, or try again later."
        verdict = self._verdict(policy_id, name, reason)
        return verdict._replace(reason_code=REASON_CODE, message=message, status_hint=STATUS_HINT)

    def _block_unknown(self, request: Request) -> Verdict:
        reason = f"the catalog does not know {request.model!r}, and the tenant blocks such models"
        return self._verdict("unknown_model", "unknown_model", reason)._replace(
            reason_code=UNKNOWN_MODEL,
            message="The request names a model that is not in the model catalog.",
            status_hint=UNKNOWN_MODEL_STATUS,
        )

    def _verdict(self, policy_id: str, name: str, reason: str) -> Verdict:
        return Verdict(
            outcome=Outcome.BLOCK,
            matches=(Match(KILL_SWITCH, policy_id, name, "block", "high", reason),),
            floors=(RiskFactor(KILL_SWITCH, policy_id, self.points),),
            rows=(TraceRow(KILL_SWITCH, reason, True, Outcome.BLOCK, policy_id, name),),
        )

    def _row(self, request: Request) -> TraceRow:
        """Returns the trace row of a request that passes while some models are switched off."""
        if not request.model:
            return TraceRow(KILL_SWITCH, "the request names no model")
        model = self._find(request)
        if model is None:
            return TraceRow(KILL_SWITCH, f"the catalog does not know {request.model!r}")
        status = "is enabled" if model.is_active else "is not offered, but not disabled"
        reason = f"model {model.name} {status}"
        return TraceRow(KILL_SWITCH, reason, False, Outcome.ALLOW, model.id, model.display_name)


def build(policies: Policies) -> Gate:
    """Compiles the gate. Every snapshot has it, since a model can be switched off at any time."""
    block_unknown = policies.settings.unknown_model == "block"
    return KillSwitch(policies.models, policies.risk.kill_switch, block_unknown)


def _time(model: ModelConfig) -> str:
    since = datetime.fromtimestamp(int(model.kill_switch_disabled_at or 0), UTC)
    return since.strftime("%Y-%m-%dT%H:%M:%SZ")
