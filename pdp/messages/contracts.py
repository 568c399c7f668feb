"""The bounds in the contracts, read from `pdp/_gen/contracts.binpb`.

The stubs carry no `buf.validate` options. The full contracts are loaded into a private descriptor
pool, so that this process may also use packages that register another version of
`buf/validate/validate.proto` in the default pool.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message


def _load() -> DescriptorPool:
    data = resources.files("pdp._gen").joinpath("contracts.binpb").read_bytes()
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    return pool


_POOL: Final = _load()


@cache
def bounded_class(full_name: str) -> type[Message]:
    """Returns the class of a message whose descriptor has the bounds.

    Args:
        full_name: of the message, for instance `pdp.v1.DecideRequest`.
    """
    return GetMessageClass(_POOL.FindMessageTypeByName(full_name))


def field_rules(field: FieldDescriptor) -> Any:
    """Returns the `buf.validate.FieldRules` of a field, which are empty if it has none."""
    bounded = _POOL.FindFieldByName(field.full_name)
    options: Any = bounded_class("google.protobuf.FieldOptions")
    extension = _POOL.FindExtensionByName("buf.validate.field")
    return options.FromString(bounded.GetOptions().SerializeToString()).Extensions[extension]
