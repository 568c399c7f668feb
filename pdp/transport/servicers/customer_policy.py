"""CustomerPolicyService (seeds 001, 004)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import customer_policy_pb2 as pb
from pdp.domain.customer_policy import CustomerPolicy
from pdp.jsonpb.structs import fill_struct, struct_object
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import simulate_pb2
    from pdp.admin.customer_policies import CustomerPolicies, CustomerPolicyVersion
    from pdp.transport.call import Call, Endpoint

DEFAULT_PAGE_SIZE: Final = 20


class CustomerPolicyServicer:
    """Administers the customers of the tenant that a call acts for."""

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
        asked = cast("pb.PutCustomerPolicyRequest", message)
        written = await self._policies.put(
            call.tenant_id,
            call.principal.name,
            asked.customer_id,
            struct_object(asked.policies),
            expectation(call),
        )
        return pb.PutCustomerPolicyResponse(policy=_policy(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetCustomerPolicyResponse:
        """Returns a policy."""
        asked = cast("pb.GetCustomerPolicyRequest", message)
        found = await self._policies.get(call.tenant_id, asked.customer_id)
        return pb.GetCustomerPolicyResponse(policy=_policy(with_etag(call, found)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteCustomerPolicyResponse:
        """Deletes a policy softly."""
        asked = cast("pb.DeleteCustomerPolicyRequest", message)
        with_revision(
            call,
            await self._policies.delete(
                call.tenant_id, call.principal.name, asked.customer_id, expectation(call)
            ),
        )
        return pb.DeleteCustomerPolicyResponse()

    async def versions(self, call: Call, message: Message) -> pb.ListCustomerPolicyVersionsResponse:
        """Returns a page of a policy's history."""
        asked = cast("pb.ListCustomerPolicyVersionsRequest", message)
        history = await self._policies.versions(
            call.tenant_id,
            asked.customer_id,
            number=asked.page or 1,
            size=asked.page_size or DEFAULT_PAGE_SIZE,
        )
        return pb.ListCustomerPolicyVersionsResponse(
            customer_id=asked.customer_id,
            versions=[_version(version) for version in history.versions],
            current_version=history.current,
            total_count=history.total,
        )


def candidate_of(overlay: simulate_pb2.Overlay) -> CustomerPolicy | None:
    """Returns the customer's policy that a simulation is asked for with; None for none."""
    if not overlay.HasField("customer_policy"):
        return None
    asked = overlay.customer_policy
    return CustomerPolicy(asked.customer_id, struct_object(asked.policies))


def _policy(policy: CustomerPolicy) -> pb.CustomerPolicy:
    return pb.CustomerPolicy(
        customer_id=policy.customer_id,
        policies=_document(policy.document),
        updated_at=_time(policy.updated_at),
    )


def _version(version: CustomerPolicyVersion) -> pb.CustomerPolicyVersion:
    return pb.CustomerPolicyVersion(
        version=version.policy.version,
        policies=_document(version.policy.document),
        changed_by=version.changed_by,
        changed_at=_time(version.changed_at),
        change_summary=version.summary,
    )


def _document(document: Mapping[str, Any]) -> Struct:
    struct = Struct()
    fill_struct(struct, dict(document))
    return struct


def _time(seconds: float) -> Timestamp:
    """Whole seconds, as the seeds show times."""
    return Timestamp(seconds=int(seconds))
