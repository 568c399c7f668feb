"""Decision cases: requests and what they must come to, as YAML that anyone can read.

A file is one suite: policies, and cases that are judged under them. `load` reads suites, `run`
judges them on a `CaseTarget`, and `tests/cases` has examples. `schema.json` is for editors; what a
request, a policy and an expectation may hold is read from the contracts themselves, so an unknown
key anywhere fails the case that has it.
"""

from __future__ import annotations

from pdp.cases.loader import CasesUnreadable, find, load
from pdp.cases.model import Case, Difference, Error, Result, Suite, SuiteResult
from pdp.cases.runner import run
from pdp.cases.targets import CaseTarget, ClientTarget, EngineTarget

__all__ = [
    "Case",
    "CaseTarget",
    "CasesUnreadable",
    "ClientTarget",
    "Difference",
    "EngineTarget",
    "Error",
    "Result",
    "Suite",
    "SuiteResult",
    "find",
    "load",
    "run",
]
