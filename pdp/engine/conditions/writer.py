"""Where code is written down: a block of statements, the constants bound to it, its variables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.conditions import python
from pdp.engine.conditions.kinds import ValueType

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterator


class Slot(NamedTuple):
    """Where a value is once it is computed.

    Attributes:
        name: of the variable or constant that holds it.
        kind: what it is certain to be if it is not null; ANY where that is not certain.
        nullable: whether it may be null.
    """

    name: str
    kind: ValueType = ValueType.ANY
    nullable: bool = True

    @property
    def load(self) -> ast.expr:
        """The value."""
        return python.load(self.name)


_CONSTANT_KINDS: Final = {
    type(None): ValueType.NULL,
    bool: ValueType.BOOLEAN,
    int: ValueType.NUMBER,
    float: ValueType.NUMBER,
    str: ValueType.TEXT,
}


class Writer:
    """One function in the making."""

    def __init__(self) -> None:
        self.block: list[ast.stmt] = []
        self.constants: dict[str, Any] = {}
        self._names: dict[tuple[type, Any], str] = {}
        self._variables = 0

    def bind(self, value: Any) -> ast.expr:
        """Returns what stands for a constant, or for a function: a number, never its text."""
        return python.load(self._name_of(value))

    def constant(self, value: Any) -> Slot:
        """Returns the slot of a constant."""
        kind = _CONSTANT_KINDS.get(type(value), ValueType.ANY)
        return Slot(self._name_of(value), kind, nullable=value is None)

    def _name_of(self, value: Any) -> str:
        # True equals 1, and a tuple of one that of the other: only what is of one type is the same.
        key = (type(value), id(value) if isinstance(value, tuple) else value)
        name = self._names.setdefault(key, f"constant{len(self._names)}")
        self.constants[name] = value
        return name

    def store(
        self, value: ast.expr, kind: ValueType = ValueType.ANY, *, nullable: bool = True
    ) -> Slot:
        """Writes the assignment of `value` to a new variable."""
        self._variables += 1
        name = f"value{self._variables}"
        self.block.append(python.assign(name, value))
        return Slot(name, kind, nullable)

    def call(self, function: Callable[..., Any], *arguments: Slot) -> ast.expr:
        """`function(*arguments)`."""
        return python.call(self.bind(function), *(argument.load for argument in arguments))

    @contextmanager
    def branch(self, test: ast.expr) -> Iterator[None]:
        """What is written within runs where `test` holds."""
        outer, self.block = self.block, []
        try:
            yield
        finally:
            inner, self.block = self.block, outer
        self.block.append(python.when(test, inner))
