"""Writes ONNX graphs without the `onnx` package, as far as tests need the format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INT64: Final = 7
FLOAT: Final = 1
BOOL: Final = 9

_TYPES: Final = {np.dtype("int64"): INT64, np.dtype("float32"): FLOAT}
_OPSET: Final = 17
_IR_VERSION: Final = 8
_INT, _INTS = 2, 7

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {"i": _Field.TYPE_INT64, "s": _Field.TYPE_STRING, "b": _Field.TYPE_BYTES}

# The messages of onnx.proto that are used here: (field, number, type, whether it is a list).
_MESSAGES: Final[Mapping[str, Sequence[tuple[str, int, str, bool]]]] = {
    "Attribute": (
        ("name", 1, "s", False),
        ("i", 3, "i", False),
        ("ints", 8, "i", True),
        ("type", 20, "i", False),
    ),
    "Value": (("name", 1, "s", False), ("type", 2, "Type", False)),
    "Node": (
        ("input", 1, "s", True),
        ("output", 2, "s", True),
        ("op_type", 4, "s", False),
        ("attribute", 5, "Attribute", True),
    ),
    "Model": (
        ("ir_version", 1, "i", False),
        ("graph", 7, "Graph", False),
        ("opset_import", 8, "Opset", True),
    ),
    "Graph": (
        ("node", 1, "Node", True),
        ("name", 2, "s", False),
        ("initializer", 5, "Tensor", True),
        ("input", 11, "Value", True),
        ("output", 12, "Value", True),
    ),
    "Tensor": (
        ("dims", 1, "i", True),
        ("data_type", 2, "i", False),
        ("name", 8, "s", False),
        ("raw_data", 9, "b", False),
    ),
    "Type": (("tensor_type", 1, "TensorType", False),),
    "TensorType": (("elem_type", 1, "i", False), ("shape", 2, "Shape", False)),
    "Shape": (("dim", 1, "Dim", True),),
    "Dim": (("dim_param", 2, "s", False),),
    "Opset": (("version", 2, "i", False),),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="tests/onnx.proto", package="pdp.tests.onnx", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, is_list in fields:
            label = _Field.LABEL_REPEATED if is_list else _Field.LABEL_OPTIONAL
            field_ = message.field.add(name=field, number=number, label=label)
            if kind in _SCALARS:
                field_.type = _SCALARS[kind]
            else:
                field_.type, field_.type_name = _Field.TYPE_MESSAGE, f".pdp.tests.onnx.{kind}"
    return file


_POOL: Final = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(_file().SerializeToString())


def _message(name: str) -> Any:
    return GetMessageClass(_POOL.FindMessageTypeByName(f"pdp.tests.onnx.{name}"))


class Graph:
    """A graph under construction. Each of its values has a name."""

    def __init__(self) -> None:
        self._model = _message("Model")(ir_version=_IR_VERSION)
        self._model.opset_import.add(version=_OPSET)
        self._graph = self._model.graph
        self._graph.name = "tests"
        self._count = 0

    def input(self, name: str, kind: int, *shape: str) -> str:
        """Declares an input whose dimensions have names."""
        _declare(self._graph.input.add(name=name), kind, shape)
        return name

    def output(self, value: str, name: str, *shape: str) -> None:
        """Declares `value`, a tensor of floats, as an output."""
        self._graph.node.add(op_type="Identity", input=[value], output=[name])
        _declare(self._graph.output.add(name=name), FLOAT, shape)

    def constant(self, value: Any) -> str:
        """Adds a tensor."""
        array = np.asarray(value)
        name = self._name()
        self._graph.initializer.add(
            name=name,
            dims=array.shape,
            data_type=_TYPES[array.dtype],
            raw_data=array.tobytes(),
        )
        return name

    def __call__(self, operator: str, *inputs: str, **attributes: int | list[int]) -> str:
        """Adds a node; returns its output."""
        name = self._name()
        node = self._graph.node.add(op_type=operator, input=inputs, output=[name])
        for attribute, value in attributes.items():
            if isinstance(value, int):
                node.attribute.add(name=attribute, i=value, type=_INT)
            else:
                node.attribute.add(name=attribute, ints=value, type=_INTS)
        return name

    def serialised(self) -> bytes:
        """Returns the model in its file format."""
        data: bytes = self._model.SerializeToString()
        return data

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"


def _declare(value: Any, kind: int, shape: Sequence[str]) -> None:
    tensor = value.type.tensor_type
    tensor.elem_type = kind
    for name in shape:
        tensor.shape.dim.add(dim_param=name)
