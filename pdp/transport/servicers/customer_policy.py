"""CustomerPolicyService (the customer policy API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.struct_pb2 import Struct

from pdp._gen.pdp.v1 import customer_policy_pb2 as pb
from pdp.domain.customer_policy import CustomerPolicy
from pdp.jsonpb.structs import fill_struct, struct_object
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.servicers.fields import to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import simulate_pb2
    from pdp.admin.customer_policies import CustomerPolicies, CustomerPolicyVersion
    from pdp.transport.call import Call, Endpoint

DEFAULT_PAGE_SIZE: Final = 20


class CustomerPolicyServicer:
    """Administers the customer policies of the call's tenant."""

    def __init__(self, policies: CustomerPolicies) -> None:
        self._policies = policies

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "PutCustomerPolicy": self.put,
            "GetCustomerPolicy": self.get,
            "DeleteCustomerPolicy": self.delete,
            "ListCustomerPolicyVersions": self.versions,
        }

    async def put(self, call: Call, message: Message) -> pb.PutCustomerPolicyResponse:
        """Creates or replaces a policy."""
        request = cast("pb.PutCustomerPolicyRequest", message)
        written = await self._policies.put(
            call.tenant_id,
            call.principal.name,
            request.customer_id,
            struct_object(request.policies),
            expectation(call),
            mode=request.mode,
        )
        return pb.PutCustomerPolicyResponse(policy=_policy(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetCustomerPolicyResponse:
        """Returns a policy."""
        request = cast("pb.GetCustomerPolicyRequest", message)
        policy = with_etag(call, await self._policies.get(call.tenant_id, request.customer_id))
        return pb.GetCustomerPolicyResponse(policy=_policy(policy))

    async def delete(self, call: Call, message: Message) -> pb.DeleteCustomerPolicyResponse:
        """Deletes a policy; its history is kept."""
        request = cast("pb.DeleteCustomerPolicyRequest", message)
        with_revision(
            call,
            await self._policies.delete(
                call.tenant_id, call.principal.name, request.customer_id, expectation(call)
            ),
        )
        return pb.DeleteCustomerPolicyResponse()

    async def versions(self, call: Call, message: Message) -> pb.ListCustomerPolicyVersionsResponse:
        """Returns a page of a policy's history."""
        request = cast("pb.ListCustomerPolicyVersionsRequest", message)
        history = await self._policies.versions(
            call.tenant_id,
            request.customer_id,
            number=request.page or 1,
            size=request.page_size or DEFAULT_PAGE_SIZE,
        )
        return pb.ListCustomerPolicyVersionsResponse(
            customer_id=request.customer_id,
            versions=[_version(version) for version in history.versions],
            current_version=history.current,
            total_count=history.total,
        )


def candidate_of(overlay: simulate_pb2.Overlay) -> CustomerPolicy | None:
    """Returns the candidate customer policy of an overlay, or None."""
    if not overlay.HasField("customer_policy"):
        return None
    candidate = overlay.customer_policy
    document = struct_object(candidate.policies)
    return CustomerPolicy(candidate.customer_id, document, mode=candidate.mode)


def _policy(policy: CustomerPolicy) -> pb.CustomerPolicy:
    return pb.CustomerPolicy(
        customer_id=policy.customer_id,
        policies=_document(policy.document),
        updated_at=to_timestamp(policy.updated_at),
        mode=policy.mode,
    )


def _version(version: CustomerPolicyVersion) -> pb.CustomerPolicyVersion:
    return pb.CustomerPolicyVersion(
        version=version.policy.version,
        policies=_document(version.policy.document),
        changed_by=version.changed_by,
        changed_at=to_timestamp(version.changed_at),
        change_summary=version.summary,
        mode=version.policy.mode,
    )


def _document(document: Mapping[str, Any]) -> Struct:
    struct = Struct()
    fill_struct(struct, dict(document))
    return struct
