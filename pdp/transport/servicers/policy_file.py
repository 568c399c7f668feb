"""PolicyFileService (docs/policy-files.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.struct_pb2 import Value

from pdp._gen.pdp.v1 import policy_file_pb2 as pb
from pdp.domain.access import ADMIN
from pdp.jsonpb.structs import fill_value, struct_object
from pdp.policy_files.builder import Author
from pdp.transport.etag import REVISION_HEADER
from pdp.transport.servicers.fields import to_struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message

    from pdp.policy_files.differences import EntryChange
    from pdp.policy_files.service import FileChange, PolicyFiles
    from pdp.transport.call import Call, Endpoint

REPLACE: Final = "replace"


class PolicyFileServicer:
    """Reads and writes the policy file of the tenant that a call acts for."""

    def __init__(self, files: PolicyFiles) -> None:
        self._files = files

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ExportPolicyFile": self.export,
            "ImportPolicyFile": self.import_,
            "RollbackPolicyFile": self.rollback,
        }

    async def export(self, call: Call, message: Message) -> pb.ExportPolicyFileResponse:
        """Returns the policies."""
        request = cast("pb.ExportPolicyFileRequest", message)
        document, revision = await self._files.export(call.tenant_id, request.revision)
        return pb.ExportPolicyFileResponse(
            tenant=call.tenant_id, revision=revision, policies=to_struct(document)
        )

    async def import_(self, call: Call, message: Message) -> pb.ImportPolicyFileResponse:
        """Changes the policies to those of a document."""
        request = cast("pb.ImportPolicyFileRequest", message)
        change = await self._files.import_(
            call.tenant_id,
            _author(call),
            struct_object(request.policies),
            replace=request.mode == REPLACE,
            dry_run=request.dry_run,
            summary=request.summary,
            base_revision=_base_revision(request),
        )
        return pb.ImportPolicyFileResponse(
            tenant=call.tenant_id,
            dry_run=request.dry_run,
            revision=_revision(call, change),
            changes=_changes(change.changes),
            previous_revision=change.previous_revision,
        )

    async def rollback(self, call: Call, message: Message) -> pb.RollbackPolicyFileResponse:
        """Changes the policies to those of an earlier revision."""
        request = cast("pb.RollbackPolicyFileRequest", message)
        change = await self._files.rollback(
            call.tenant_id,
            _author(call),
            request.revision,
            dry_run=request.dry_run,
            base_revision=_base_revision(request),
        )
        return pb.RollbackPolicyFileResponse(
            tenant=call.tenant_id,
            dry_run=request.dry_run,
            revision=_revision(call, change),
            changes=_changes(change.changes),
            previous_revision=change.previous_revision,
        )


def _author(call: Call) -> Author:
    principal = call.principal
    # As over the API of exceptions: a credential for all tenants may make permanent ones.
    return Author(principal.name, ADMIN in principal.roles, principal.tenants is None)


def _base_revision(
    request: pb.ImportPolicyFileRequest | pb.RollbackPolicyFileRequest,
) -> int | None:
    return request.base_revision if request.HasField("base_revision") else None


def _revision(call: Call, change: FileChange) -> int:
    call.warnings = tuple(change.warnings)
    call.reply[REVISION_HEADER] = str(change.revision)
    return change.revision


def _changes(changes: Sequence[EntryChange]) -> list[pb.PolicyFileChange]:
    return [
        pb.PolicyFileChange(
            change=each.change,
            section=each.section,
            name=each.name,
            fields=[
                pb.PolicyFieldChange(field=field, before=_value(before), after=_value(after))
                for field, before, after in each.fields
            ],
        )
        for each in changes
    ]


def _value(value: Any) -> Value:
    message = Value()
    fill_value(message, value)
    return message
