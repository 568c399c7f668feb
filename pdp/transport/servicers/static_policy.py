"""StaticPolicyService (seed 003)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import static_policy_pb2 as pb
from pdp.domain.static_policy import StaticPolicy
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.static.overrides import Effective, StaticOverrides
    from pdp.admin.static.policies import StaticPolicies
    from pdp.admin.versioned import Versioned
    from pdp.admin.workspace import Written
    from pdp.transport.call import Call, Endpoint

DEFAULT_PAGE_SIZE: Final = 50

_UPDATABLE: Final = (
    "name",
    "description",
    "category",
    "pattern",
    "action",
    "severity",
    "enabled",
    "message",
)


class StaticPolicyServicer:
    """Administers static policies for the tenant that a call acts for."""

    def __init__(self, policies: StaticPolicies, overrides: StaticOverrides) -> None:
        self._policies = policies
        self._overrides = overrides

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListStaticPolicies": self.list,
            "CreateStaticPolicy": self.create,
            "ListEffectiveStaticPolicies": self.effective,
            "ListStaticPolicyOverrides": self.overrides,
            "GetStaticPolicy": self.get,
            "UpdateStaticPolicy": self.update,
            "ToggleStaticPolicy": self.toggle,
            "DeleteStaticPolicy": self.delete,
            "ListStaticPolicyVersions": self.versions,
            "CreateStaticPolicyOverride": self.override,
            "DeleteStaticPolicyOverride": self.remove_override,
        }

    async def list(self, call: Call, message: Message) -> pb.ListStaticPoliciesResponse:
        """Lists one page."""
        asked = cast("pb.ListStaticPoliciesRequest", message)
        page = await self._policies.list(
            call.tenant_id,
            enabled=asked.enabled if asked.HasField("enabled") else None,
            category=asked.category,
            number=asked.page or 1,
            size=asked.page_size or DEFAULT_PAGE_SIZE,
        )
        return pb.ListStaticPoliciesResponse(
            policies=[_summary(policy) for policy in page.policies],
            pagination=pb.Pagination(
                page=page.number,
                page_size=page.size,
                total_count=page.total,
                total_pages=page.count,
            ),
        )

    async def create(self, call: Call, message: Message) -> pb.CreateStaticPolicyResponse:
        """Makes a policy."""
        asked = cast("pb.CreateStaticPolicyRequest", message)
        draft = StaticPolicy(
            id="",
            name=asked.name,
            description=asked.description,
            category=asked.category,
            pattern=asked.pattern,
            action=asked.action,
            severity=asked.severity or "medium",
            enabled=asked.enabled if asked.HasField("enabled") else True,
            message=asked.message,
        )
        written = await self._policies.create(call.tenant_id, call.principal.name, draft)
        return pb.CreateStaticPolicyResponse(
            success=True, policy=_policy(with_new_etag(call, written))
        )

    async def get(self, call: Call, message: Message) -> pb.GetStaticPolicyResponse:
        """Returns a policy."""
        asked = cast("pb.GetStaticPolicyRequest", message)
        policy = with_etag(call, await self._policies.get(call.tenant_id, asked.id))
        return pb.GetStaticPolicyResponse(policy=_policy(policy))

    async def update(self, call: Call, message: Message) -> pb.UpdateStaticPolicyResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdateStaticPolicyRequest", message)
        changes = {name: getattr(asked, name) for name in _UPDATABLE if asked.HasField(name)}
        policy = with_new_etag(call, await self._change(call, asked, changes))
        return pb.UpdateStaticPolicyResponse(
            success=True,
            policy=pb.UpdatedStaticPolicy(
                id=policy.id,
                name=policy.name,
                pattern=policy.pattern,
                enabled=policy.enabled,
                version=policy.version,
                updated_at=_time(policy.updated_at),
            ),
        )

    async def toggle(self, call: Call, message: Message) -> pb.ToggleStaticPolicyResponse:
        """Enables or disables a policy."""
        asked = cast("pb.ToggleStaticPolicyRequest", message)
        policy = with_new_etag(call, await self._change(call, asked, {"enabled": asked.enabled}))
        return pb.ToggleStaticPolicyResponse(
            success=True,
            policy=pb.ToggledStaticPolicy(
                id=policy.id, enabled=policy.enabled, updated_at=_time(policy.updated_at)
            ),
        )

    async def _change(
        self,
        call: Call,
        asked: pb.UpdateStaticPolicyRequest | pb.ToggleStaticPolicyRequest,
        changes: Mapping[str, Any],
    ) -> Written[Versioned[StaticPolicy]]:
        summary = asked.change_summary if asked.HasField("change_summary") else None
        return await self._policies.update(
            call.tenant_id,
            call.principal.name,
            asked.id,
            changes,
            summary,
            expected=expectation(call),
        )

    async def delete(self, call: Call, message: Message) -> pb.DeleteStaticPolicyResponse:
        """Deletes a policy softly."""
        asked = cast("pb.DeleteStaticPolicyRequest", message)
        written = await self._policies.delete(
            call.tenant_id, call.principal.name, asked.id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteStaticPolicyResponse(
            success=True, message="Policy soft-deleted", policy_id=asked.id
        )

    async def versions(self, call: Call, message: Message) -> pb.ListStaticPolicyVersionsResponse:
        """Returns a policy's history."""
        asked = cast("pb.ListStaticPolicyVersionsRequest", message)
        versions = await self._policies.versions(call.tenant_id, asked.id)
        return pb.ListStaticPolicyVersionsResponse(
            policy_id=asked.id,
            versions=[
                pb.StaticPolicyVersion(
                    version=version.policy.version,
                    pattern=version.policy.pattern,
                    action=version.policy.action,
                    enabled=version.policy.enabled,
                    changed_by=version.changed_by,
                    changed_at=_time(version.changed_at),
                    change_summary=version.summary,
                )
                for version in versions
            ],
            current_version=versions[0].policy.version,
        )

    async def effective(
        self, call: Call, message: Message
    ) -> pb.ListEffectiveStaticPoliciesResponse:
        """Lists all policies with their overrides."""
        found = await self._overrides.effective(call.tenant_id)
        system = sum(each.policy.system for each in found)
        return pb.ListEffectiveStaticPoliciesResponse(
            tenant_id=call.tenant_id,
            effective_policies=[_effective(each) for each in found],
            system_policies_count=system,
            tenant_policies_count=len(found) - system,
            overrides_count=sum(each.override is not None for each in found),
        )

    async def override(self, call: Call, message: Message) -> pb.CreateStaticPolicyOverrideResponse:
        """Overrides a system policy."""
        asked = cast("pb.CreateStaticPolicyOverrideRequest", message)
        written = await self._overrides.set(
            call.tenant_id, call.principal.name, asked.id, asked.action, asked.reason
        )
        override = with_revision(call, written)
        return pb.CreateStaticPolicyOverrideResponse(
            success=True,
            override=pb.StaticPolicyOverride(
                policy_id=override.policy_id,
                tenant_id=call.tenant_id,
                action=override.action,
                reason=override.reason,
                created_at=_time(override.created_at),
            ),
        )

    async def remove_override(
        self, call: Call, message: Message
    ) -> pb.DeleteStaticPolicyOverrideResponse:
        """Takes an override away."""
        asked = cast("pb.DeleteStaticPolicyOverrideRequest", message)
        with_revision(
            call,
            await self._overrides.remove(call.tenant_id, call.principal.name, asked.id),
        )
        return pb.DeleteStaticPolicyOverrideResponse(
            success=True, message="Override removed, policy reverted to system default"
        )

    async def overrides(self, call: Call, message: Message) -> pb.ListStaticPolicyOverridesResponse:
        """Lists the tenant's overrides."""
        found = await self._overrides.list(call.tenant_id)
        listed = [
            pb.ListedOverride(
                policy_id=each.policy.id,
                policy_name=each.policy.name,
                system_action=each.policy.action,
                override_action=each.override.action,
                reason=each.override.reason,
                created_at=_time(each.override.created_at),
            )
            for each in found
            if each.override is not None
        ]
        return pb.ListStaticPolicyOverridesResponse(
            tenant_id=call.tenant_id, overrides=listed, count=len(listed)
        )


