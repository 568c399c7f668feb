"""The RPCs and their options, from the descriptors of the contracts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.protobuf.message_factory import GetMessageClass

from pdp._gen.pdp.v1 import (
    access_pb2,
    api_key_pb2,
    approval_pb2,
    audit_pb2,
    compliance_bundle_pb2,
    customer_policy_pb2,
    decide_pb2,
    dlp_rule_pb2,
    exception_pb2,
    kill_switch_pb2,
    limits_pb2,
    model_catalog_pb2,
    options_pb2,
    org_policy_pb2,
    policy_chain_pb2,
    policy_file_pb2,
    policy_pack_pb2,
    policy_pb2,
    process_pb2,
    siem_pb2,
    simulate_pb2,
    static_policy_pb2,
    tenant_settings_pb2,
    user_group_pb2,
)
from pdp.domain.access import ROLES
from pdp.domain.request import MAX_VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

    from pdp.domain.access import Scope

FILES = (
    api_key_pb2,
    decide_pb2,
    simulate_pb2,
    static_policy_pb2,
    dlp_rule_pb2,
    org_policy_pb2,
    tenant_settings_pb2,
    customer_policy_pb2,
    model_catalog_pb2,
    kill_switch_pb2,
    policy_pack_pb2,
    policy_chain_pb2,
    limits_pb2,
    compliance_bundle_pb2,
    user_group_pb2,
    exception_pb2,
    policy_file_pb2,
    policy_pb2,
    siem_pb2,
    audit_pb2,
    approval_pb2,
    access_pb2,
    process_pb2,
)
"""The contracts whose services this server implements."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC.

    Attributes:
        service: the full name of its service, for example `pdp.v1.DecideService`.
        name: its own name, for example `Decide`.
        path: its gRPC path, for example `/pdp.v1.DecideService/Decide`.
        request: the class of its requests.
        response: the class of its responses.
        bidirectional: requests and responses are both streams.
        server_streaming: only the responses are a stream; see `Call.stream`.
        success_status, invalid_status: the HTTP statuses of success and of invalid values.
        max_values: how many JSON values the body of a request may hold.
        writes: whether it changes policies.
        role: the lowest role that may call it.
        callers: the roles that may call it, without those that include one of them.
        scope: whether it acts for one tenant or for all tenants at once.
        descriptor: its descriptor, with all options such as `google.api.http`.
    """

    service: str
    name: str
    path: str
    request: type[Message]
    response: type[Message]
    bidirectional: bool
    server_streaming: bool
    success_status: int
    invalid_status: int
    max_values: int
    writes: bool
    role: str
    callers: frozenset[str]
    scope: Scope
    descriptor: MethodDescriptor


MAX_WRITE_VALUES: Final = 500_000
"""JSON values in the body of a write. Documents of policies have more values than requests have,
and only editors and admins write."""


def services() -> tuple[ServiceDescriptor, ...]:
    """Returns the descriptors of all services."""
    return tuple(service for file in FILES for service in file.DESCRIPTOR.services_by_name.values())


def methods() -> Iterator[Method]:
    """Yields every RPC of every service."""
    for service in services():
        for descriptor in service.methods:
            rules = descriptor.GetOptions().Extensions[options_pb2.method]
            yield Method(
                service=service.full_name,
                name=descriptor.name,
                path=f"/{service.full_name}/{descriptor.name}",
                request=GetMessageClass(descriptor.input_type),
                response=GetMessageClass(descriptor.output_type),
                bidirectional=descriptor.client_streaming and descriptor.server_streaming,
                server_streaming=descriptor.server_streaming and not descriptor.client_streaming,
                success_status=rules.success_status or 200,
                invalid_status=rules.invalid_status or 400,
                max_values=MAX_WRITE_VALUES if rules.writes else MAX_VALUES,
                writes=rules.writes,
                role=_role(descriptor),
                callers=frozenset((_role(descriptor), *_further_roles(descriptor))),
                scope=_scope(descriptor),
                descriptor=descriptor,
            )


def _role(descriptor: MethodDescriptor) -> str:
    name = _role_name(descriptor.GetOptions().Extensions[options_pb2.access].role)
    if name not in ROLES:
        raise _undeclared(descriptor)
    return name


def _further_roles(descriptor: MethodDescriptor) -> Iterator[str]:
    return map(_role_name, descriptor.GetOptions().Extensions[options_pb2.access].also)


def _role_name(number: options_pb2.Role.ValueType) -> str:
    return options_pb2.Role.Name(number).removeprefix("ROLE_").lower()


def _scope(descriptor: MethodDescriptor) -> Scope:
    number = descriptor.GetOptions().Extensions[options_pb2.access].scope
    if number == options_pb2.SCOPE_PLATFORM:
        return "platform"
    if number == options_pb2.SCOPE_TENANT:
        return "tenant"
    raise _undeclared(descriptor)


def _undeclared(descriptor: MethodDescriptor) -> TypeError:
    return TypeError(
        f"{descriptor.full_name} does not declare who may call it. Set `option (access).role` and "
        "`option (access).scope` of the rpc; options.proto describes them"
    )
