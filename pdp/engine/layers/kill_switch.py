"""The kill switch: blocks requests for a model that is switched off.

It runs before all other layers. A model that the catalog does not know passes, unless all models of
its provider are switched off (decide.md, Kill switch).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pdp.domain.decision import NO_VERDICT, Match, Outcome, RiskFactor, TraceRow, Verdict
from pdp.domain.layers import KILL_SWITCH
from pdp.engine.rules.models import ModelIndex, ModelState

if TYPE_CHECKING:
    from pdp.domain.model_catalog import ModelConfig
    from pdp.domain.request import Request
    from pdp.engine.layers.base import Gate, Policies

REASON_CODE: Final = "MODEL_KILL_SWITCH"
STATUS_HINT: Final = 503


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """Blocks requests for models that are switched off.

    Attributes:
        models: the model catalog.
        points: the risk floor of a blocked request.
    """

    models: ModelIndex
    points: int
    name: str = KILL_SWITCH

    def admit(self, request: Request) -> Verdict:
        """Returns a BLOCK if the model of the request, or its provider, is switched off."""
        models = self.models
        if not models.any_killed:
            return NO_VERDICT
        model = models.killed(request.model, request.provider)
        if model is not None:
            return self._block(request, model)
        return NO_VERDICT._replace(rows=(self._row(request),)) if request.explain else NO_VERDICT

    def with_models(self, models: ModelIndex) -> KillSwitch:
        """See `ModelAware`."""
        return replace(self, models=models)

    def _block(self, request: Request, model: ModelConfig) -> Verdict:
        if self.models.resolve(request.model, request.provider).model is not None:
            target, policy_id, name = f"model {model.name}", model.id, model.display_name
        else:
            # The catalog does not know the model of the request: its whole provider is off.
            # `model` is then any model of that provider.
            target, policy_id, name = f"provider {model.provider}", model.provider, model.provider
        reason = f"{target} is disabled since {_time(model)}: {model.disabled_reason}"
        return Verdict(
            outcome=Outcome.BLOCK,
            reason_code=REASON_CODE,
            message=f"The {target} is disabled at the moment. Choose another, or try again later.",
            status_hint=STATUS_HINT,
            matches=(Match(KILL_SWITCH, policy_id, name, "block", "high", reason),),
            floors=(RiskFactor(KILL_SWITCH, policy_id, self.points),),
            rows=(TraceRow(KILL_SWITCH, reason, True, Outcome.BLOCK, policy_id, name),),
        )

    def _row(self, request: Request) -> TraceRow:
        """Returns the trace row of a request that passes while some models are switched off."""
        if not request.model:
            return TraceRow(KILL_SWITCH, "the request names no model")
        state, model = self.models.resolve(request.model, request.provider)
        if model is None:
            return TraceRow(KILL_SWITCH, f"the catalog does not know {request.model!r}")
        status = "is enabled" if state is ModelState.KNOWN else "is not offered, but not disabled"
        reason = f"model {model.name} {status}"
        return TraceRow(KILL_SWITCH, reason, False, Outcome.ALLOW, model.id, model.display_name)


def build(policies: Policies) -> Gate:
    """Compiles the gate. Every snapshot has it, since a model can be switched off at any time."""
    return KillSwitch(policies.models, policies.risk.kill_switch)


def _time(model: ModelConfig) -> str:
    since = datetime.fromtimestamp(int(model.kill_switch_disabled_at or 0), UTC)
    return since.strftime("%Y-%m-%dT%H:%M:%SZ")
