"""UserGroupService: who is in which group, and what holds for its users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import user_group_pb2 as pb
from pdp.domain.user_group import UserGroup
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.groups.user_groups import UserGroups
    from pdp.transport.call import Call, Endpoint

_TEXTS: Final = ("name", "description")
_STRICTER: Final = ("enabled", "action_tier", "confidence_threshold")


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
        found = await self._groups.list(call.tenant_id)
        return pb.ListUserGroupsResponse(groups=map(_group, found))

    async def create(self, call: Call, message: Message) -> pb.CreateUserGroupResponse:
        """Makes a group."""
        asked = cast("pb.CreateUserGroupRequest", message)
        draft = UserGroup(id="", name=asked.name, description=asked.description, **_lists(asked))
        written = await self._groups.create(call.tenant_id, call.principal.name, draft)
        return pb.CreateUserGroupResponse(group=_group(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetUserGroupResponse:
        """Returns a group."""
        asked = cast("pb.GetUserGroupRequest", message)
        group = with_etag(call, await self._groups.get(call.tenant_id, asked.group_id))
        return pb.GetUserGroupResponse(group=_group(group))

    async def update(self, call: Call, message: Message) -> pb.UpdateUserGroupResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdateUserGroupRequest", message)
        changes = {name: getattr(asked, name) for name in _TEXTS if asked.HasField(name)}
        written = await self._groups.update(
            call.tenant_id,
            call.principal.name,
            asked.group_id,
            {**changes, **_lists(asked)},
            expectation(call),
        )
        return pb.UpdateUserGroupResponse(group=_group(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteUserGroupResponse:
        """Deletes a group."""
        asked = cast("pb.DeleteUserGroupRequest", message)
        written = await self._groups.delete(
            call.tenant_id, call.principal.name, asked.group_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteUserGroupResponse()

    async def add_members(self, call: Call, message: Message) -> pb.AddUserGroupMembersResponse:
        """Adds users to a group."""
        asked = cast("pb.AddUserGroupMembersRequest", message)
        written = await self._groups.add_members(
            call.tenant_id,
            call.principal.name,
            asked.group_id,
            list(asked.user_ids),
            expectation(call),
        )
        return pb.AddUserGroupMembersResponse(group=_group(with_new_etag(call, written)))

    async def remove_member(self, call: Call, message: Message) -> pb.RemoveUserGroupMemberResponse:
        """Takes a user out of a group."""
        asked = cast("pb.RemoveUserGroupMemberRequest", message)
        written = await self._groups.remove_member(
            call.tenant_id, call.principal.name, asked.group_id, asked.user_id, expectation(call)
        )
        with_new_etag(call, written)
        return pb.RemoveUserGroupMemberResponse()

    async def assign(self, call: Call, message: Message) -> pb.AssignUserGroupBundleResponse:
        """Puts a bundle in force for a group's users."""
        asked = cast("pb.AssignUserGroupBundleRequest", message)
        written = await self._groups.assign(
            call.tenant_id, call.principal.name, asked.group_id, asked.bundle_id, expectation(call)
        )
        return pb.AssignUserGroupBundleResponse(group=_group(with_new_etag(call, written)))

    async def unassign(self, call: Call, message: Message) -> pb.UnassignUserGroupBundleResponse:
        """Takes a bundle away from a group."""
        asked = cast("pb.UnassignUserGroupBundleRequest", message)
        written = await self._groups.unassign(
            call.tenant_id, call.principal.name, asked.group_id, asked.bundle_id, expectation(call)
        )
        with_new_etag(call, written)
        return pb.UnassignUserGroupBundleResponse()


def _lists(asked: pb.CreateUserGroupRequest | pb.UpdateUserGroupRequest) -> dict[str, Any]:
    """Returns the lists that were sent; ids that are sent twice count once."""
    found: dict[str, Any] = {}
    if asked.HasField("members"):
        found["members"] = list(dict.fromkeys(asked.members.members))
    if asked.HasField("bundle_ids"):
        found["bundle_ids"] = list(dict.fromkeys(asked.bundle_ids.bundle_ids))
    if asked.HasField("dlp_rules"):
        found["dlp_rules"] = [_stricter(each) for each in asked.dlp_rules.dlp_rules]
    return found


def _stricter(asked: pb.GroupDlpRule) -> dict[str, Any]:
    set_ = {name: getattr(asked, name) for name in _STRICTER if asked.HasField(name)}
    return {"rule_id": asked.rule_id, **set_}


def _time(seconds: float) -> Timestamp:
    """Whole seconds, as the seeds show times."""
    return Timestamp(seconds=int(seconds))


def _group(group: UserGroup) -> pb.UserGroup:
    return pb.UserGroup(
        id=group.id,
        name=group.name,
        description=group.description,
        member_count=len(group.members),
        members=group.members,
        bundle_ids=group.bundle_ids,
        dlp_rules=[pb.GroupDlpRule(**each) for each in group.dlp_rules],
        created_at=_time(group.created_at),
        updated_at=_time(group.updated_at),
    )
