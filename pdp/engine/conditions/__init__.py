"""The condition language of custom rules (decide.md; docs/conditions.md).

A condition is compiled to Python when its policy is written. Its evaluation on a request takes a
fraction of a microsecond.
"""

from __future__ import annotations

from pdp.engine.conditions.condition import Condition, compile_condition
from pdp.engine.conditions.explanation import Explanation
from pdp.engine.conditions.truth import Truth
from pdp.engine.conditions.unclear_names import refuse_unclear_names

__all__ = ["Condition", "Explanation", "Truth", "compile_condition", "refuse_unclear_names"]
