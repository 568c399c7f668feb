"""Reads suites, and finds what is wrong with them before anything is run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import yaml

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.cases.comparison import OTHERS
from pdp.cases.model import Case, CaseStep, Error, Suite
from pdp.cases.sections import SECTIONS
from pdp.cases.yaml_source import parse
from pdp.client.base import rpc
from pdp.domain.tenant import is_tenant_id
from pdp.errors import PdpError
from pdp.jsonpb import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from google.protobuf.message import Message

    from pdp.cases.model import JsonObject

_SUITE_KEYS: Final = ("suite", "description", "policies", "cases")
_CASE_KEYS: Final = ("name", "why", "tenant", "before", "request", "expect", "error")
_ERROR_KEYS: Final = ("code", "field")


class CasesUnreadable(Exception):
    """A file that holds no suite; the message says what is wrong, and where."""


def find(paths: Sequence[Path]) -> Iterator[Path]:
    """Yields the files that `paths` name: themselves, or all YAML files below a directory.

    Raises:
        CasesUnreadable: a path does not exist, or a directory has no YAML files.

    """
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in {".yaml", ".yml"})
            if not found:
                raise CasesUnreadable(f"{path} has no YAML files")
            yield from found
        else:
            raise CasesUnreadable(f"{path} does not exist")


def load(file: Path) -> Suite:
    """Reads one suite. What is wrong with a single case fails that case when it is run.

    Raises:
        CasesUnreadable: it is no suite, or its policies are not as the contracts want them.

    """
    try:
        document = parse(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CasesUnreadable(f"{file}: {error}") from None
    problems = list(_problems_of_suite(document))
    if problems:
        raise CasesUnreadable(f"{file}: {'; '.join(problems)}")
    cases = tuple(_case(entry, index) for index, entry in enumerate(document["cases"]))
    return Suite(
        name=document["suite"],
        description=document.get("description", ""),
        file=file,
        steps=tuple(_steps(document.get("policies", {}))),
        cases=tuple(_without_namesakes(cases)),
    )


def _problems_of_suite(document: Any) -> Iterator[str]:
    if not isinstance(document, dict):
        yield "a suite is a mapping with the keys suite and cases"
        return
    yield from _unknown(document, _SUITE_KEYS)
    if not (isinstance(document.get("suite"), str) and document["suite"]):
        yield "suite: must be the name of the suite"
    if not isinstance(document.get("description", ""), str):
        yield "description: must be a text"
    if not (isinstance(document.get("cases"), list) and document["cases"]):
        yield "cases: must be a list of at least one case"
    policies = document.get("policies", {})
    if not isinstance(policies, dict):
        yield "policies: must be a mapping"
        return
    for key, entries in policies.items():
        yield from _problems_of_section(key, entries)


def _problems_of_section(key: str, entries: Any) -> Iterator[str]:
    section = SECTIONS.get(key)
    if section is None:
        yield f"policies.{key}: unknown key; known are {', '.join(SECTIONS)}"
        return
    if not isinstance(entries, list):
        yield f"policies.{key}: must be a list"
        return
    for index, entry in enumerate(entries):
        body = _renamed(entry, key)
        yield from _misfits(body, rpc(section.create).request(), f"policies.{key}[{index}].")


def _renamed(entry: Any, key: str) -> Any:
    aliases = SECTIONS[key].aliases
    if not isinstance(entry, dict):
        return entry
    return {aliases.get(name, name): value for name, value in entry.items()}


def _steps(policies: JsonObject) -> Iterator[CaseStep]:
    for key, section in SECTIONS.items():
        for entry in policies.get(key, ()):
            yield CaseStep(section.create, _renamed(entry, key))


def _case(entry: Any, index: int) -> Case:
    name = entry.get("name") if isinstance(entry, dict) else None
    name = name if isinstance(name, str) and name else f"case {index + 1}"
    problems = tuple(_problems_of_case(entry))
    if problems:
        return Case(name, "", problems=problems)
    error = entry.get("error")
    return Case(
        name=name,
        why=entry["why"],
        request=entry.get("request", {}),
        before=tuple(entry.get("before", ())),
        expect=entry.get("expect"),
        error=Error(**error) if error is not None else None,
        tenant=entry.get("tenant", ""),
    )


def _problems_of_case(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "a case is a mapping"
        return
    yield from _unknown(entry, _CASE_KEYS)
    for key in ("name", "why"):
        text = entry.get(key)
        if not isinstance(text, str) or not text or "\n" in text:
            yield f"{key}: must be one line of text"
    if not is_tenant_id(entry.get("tenant", "other")):
        yield "tenant: must be made of A-Z a-z 0-9 . _ -"
    if not isinstance(entry.get("request", {}), dict):
        yield "request: must be a mapping"
    yield from _problems_of_before(entry.get("before", []))
    if ("expect" in entry) == ("error" in entry):
        yield "a case has either expect or error"
    elif "expect" in entry:
        yield from _misfits(_spelt_out(entry["expect"]), pb.DecideResponse(), "expect.")
    else:
        yield from _problems_of_error(entry["error"])


def _problems_of_before(before: Any) -> Iterator[str]:
    if not isinstance(before, list):
        yield "before: must be a list of requests"
        return
    for index, request in enumerate(before):
        if isinstance(request, dict):
            yield from _misfits(request, pb.DecideRequest(), f"before[{index}].")
        else:
            yield f"before[{index}]: must be a mapping"


def _problems_of_error(error: Any) -> Iterator[str]:
    if not isinstance(error, dict):
        yield "error: must be a mapping with the key code"
        return
    yield from _unknown(error, _ERROR_KEYS, "error.")
    if not isinstance(error.get("code"), str) or not isinstance(error.get("field", ""), str):
        yield "error: code must be a text, and field where it is given"


def _spelt_out(expect: Any) -> Any:
    """Returns `expect` as a DecideResponse has it: without `...`, and policies as objects."""
    if not isinstance(expect, dict):
        return expect
    spelt = {key: _without_others(value) for key, value in expect.items()}
    for key in ("matches", "warnings"):
        if isinstance(spelt.get(key), list):
            spelt[key] = [
                {"policy_id": each} if isinstance(each, str) else each for each in spelt[key]
            ]
    return spelt


def _without_others(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_others(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_others(item) for item in value if item != OTHERS]
    return value


def _unknown(mapping: JsonObject, known: Sequence[str], prefix: str = "") -> Iterator[str]:
    for key in mapping:
        if key not in known:
            yield f"{prefix}{key}: unknown key; known are {', '.join(known)}"


def _misfits(body: Any, message: Message, prefix: str) -> Iterator[str]:
    """Yields why `body` is not the JSON of `message`."""
    try:
        decode(body, message, prefix)
    except PdpError as error:
        yield error.message


def _without_namesakes(cases: Sequence[Case]) -> Iterator[Case]:
    seen: set[str] = set()
    for case in cases:
        if case.name in seen:
            yield replace(case, problems=(*case.problems, "another case has the same name"))
        else:
            yield case
        seen.add(case.name)