def _time(seconds: float) -> Timestamp:
    """Whole seconds, as the seeds show times."""
    return Timestamp(seconds=int(seconds))


def _policy(policy: StaticPolicy) -> pb.StaticPolicy:
    return pb.StaticPolicy(
        id=policy.id,
        name=policy.name,
        description=policy.description,
        category=policy.category,
        pattern=policy.pattern,
        action=policy.action,
        severity=policy.severity,
        enabled=policy.enabled,
        message=policy.message,
        system=policy.system,
        version=policy.version,
        created_at=_time(policy.created_at),
        updated_at=_time(policy.updated_at),
    )


def _summary(policy: StaticPolicy) -> pb.StaticPolicySummary:
    return pb.StaticPolicySummary(
        id=policy.id,
        name=policy.name,
        description=policy.description,
        category=policy.category,
        pattern=policy.pattern,
        action=policy.action,
        severity=policy.severity,
        enabled=policy.enabled,
        system=policy.system,
        created_at=_time(policy.created_at),
        updated_at=_time(policy.updated_at),
    )


def _effective(each: Effective) -> pb.EffectiveStaticPolicy:
    policy, override = each.policy, each.override
    with_etag = pb.EffectiveStaticPolicy(
        id=policy.id,
        name=policy.name,
        enabled=policy.enabled,
        action=policy.action,
        source="system" if policy.system else "tenant",
    )
    if policy.system:
        with_etag.override.SetInParent()
    if override is not None:
        with_etag.override.action, with_etag.override.reason = override.action, override.reason
    return with_etag
