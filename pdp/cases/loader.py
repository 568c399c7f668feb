"""Reads suites, and reports their problems before they are run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import yaml

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.cases.comparison import OTHERS
from pdp.cases.model import Case, CaseStep, ExpectedError, Suite, SuitePolicies
from pdp.cases.sections import SECTIONS
from pdp.client.base import rpc
from pdp.domain.tenant import is_tenant_id
from pdp.errors import InvalidArgument, PdpError
from pdp.jsonpb import decode
from pdp.policy_files.directory import read_directory
from pdp.policy_files.entries import read_entries
from pdp.policy_files.secrets import masked
from pdp.policy_files.strict_yaml import describe, parse
from pdp.policy_files.text import PolicyText, line_of, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from google.protobuf.message import Message

    from pdp.cases.model import JsonObject

_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_SUITE_KEYS: Final = (
    "suite",
    "description",
    "format",
    "tenant",
    "policies_file",
    "policies",
    "cases",
)
_CASES: Final = frozenset({"suite", "cases"})
_CASE_KEYS: Final = ("name", "why", "tenant", "before", "request", "expect", "error")
_ERROR_KEYS: Final = ("code", "field")


class CasesUnreadable(Exception):
    """A file is not a suite; the message says what is wrong and where."""


def find(paths: Sequence[Path]) -> Iterator[Path]:
    """Yields the files of `paths`: each file, and all YAML files below each directory.

    Raises:
        CasesUnreadable: a path does not exist, or a directory has no YAML files.
    """
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES)
            if not files:
                raise CasesUnreadable(f"{path} has no YAML files")
            yield from files
        else:
            raise CasesUnreadable(f"{path} does not exist")


def find_skipped(paths: Sequence[Path]) -> Sequence[Path]:
    """Returns the files below the directories of `paths` that `find` does not yield.

    Hidden files, and files in hidden directories, are not included.
    """
    return sorted(
        file
        for path in paths
        if path.is_dir()
        for file in path.rglob("*")
        if file.is_file() and file.suffix not in _SUFFIXES and not _is_hidden(file, path)
    )


def _is_hidden(file: Path, directory: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(directory).parts)


def is_policy_file(file: Path) -> bool:
    """Returns whether a file has policies and no cases: not a suite, but not a mistake either."""
    try:
        document = parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(document, dict) and "policies" in document and not document.keys() & _CASES


def load(file: Path) -> Suite:
    """Reads one suite. A problem of a single case makes only that case fail when it is run.

    Raises:
        CasesUnreadable: the file is not a suite, or its policies are not valid.
    """
    document, text = _read(file)
    problems = list(_suite_problems(document))
    if problems:
        raise _unreadable(file, text.root, problems)
    policies = document.get("policies") or {}
    platform = {key: policies[key] for key in SECTIONS if key in policies}
    own = {key: value for key, value in policies.items() if key not in SECTIONS}
    files = document.get("policies_file", [])
    names = [files] if isinstance(files, str) else files
    sources = [_policy_file(file, text, name) for name in names]
    sources.append(_of_file(file, own, text))
    for source in sources:
        _check_policies(source)
    cases = tuple(
        _case(entry, index, text.line_of(f"cases[{index}]"))
        for index, entry in enumerate(document["cases"])
    )
    return Suite(
        name=document.get("suite") or file.stem,
        description=document.get("description", ""),
        file=file,
        steps=tuple(_steps(platform)),
        cases=tuple(_mark_duplicates(cases)),
        policies=tuple(each for each in sources if each.document),
    )


def _read(file: Path) -> tuple[Any, PolicyText]:
    """Returns the value of a YAML file, and its text.

    Raises:
        CasesUnreadable: the file cannot be read, or is not YAML.
    """
    try:
        source = file.read_text(encoding="utf-8")
        document = parse(source)
    except OSError as error:
        raise CasesUnreadable(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CasesUnreadable(f"{file} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise CasesUnreadable(f"{file} is not YAML: {describe(error)}") from None
    return document, PolicyText("", {}, is_suite=True, root=yaml.compose(source, yaml.SafeLoader))


def _of_file(file: Path, document: Any, text: PolicyText) -> SuitePolicies:
    return SuitePolicies(file, document, lambda path: (file, text.line_of(path)))


def _policy_file(suite: Path, text: PolicyText, name: str) -> SuitePolicies:
    """Returns the policies of a file that a suite names, or of all files of a directory.

    Raises:
        CasesUnreadable: a file cannot be read, or is not a policy file.
    """
    file = suite.parent / name
    try:
        if file.is_dir():
            checkout = read_directory(file)
            return SuitePolicies(
                file, checkout.policies, lambda path: checkout.find(path) or (file, 1)
            )
        read = read_text(file.read_bytes())
    except OSError as error:
        reason = f"policies_file: {name} cannot be read: {error.strerror}"
        raise _unreadable(suite, text.root, [("policies_file", reason)]) from None
    except PdpError as error:
        raise CasesUnreadable(f"{file}: {error.message}") from None
    return _of_file(file, read.policies, read)


def _check_policies(source: SuitePolicies) -> None:
    try:
        read_entries(masked(source.document))
    except InvalidArgument as error:
        lines = (
            "{}:{}: {}: {}".format(*source.place_of(each.field), *each) for each in error.violations
        )
        raise CasesUnreadable("\n".join(lines)) from None
    except PdpError as error:
        raise CasesUnreadable(f"{source.source}: {error.message}") from None


def _unreadable(file: Path, root: Any, problems: Sequence[tuple[str, str]]) -> CasesUnreadable:
    """Returns the error for problems, each with its path: one line for each, with its place."""
    return CasesUnreadable(
        "\n".join(f"{file}:{line_of(root, path)}: {reason}" for path, reason in problems)
    )


def _suite_problems(document: Any) -> Iterator[tuple[str, str]]:
    """Yields the problems of a suite, each with the path and what is wrong."""
    if not isinstance(document, dict):
        yield "", "a suite must be a mapping with the key cases"
        return
    for problem in _unknown_keys(document, _SUITE_KEYS):
        yield problem.partition(":")[0], problem
    for key in ("suite", "tenant", "format"):
        if not (isinstance(document.get(key, "x"), str) and document.get(key, "x")):
            yield key, f"{key}: must be a text"
    if not isinstance(document.get("description", ""), str):
        yield "description", "description: must be a text"
    if not (isinstance(document.get("cases"), list) and document["cases"]):
        yield "cases", "cases: must be a list of at least one case"
    files = document.get("policies_file", [])
    names = [files] if isinstance(files, str) else files
    if not (isinstance(names, list) and all(isinstance(each, str) for each in names)):
        yield (
            "policies_file",
            "policies_file: must be the name of a file or a directory, or a list of them",
        )
    policies = document.get("policies") or {}
    if not isinstance(policies, dict):
        yield "policies", "policies: must be a mapping"
        return
    for key in policies.keys() & SECTIONS:
        for problem in _section_problems(key, policies[key]):
            yield f"policies.{key}", problem


def _section_problems(key: str, entries: Any) -> Iterator[str]:
    section = SECTIONS[key]
    if not isinstance(entries, list):
        yield f"policies.{key}: must be a list"
        return
    for index, entry in enumerate(entries):
        body = _resolve_aliases(entry, key)
        yield from _contract_problems(
            body, rpc(section.create).request(), f"policies.{key}[{index}]."
        )


def _resolve_aliases(entry: Any, key: str) -> Any:
    aliases = SECTIONS[key].aliases
    if not isinstance(entry, dict):
        return entry
    return {aliases.get(name, name): value for name, value in entry.items()}


def _steps(policies: JsonObject) -> Iterator[CaseStep]:
    for key, section in SECTIONS.items():
        for entry in policies.get(key, ()):
            yield CaseStep(section.create, _resolve_aliases(entry, key))


def _case(entry: Any, index: int, line: int) -> Case:
    name = entry.get("name") if isinstance(entry, dict) else None
    name = name if isinstance(name, str) and name else f"case {index + 1}"
    problems = tuple(f"cases[{index}].{problem}" for problem in _case_problems(entry))
    if problems:
        return Case(name, "", problems=problems, line=line)
    error = entry.get("error")
    return Case(
        name=name,
        why=entry.get("why", ""),
        request=entry.get("request", {}),
        before=tuple(entry.get("before", ())),
        expect=entry.get("expect"),
        error=ExpectedError(**error) if error is not None else None,
        tenant=entry.get("tenant", ""),
        line=line,
    )


def _case_problems(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "a case must be a mapping"
        return
    yield from _unknown_keys(entry, _CASE_KEYS)
    for key in ("name", "why"):
        text = entry.get(key, "-")
        if not isinstance(text, str) or not text or "\n" in text:
            yield f"{key}: must be one line of text"
    if not is_tenant_id(entry.get("tenant", "other")):
        yield "tenant: must consist of A-Z a-z 0-9 . _ -"
    if not isinstance(entry.get("request", {}), dict):
        yield "request: must be a mapping"
    yield from _before_problems(entry.get("before", []))
    if ("expect" in entry) == ("error" in entry):
        yield "a case must have either expect or error"
    elif "expect" in entry:
        yield from _contract_problems(_expand(entry["expect"]), pb.DecideResponse(), "expect.")
    else:
        yield from _error_problems(entry["error"])


def _before_problems(before: Any) -> Iterator[str]:
    if not isinstance(before, list):
        yield "before: must be a list of requests"
        return
    for index, request in enumerate(before):
        if isinstance(request, dict):
            yield from _contract_problems(request, pb.DecideRequest(), f"before[{index}].")
        else:
            yield f"before[{index}]: must be a mapping"


def _error_problems(error: Any) -> Iterator[str]:
    if not isinstance(error, dict):
        yield "error: must be a mapping with the key code"
        return
    yield from _unknown_keys(error, _ERROR_KEYS, "error.")
    if not isinstance(error.get("code"), str) or not isinstance(error.get("field", ""), str):
        yield "error: code must be a text, and field too if it is present"


def _expand(expect: Any) -> Any:
    """Returns `expect` in the form of a DecideResponse: without `...`, and policies as objects."""
    if not isinstance(expect, dict):
        return expect
    expanded = {key: _without_others(value) for key, value in expect.items()}
    for key in ("matches", "warnings"):
        if isinstance(expanded.get(key), list):
            expanded[key] = [
                {"policy_id": each} if isinstance(each, str) else each for each in expanded[key]
            ]
    return expanded


def _without_others(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_others(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_others(item) for item in value if item != OTHERS]
    return value


def _unknown_keys(mapping: JsonObject, known: Sequence[str], prefix: str = "") -> Iterator[str]:
    for key in mapping:
        if key not in known:
            yield f"{prefix}{key}: unknown key; the known keys are {', '.join(known)}"


def _contract_problems(body: Any, message: Message, prefix: str) -> Iterator[str]:
    """Yields why `body` is not valid JSON for `message`."""
    try:
        decode(body, message, prefix)
    except PdpError as error:
        yield error.message


def _mark_duplicates(cases: Sequence[Case]) -> Iterator[Case]:
    names: set[str] = set()
    for case in cases:
        if case.name in names:
            yield replace(case, problems=(*case.problems, "another case has the same name"))
        else:
            yield case
        names.add(case.name)
