"""Tables of conditions with their results, all for one request."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pdp.domain.request import Request, Subject, Target
from pdp.engine.conditions import Truth, compile_condition

T, F, U = True, False, None

REQUEST = Request(
    action="database:table:drop.cascade",
    tool="read_file",
    arguments={
        "sql": "DROP TABLE users",
        "limit": 5.0,
        "nested": {"deep": {"er": "x"}},
        "void": None,
    },
    provider="openai",
    model="gpt-4o",
    subject=Subject(
        user_id="u1",
        groups=("contractors", "emea"),
        agent_id="claude-code",
        risk_score=0.4,
        attributes={"team": "payments", "user_id": "hidden", "level": 3},
    ),
    target=Target(
        resource_type="table", sensitivity_level=3, classifications=("PII", "PHI"), fields=("ssn",)
    ),
    context={
        "batch_size": 200.0,
        "negative": -7.0,
        "whole": 7,
        "huge": 10**400,
        "nan": float("nan"),
        "infinite": float("inf"),
        "flag": True,
        "off": False,
        "nothing": None,
        "name": "Ada",
        "empty": "",
        "path": "C:\\100%_done",
        "when": "2026-02-26T04:00:00+01:00",
        "day": "2026-02-26",
        "tags": ["a", "b", "b"],
        "mixed": ["a", 1.0, None],
        "truths": [True, False],
        "unsure": [False, None],
        "none": [],
        "object": {"key": "value"},
        "action": "shadowed",
        "lines": "one\ntwo",
    },
    timestamp=datetime(2026, 2, 26, 3, 0, 59, 500_000, tzinfo=UTC).timestamp(),
)


def of(source: str, timezone: str = "UTC", request: Request = REQUEST) -> Truth:
    """Returns the result of a compiled condition, which must equal that of its explanation."""
    condition = compile_condition(source, timezone)
    truth = condition.evaluate(request)
    assert condition.explain(request).truth is truth
    return truth


def table(*rows: tuple[str, Truth]) -> pytest.MarkDecorator:
    """Parametrizes a test with conditions and their results."""
    return pytest.mark.parametrize(("source", "expected"), rows, ids=[row[0] for row in rows])
