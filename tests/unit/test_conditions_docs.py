"""The examples in docs/conditions.md are correct."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.engine.conditions import compile_condition
from pdp.engine.conditions.functions import FUNCTIONS
from pdp.engine.conditions.names import FIELDS
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.findings import NOT_SCANNED
from pdp.errors import InvalidCondition
from pdp.jsonpb import decode
from pdp.messages.conversion import to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.domain.request import Request

PAGE: Final = (Path(__file__).parents[2] / "docs/conditions.md").read_text()
RESULTS: Final = {"true": True, "false": False, "unknown": None}


class Example(NamedTuple):
    """One row of a table whose first column is a condition."""

    condition: str
    result: str
    request: str = ""
    timezone: str = "UTC"


def examples() -> Iterator[Example]:
    """Yields the rows of all tables whose first column is `condition`."""
    columns: list[str] = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            columns = []
        elif cells[0] == "condition":
            columns = [cell.replace(" ", "_") for cell in cells]
        elif columns and not line.startswith("|---"):
            values = [cell.removeprefix("`").removesuffix("`") for cell in cells]
            yield Example(**dict(zip(columns, values, strict=True)))


EXAMPLES: Final = list(examples())


def request_of(body: str) -> Request:
    """Returns the request for a JSON document."""
    message = decide_pb2.DecideRequest()
    decode(json.loads(body), message)
    return to_request(message, "default", "r1")


def fenced(language: str) -> list[str]:
    """Returns the code blocks of the page in a language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for tag, text in blocks if tag == language]


THE_REQUEST: Final = fenced("json")[1]


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.condition for each in EXAMPLES])
def test_an_example_has_the_result_on_the_page(example: Example) -> None:
    if example.result == "refused":
        with pytest.raises(InvalidCondition):
            compile_condition(example.condition, example.timezone)
        return
    condition = compile_condition(example.condition, example.timezone)
    request = request_of(example.request or THE_REQUEST)
    facts = NO_FACT_SOURCE.of(request, NOT_SCANNED)
    assert condition.evaluate(request, facts) is RESULTS[example.result]
    assert condition.explain(request, facts).truth is RESULTS[example.result]


def test_every_function_and_operator_has_an_example() -> None:
    conditions = "\n".join(each.condition for each in EXAMPLES if each.result != "refused")
    for function in FUNCTIONS:
        assert f"{function}(" in conditions
    for operator in ("=", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"):
        assert f" {operator} " in conditions
    for words in ("AND", "OR", "NOT", "IN", "LIKE", "MATCHES", "BETWEEN"):
        assert f" {words} " in conditions
        assert words in {"AND", "OR", "NOT"} or f" NOT {words} " in conditions
    assert {"IS NULL", "IS NOT NULL"} <= set(re.findall(r"IS (?:NOT )?NULL", conditions))


def test_every_name_is_on_the_page_and_in_an_example() -> None:
    used: set[str] = set()
    for each in EXAMPLES:
        if each.result != "refused":
            used.update(compile_condition(each.condition).names)
    assert set(FIELDS) - {"arguments", "subject.attributes"} <= used
    assert all(f"`{name}`" in PAGE for name in set(FIELDS) - {"subject.attributes"})


def test_the_first_example_and_its_message_are_real() -> None:
    rule: dict[str, Any] = json.loads(fenced("json")[0])["custom_rules"]
    assert compile_condition(rule["max_sensitivity_for_batch"]["condition"]).warnings == ()
    with pytest.raises(InvalidCondition) as caught:
        compile_condition("batch_size >")
    assert caught.value.message + "\n" in fenced("")
