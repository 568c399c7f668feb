"""RPCs of other contracts that adapters serve, behind the guards of our own RPCs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message_factory import GetMessageClass

from pdp.domain.access import PEP
from pdp.domain.request import MAX_VALUES
from pdp.transport.call import Handler
from pdp.transport.methods import Method

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

    from pdp.transport.call import Call, Endpoint


def foreign_method(descriptor: MethodDescriptor) -> Method:
    """Returns an RPC of another contract. Enforcement points call it, each for one tenant."""
    service = descriptor.containing_service
    return Method(
        service=service.full_name,
        name=descriptor.name,
        path=f"/{service.full_name}/{descriptor.name}",
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(descriptor.output_type),
        bidirectional=descriptor.client_streaming and descriptor.server_streaming,
        server_streaming=descriptor.server_streaming and not descriptor.client_streaming,
        success_status=200,
        invalid_status=400,
        max_values=MAX_VALUES,
        writes=False,
        role=PEP,
        callers=frozenset({PEP}),
        scope="tenant",
        descriptor=descriptor,
    )


def foreign_handler(handle: Endpoint) -> Handler:
    """Returns how an RPC of another contract is handled.

    Its messages have no bounds that we know, so `handle` checks them; it also settles the tenant.
    """
    return Handler(handle, check=_check_nothing, settles_tenant=True)


def _check_nothing(call: Call, message: Message) -> None:
    """Leaves the message to the handler."""
