"""Decision cases: requests and their expected decisions, as readable YAML.

A file is one suite: policies, and cases that are run under them. `load` reads a suite, `run` runs
it on a `CaseTarget`, and `tests/cases` has examples. `schema.json` is for editors. Requests,
policies and expectations are checked against the contracts, so a case with an unknown key fails.
"""

from __future__ import annotations

from pdp.cases.loader import CasesUnreadable, find, find_skipped, is_policy_file, load
from pdp.cases.model import Case, Difference, ExpectedError, Result, Suite, SuiteResult
from pdp.cases.runner import run
from pdp.cases.targets import CaseTarget, ClientTarget, EngineTarget

__all__ = [
    "Case",
    "CaseTarget",
    "CasesUnreadable",
    "ClientTarget",
    "Difference",
    "EngineTarget",
    "ExpectedError",
    "Result",
    "Suite",
    "SuiteResult",
    "find",
    "find_skipped",
    "is_policy_file",
    "load",
    "run",
]
