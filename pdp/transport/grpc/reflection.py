"""Server reflection, as `grpc.reflection.v1` and `v1alpha`.

The library serves `v1alpha` only, and newer tools ask for `v1` first. The messages of the two are
the same on the wire, so one implementation serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import FileDescriptor

SERVICE_NAMES: Final = (reflection.SERVICE_NAME, "grpc.reflection.v1.ServerReflection")

_PACKAGE: Final = "grpc.reflection.v1"
_FILE: Final = "grpc/reflection/v1/reflection.proto"


def add_reflection(services: Iterable[str], server: grpc.aio.Server) -> None:
    """Adds reflection to a server.

    Args:
        services: the full names of the other services.
        server: the server; it is not started yet.
    """
    names = (*services, *SERVICE_NAMES)
    servicer = reflection.aio.ReflectionServicer(names, pool=_Pool())
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": handler}
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, methods) for name in SERVICE_NAMES)
    )


class _Pool:
    """The default pool, with the contract of `v1` beside it.

    The contract is not added to the default pool, where another package may add its own.
    """

    def __init__(self) -> None:
        self._default: Any = descriptor_pool.Default()
        self._own = descriptor_pool.DescriptorPool()
        self._own.AddSerializedFile(_contract().SerializeToString())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._default, name)

    def FindFileByName(self, name: str) -> FileDescriptor:  # noqa: N802 - the library's name
        """See `DescriptorPool.FindFileByName`."""
        pool = self._own if name == _FILE else self._default
        file: FileDescriptor = pool.FindFileByName(name)
        return file

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - as above
        """See `DescriptorPool.FindFileContainingSymbol`."""
        pool = self._own if symbol.startswith(f"{_PACKAGE}.") else self._default
        file: FileDescriptor = pool.FindFileContainingSymbol(symbol)
        return file


def _contract() -> descriptor_pb2.FileDescriptorProto:
    """Returns the contract of `v1`: that of `v1alpha` in another package."""
    contract = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(contract)
    old, contract.name, contract.package = contract.package, _FILE, _PACKAGE
    fields = (field for message in contract.message_type for field in message.field)
    for field in fields:
        if not field.type_name:  # a scalar must not have one
            continue
        field.type_name = field.type_name.replace(f".{old}.", f".{_PACKAGE}.")
    for method in contract.service[0].method:
        method.input_type = method.input_type.replace(f".{old}.", f".{_PACKAGE}.")
        method.output_type = method.output_type.replace(f".{old}.", f".{_PACKAGE}.")
    return contract
