"""Asserts that compiled conditions consist of safe code only."""

from __future__ import annotations

import dis
from types import BuiltinMethodType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.request import Request, Subject, Target
from pdp.engine.conditions.facts import NO_FACTS, UnknownFacts
from pdp.engine.conditions.truth import Members

if TYPE_CHECKING:
    from collections.abc import Callable

FACTS: Final = {name for name in vars(UnknownFacts) if not name.startswith("_")}
ATTRIBUTES: Final = {*Request._fields, *Subject._fields, *Target._fields, *FACTS, "get"}
"""The fields of the request, the facts, and the only document method that a condition may call."""

_LOOP_OPERATIONS: Final = ("BACKWARD", "FOR_ITER", "GET_ITER", "YIELD", "SEND")
_OUTER_OPERATIONS: Final = (
    "GLOBAL",
    "LOAD_NAME",
    "IMPORT",
    "STORE_ATTR",
    "STORE_SUBSCR",
    "MAKE_FUNCTION",
)
_CONSTANT_TYPES: Final = (bool, int, float, str, type(None), Members)


def assert_harmless(evaluate: Callable[[Request], Any]) -> None:
    """Fails if a compiled condition could loop, or access anything except its inputs."""
    assert isinstance(evaluate, FunctionType)
    code = evaluate.__code__
    assert evaluate.__globals__ == {"__builtins__": {}}
    assert evaluate.__defaults__ == (NO_FACTS,)
    assert evaluate.__kwdefaults__ is None
    assert (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount) == (2, 0, 0)
    assert set(code.co_names) <= ATTRIBUTES
    assert {type(constant) for constant in code.co_consts} <= {bool, type(None)}
    for name in (*code.co_varnames[2:], *code.co_freevars):
        assert name.rstrip("0123456789") in {"value", "constant"}
    for instruction in dis.get_instructions(code):
        operation = instruction.opname
        assert not any(each in operation for each in (*_LOOP_OPERATIONS, *_OUTER_OPERATIONS)), (
            operation
        )
    for cell in evaluate.__closure__ or ():
        assert _is_harmless(cell.cell_contents), cell.cell_contents


def _is_harmless(value: object) -> bool:
    match value:
        case tuple() | frozenset():
            return all(isinstance(item, _CONSTANT_TYPES) for item in value)
        case MethodType() | FunctionType():
            return value.__module__.startswith("pdp.engine.conditions.")
        case BuiltinMethodType():
            return False
        case type():
            return value in {type, float, int, str}
        case _:
            return isinstance(value, _CONSTANT_TYPES)
