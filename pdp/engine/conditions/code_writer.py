"""Collects the code of one function: its statements, constants and variables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.conditions import python_ast
from pdp.engine.conditions.value_types import ValueType

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterator


class Slot(NamedTuple):
    """The variable or constant that holds a value.

    Attributes:
        name: the name of the variable or constant.
        type: the type of the value if it is not null; ANY if that is known only at run time.
        nullable: whether the value can be null.
    """

    name: str
    type: ValueType = ValueType.ANY
    nullable: bool = True

    @property
    def load(self) -> ast.expr:
        """The expression for the value."""
        return python_ast.load(self.name)


_CONSTANT_TYPES: Final = {
    type(None): ValueType.NULL,
    bool: ValueType.BOOLEAN,
    int: ValueType.NUMBER,
    float: ValueType.NUMBER,
    str: ValueType.TEXT,
}


class CodeWriter:
    """Collects the code of one function.

    Attributes:
        block: the statements of the current block.
        constants: the constants, by name.
    """

    def __init__(self) -> None:
        self.block: list[ast.stmt] = []
        self.constants: dict[str, Any] = {}
        self._names: dict[tuple[type, Any], str] = {}
        self._variables = 0

    def bind(self, value: Any) -> ast.expr:
        """Returns the expression for a constant or a function: a numbered name, never its text."""
        return python_ast.load(self._name_of(value))

    def constant(self, value: Any) -> Slot:
        """Returns the slot of a constant."""
        value_type = _CONSTANT_TYPES.get(type(value), ValueType.ANY)
        return Slot(self._name_of(value), value_type, nullable=value is None)

    def _name_of(self, value: Any) -> str:
        # True equals 1, so the key has the type too. Tuples can contain both: identity decides.
        key = (type(value), id(value) if isinstance(value, tuple) else value)
        name = self._names.setdefault(key, f"constant{len(self._names)}")
        self.constants[name] = value
        return name

    def store(
        self, value: ast.expr, value_type: ValueType = ValueType.ANY, *, nullable: bool = True
    ) -> Slot:
        """Writes the assignment of `value` to a new variable."""
        self._variables += 1
        name = f"value{self._variables}"
        self.block.append(python_ast.assign(name, value))
        return Slot(name, value_type, nullable)

    def call(self, function: Callable[..., Any], *arguments: Slot) -> ast.expr:
        """Returns the expression `function(*arguments)`."""
        return python_ast.call(self.bind(function), *(argument.load for argument in arguments))

    @contextmanager
    def branch(self, test: ast.expr) -> Iterator[None]:
        """Makes the code that is written in this context run only if `test` is true."""
        outer, self.block = self.block, []
        try:
            yield
        finally:
            inner, self.block = self.block, outer
        self.block.append(python_ast.if_(test, inner))
