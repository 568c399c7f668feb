"""From LiteLLM's question to a DecideRequest: who asks, and what is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.objects import to_text

if TYPE_CHECKING:
    from pdp.adapters.litellm.messages import GuardrailQuestion
    from pdp.adapters.litellm.payload import BuiltPayload
    from pdp.config import Settings

AGENT: str = "user_api_key_alias"
GROUPS: tuple[str, ...] = ("user_api_key_team_id", "user_api_key_team_alias")


class IdentityFields(NamedTuple):
    """Which fields of `request_data` say who asks; an empty name stands for none.

    Attributes:
        user: the user.
        tenant: the tenant; if empty, the credential or `X-Tenant-ID` names it.
        customer: the customer.
    """

    user: str
    tenant: str
    customer: str


def identity_fields(settings: Settings) -> IdentityFields:
    """Returns the fields that the settings name."""
    return IdentityFields(settings.litellm_user, settings.litellm_tenant, settings.litellm_customer)


def decide_request(
    question: GuardrailQuestion, built: BuiltPayload, fields: IdentityFields
) -> pb.DecideRequest:
    """Returns the request for the decision on a question.

    Raises:
        InvalidArgument: LiteLLM does not name the tenant although the settings say that it does.
    """
    identity = question.identity
    request = pb.DecideRequest(
        request_id=question.call_id,
        session_id=question.trace_id,
        direction="output" if question.is_response else "input",
        channel="api",
        tenant_id=_required(question, fields.tenant),
        customer_id=_required(question, fields.customer),
        subject=pb.Subject(
            user_id=identity.get(fields.user, ""),
            groups=dict.fromkeys(identity[name] for name in GROUPS if identity.get(name)),
            agent_id=identity.get(AGENT, ""),
        ),
        model=pb.Model(model=question.model),
        payload=pb.Payload(format=built.format, body=built.body),
        tokens=question.tokens,
    )
    if identity:
        request.context_json = to_text({"litellm": dict(identity)})
    return request


def _required(question: GuardrailQuestion, name: str) -> str:
    """Returns a field that, once it is configured, must not be missing."""
    if not name:
        return ""
    value = question.identity.get(name, "")
    if not value:
        raise InvalidArgument.of(
            Violation(
                f"request_data.{name}",
                "is missing; give the virtual key of LiteLLM one, or change the setting",
            )
        )
    return value
