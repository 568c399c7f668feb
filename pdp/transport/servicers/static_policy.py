"""StaticPolicyService (the static policy API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import static_policy_pb2 as pb
from pdp.domain.static_policy import StaticOverride, StaticPolicy
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.paging import answer_list
from pdp.transport.servicers.fields import present_fields, to_timestamp
from pdp.transport.servicers.placements import (
    placement_changes,
    placement_fields,
    placement_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.pages import Page, PageRequest
    from pdp.admin.preconditions import Versioned
    from pdp.admin.static_policies import (
        EffectiveStaticPolicy,
        StaticOverrides,
        StaticPolicies,
        StaticPolicyVersion,
    )
    from pdp.admin.workspace import WriteResult
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
    "in_prose",
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
        request = cast("pb.ListStaticPoliciesRequest", message)
        page = await self._policies.list(
            call.tenant_id,
            enabled=request.enabled if request.HasField("enabled") else None,
            category=request.category,
            number=request.page or 1,
            size=request.page_size or DEFAULT_PAGE_SIZE,
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
        """Creates a policy."""
        request = cast("pb.CreateStaticPolicyRequest", message)
        draft = StaticPolicy(
            id="",
            name=request.name,
            description=request.description,
            category=request.category,
            pattern=request.pattern,
            action=request.action,
            severity=request.severity or "medium",
            enabled=request.enabled if request.HasField("enabled") else True,
            message=request.message,
            in_prose=request.in_prose,
            **placement_of(request),
        )
        written = await self._policies.create(call.tenant_id, call.principal.name, draft)
        return pb.CreateStaticPolicyResponse(
            success=True, policy=_policy(with_new_etag(call, written))
        )

    async def get(self, call: Call, message: Message) -> pb.GetStaticPolicyResponse:
        """Returns a policy."""
        request = cast("pb.GetStaticPolicyRequest", message)
        policy = with_etag(call, await self._policies.get(call.tenant_id, request.id))
        return pb.GetStaticPolicyResponse(policy=_policy(policy))

    async def update(self, call: Call, message: Message) -> pb.UpdateStaticPolicyResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdateStaticPolicyRequest", message)
        changes = present_fields(request, _UPDATABLE) | placement_changes(request)
        policy = with_new_etag(call, await self._change(call, request, changes))
        return pb.UpdateStaticPolicyResponse(
            success=True,
            policy=pb.UpdatedStaticPolicy(
                id=policy.id,
                name=policy.name,
                pattern=policy.pattern,
                enabled=policy.enabled,
                version=policy.version,
                updated_at=to_timestamp(policy.updated_at),
            ),
        )

    async def toggle(self, call: Call, message: Message) -> pb.ToggleStaticPolicyResponse:
        """Enables or disables a policy."""
        request = cast("pb.ToggleStaticPolicyRequest", message)
        policy = with_new_etag(
            call, await self._change(call, request, {"enabled": request.enabled})
        )
        return pb.ToggleStaticPolicyResponse(
            success=True,
            policy=pb.ToggledStaticPolicy(
                id=policy.id, enabled=policy.enabled, updated_at=to_timestamp(policy.updated_at)
            ),
        )

    async def _change(
        self,
        call: Call,
        request: pb.UpdateStaticPolicyRequest | pb.ToggleStaticPolicyRequest,
        changes: Mapping[str, Any],
    ) -> WriteResult[Versioned[StaticPolicy]]:
        summary = request.change_summary if request.HasField("change_summary") else None
        return await self._policies.update(
            call.tenant_id,
            call.principal.name,
            request.id,
            changes,
            summary,
            precondition=expectation(call),
        )

    async def delete(self, call: Call, message: Message) -> pb.DeleteStaticPolicyResponse:
        """Deletes a policy; its history is kept."""
        request = cast("pb.DeleteStaticPolicyRequest", message)
        written = await self._policies.delete(
            call.tenant_id, call.principal.name, request.id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteStaticPolicyResponse(
            success=True, message="Policy soft-deleted", policy_id=request.id
        )

    async def versions(self, call: Call, message: Message) -> pb.ListStaticPolicyVersionsResponse:
        """Returns a policy's history."""
        request = cast("pb.ListStaticPolicyVersionsRequest", message)
        current = 0

        async def read(page: PageRequest) -> Page[StaticPolicyVersion]:
            nonlocal current
            history = await self._policies.versions(call.tenant_id, request.id, page)
            current = history.current
            return history.page

        return await answer_list(
            call,
            request,
            "versions",
            read=read,
            build=lambda page: pb.ListStaticPolicyVersionsResponse(
                policy_id=request.id,
                versions=map(_version, page.items),
                current_version=current,
            ),
        )

    async def effective(
        self, call: Call, message: Message
    ) -> pb.ListEffectiveStaticPoliciesResponse:
        """Lists all policies with their overrides."""
        request = cast("pb.ListEffectiveStaticPoliciesRequest", message)
        counts: dict[str, Any] = {}

        async def read(page: PageRequest) -> Page[EffectiveStaticPolicy]:
            policies = await self._overrides.effective(call.tenant_id, page)
            counts.update(
                system_policies_count=policies.system,
                tenant_policies_count=policies.own,
                overrides_count=policies.overridden,
            )
            return policies.page

        return await answer_list(
            call,
            request,
            "effective_policies",
            read=read,
            build=lambda page: pb.ListEffectiveStaticPoliciesResponse(
                tenant_id=call.tenant_id,
                effective_policies=map(_effective, page.items),
                **counts,
            ),
        )

    async def override(self, call: Call, message: Message) -> pb.CreateStaticPolicyOverrideResponse:
        """Overrides a system policy."""
        request = cast("pb.CreateStaticPolicyOverrideRequest", message)
        draft = StaticOverride(
            request.id,
            request.action,
            request.reason,
            in_prose=request.in_prose,
            **placement_of(request),
        )
        written = await self._overrides.set(call.tenant_id, call.principal.name, draft)
        override = with_revision(call, written)
        return pb.CreateStaticPolicyOverrideResponse(
            success=True,
            override=pb.StaticPolicyOverride(
                policy_id=override.policy_id,
                tenant_id=call.tenant_id,
                action=override.action,
                reason=override.reason,
                created_at=to_timestamp(override.created_at),
                in_prose=override.in_prose,
                **placement_fields(override),
            ),
        )

    async def remove_override(
        self, call: Call, message: Message
    ) -> pb.DeleteStaticPolicyOverrideResponse:
        """Removes an override."""
        request = cast("pb.DeleteStaticPolicyOverrideRequest", message)
        with_revision(
            call,
            await self._overrides.remove(call.tenant_id, call.principal.name, request.id),
        )
        return pb.DeleteStaticPolicyOverrideResponse(
            success=True, message="Override removed, policy reverted to system default"
        )

    async def overrides(self, call: Call, message: Message) -> pb.ListStaticPolicyOverridesResponse:
        """Lists the tenant's overrides."""
        policies = await self._overrides.list(call.tenant_id)
        overrides = [
            pb.ListedOverride(
                policy_id=each.policy.id,
                policy_name=each.policy.name,
                system_action=each.policy.action,
                override_action=each.override.action,
                reason=each.override.reason,
                created_at=to_timestamp(each.override.created_at),
                in_prose=each.override.in_prose,
                **placement_fields(each.override),
            )
            for each in policies
            if each.override is not None
        ]
        return pb.ListStaticPolicyOverridesResponse(
            tenant_id=call.tenant_id, overrides=overrides, count=len(overrides)
        )


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
        created_at=to_timestamp(policy.created_at),
        updated_at=to_timestamp(policy.updated_at),
        in_prose=policy.in_prose,
        **placement_fields(policy),
        family=policy.family,
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
        created_at=to_timestamp(policy.created_at),
        updated_at=to_timestamp(policy.updated_at),
        in_prose=policy.in_prose,
        **placement_fields(policy),
        family=policy.family,
    )


def _version(version: StaticPolicyVersion) -> pb.StaticPolicyVersion:
    return pb.StaticPolicyVersion(
        version=version.policy.version,
        pattern=version.policy.pattern,
        action=version.policy.action,
        enabled=version.policy.enabled,
        changed_by=version.changed_by,
        changed_at=to_timestamp(version.changed_at),
        change_summary=version.summary,
    )


def _effective(each: EffectiveStaticPolicy) -> pb.EffectiveStaticPolicy:
    policy, override = each.policy, each.override
    message = pb.EffectiveStaticPolicy(
        id=policy.id,
        name=policy.name,
        enabled=policy.enabled,
        action=policy.action,
        source="system" if policy.system else "tenant",
        in_prose=policy.in_prose,
        **placement_fields(policy),
        family=policy.family,
    )
    if policy.system:
        message.override.SetInParent()
    if override is not None:
        applied = pb.AppliedOverride(
            action=override.action,
            reason=override.reason,
            in_prose=override.in_prose,
            **placement_fields(override),
        )
        message.override.CopyFrom(applied)
    return message
