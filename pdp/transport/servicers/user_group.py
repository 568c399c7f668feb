"""UserGroupService: the members of groups, and their bundles and stricter rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import user_group_pb2 as pb
from pdp.domain.user_group import UserGroup
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.servicers.fields import present_fields, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.user_groups import UserGroups
    from pdp.transport.call import Call, Endpoint

_TEXTS: Final = ("name", "description")
_RULE_FIELDS: Final = ("enabled", "action_tier", "confidence_threshold")


class UserGroupServicer:
    """Administers user groups for the tenant that a call acts for."""

    def __init__(self, groups: UserGroups) -> None:
        self._groups = groups

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListUserGroups": self.list,
            "CreateUserGroup": self.create,
            "GetUserGroup": self.get,
            "UpdateUserGroup": self.update,
            "DeleteUserGroup": self.delete,
            "AddUserGroupMembers": self.add_members,
            "RemoveUserGroupMember": self.remove_member,
            "AssignUserGroupBundle": self.assign,
            "UnassignUserGroupBundle": self.unassign,
        }

    async def list(self, call: Call, message: Message) -> pb.ListUserGroupsResponse:
        """Lists all groups."""
        groups = await self._groups.list(call.tenant_id)
        return pb.ListUserGroupsResponse(groups=map(_group, groups))

    async def create(self, call: Call, message: Message) -> pb.CreateUserGroupResponse:
        """Creates a group."""
        request = cast("pb.CreateUserGroupRequest", message)
        draft = UserGroup(
            id="", name=request.name, description=request.description, **_lists(request)
        )
        written = await self._groups.create(call.tenant_id, call.principal.name, draft)
        return pb.CreateUserGroupResponse(group=_group(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetUserGroupResponse:
        """Returns a group."""
        request = cast("pb.GetUserGroupRequest", message)
        group = with_etag(call, await self._groups.get(call.tenant_id, request.group_id))
        return pb.GetUserGroupResponse(group=_group(group))

    async def update(self, call: Call, message: Message) -> pb.UpdateUserGroupResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdateUserGroupRequest", message)
        changes = present_fields(request, _TEXTS)
        written = await self._groups.update(
            call.tenant_id,
            call.principal.name,
            request.group_id,
            {**changes, **_lists(request)},
            expectation(call),
        )
        return pb.UpdateUserGroupResponse(group=_group(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteUserGroupResponse:
        """Deletes a group."""
        request = cast("pb.DeleteUserGroupRequest", message)
        written = await self._groups.delete(
            call.tenant_id, call.principal.name, request.group_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteUserGroupResponse()

    async def add_members(self, call: Call, message: Message) -> pb.AddUserGroupMembersResponse:
        """Adds users to a group."""
        request = cast("pb.AddUserGroupMembersRequest", message)
        written = await self._groups.add_members(
            call.tenant_id,
            call.principal.name,
            request.group_id,
            list(request.user_ids),
            expectation(call),
        )
        return pb.AddUserGroupMembersResponse(group=_group(with_new_etag(call, written)))

    async def remove_member(self, call: Call, message: Message) -> pb.RemoveUserGroupMemberResponse:
        """Removes a user from a group."""
        request = cast("pb.RemoveUserGroupMemberRequest", message)
        written = await self._groups.remove_member(
            call.tenant_id,
            call.principal.name,
            request.group_id,
            request.user_id,
            expectation(call),
        )
        with_new_etag(call, written)
        return pb.RemoveUserGroupMemberResponse()

    async def assign(self, call: Call, message: Message) -> pb.AssignUserGroupBundleResponse:
        """Assigns a bundle to a group."""
        request = cast("pb.AssignUserGroupBundleRequest", message)
        written = await self._groups.assign(
            call.tenant_id,
            call.principal.name,
            request.group_id,
            request.bundle_id,
            expectation(call),
        )
        return pb.AssignUserGroupBundleResponse(group=_group(with_new_etag(call, written)))

    async def unassign(self, call: Call, message: Message) -> pb.UnassignUserGroupBundleResponse:
        """Removes a bundle from a group."""
        request = cast("pb.UnassignUserGroupBundleRequest", message)
        written = await self._groups.unassign(
            call.tenant_id,
            call.principal.name,
            request.group_id,
            request.bundle_id,
            expectation(call),
        )
        with_new_etag(call, written)
        return pb.UnassignUserGroupBundleResponse()


def _lists(request: pb.CreateUserGroupRequest | pb.UpdateUserGroupRequest) -> dict[str, Any]:
    """Returns the lists that are set in a request, without duplicate ids."""
    lists: dict[str, Any] = {}
    if request.HasField("members"):
        lists["members"] = list(dict.fromkeys(request.members.members))
    if request.HasField("bundle_ids"):
        lists["bundle_ids"] = list(dict.fromkeys(request.bundle_ids.bundle_ids))
    if request.HasField("dlp_rules"):
        lists["dlp_rules"] = [_group_rule(each) for each in request.dlp_rules.dlp_rules]
    return lists


def _group_rule(rule: pb.GroupDlpRule) -> dict[str, Any]:
    return {"rule_id": rule.rule_id, **present_fields(rule, _RULE_FIELDS)}


def _group(group: UserGroup) -> pb.UserGroup:
    return pb.UserGroup(
        id=group.id,
        name=group.name,
        description=group.description,
        member_count=len(group.members),
        members=group.members,
        bundle_ids=group.bundle_ids,
        dlp_rules=[pb.GroupDlpRule(**each) for each in group.dlp_rules],
        created_at=to_timestamp(group.created_at),
        updated_at=to_timestamp(group.updated_at),
    )
