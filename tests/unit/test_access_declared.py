"""Every RPC declares its role and scope; otherwise the build fails (docs/access.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from pdp._gen.pdp.v1 import options_pb2
from pdp.domain.access import ROLES
from pdp.transport import methods as read
from pdp.transport.methods import methods, services

PROTO = Path(__file__).parents[2] / "proto/pdp/v1"


def method_with(options: descriptor_pb2.MethodOptions | None) -> object:
    """Returns the descriptor of an RPC with these options."""
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", package="x", syntax="proto3")
    file.message_type.add(name="M")
    rpc = file.service.add(name="S").method.add(name="R", input_type=".x.M", output_type=".x.M")
    if options is not None:
        rpc.options.CopyFrom(options)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("x.S").methods_by_name["R"]


def access(**fields: int) -> descriptor_pb2.MethodOptions:
    options = descriptor_pb2.MethodOptions()
    options.Extensions[options_pb2.access].CopyFrom(options_pb2.Access(**fields))  # type: ignore[arg-type] # enums are numbers
    return options


def test_every_rpc_declares_a_role_and_a_scope() -> None:
    declared = list(methods())
    assert len(declared) > 50
    assert {method.role for method in declared} == set(ROLES)
    assert {method.scope for method in declared} == {"tenant", "platform"}


def test_all_services_are_served() -> None:
    """Otherwise no test would cover the contract."""
    declared = {
        line.split()[1]
        for file in PROTO.glob("*.proto")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("service ")
    }
    assert declared == {service.name for service in services()}


@pytest.mark.parametrize(
    "options",
    [
        None,
        access(),
        access(role=options_pb2.ROLE_PEP),
        access(scope=options_pb2.SCOPE_TENANT),
    ],
)
def test_an_rpc_without_a_role_or_scope_stops_the_build(
    options: descriptor_pb2.MethodOptions | None,
) -> None:
    """The error names the RPC and the missing option."""
    descriptor = method_with(options)
    with pytest.raises(
        TypeError, match=r"x\.S\.R does not declare who may call it\. .*option \(access"
    ):
        (read._role(descriptor), read._scope(descriptor))  # type: ignore[arg-type] # an object to others
