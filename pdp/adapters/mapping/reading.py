"""Reads mapping files, and reports all of their faults."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.adapters.mapping.context import Context
from pdp.adapters.mapping.hooks import Answer, Answers, Hook
from pdp.adapters.mapping.routes import (
    DETECT,
    NONE,
    VARIABLE,
    Route,
    RouteConditions,
    path_pattern,
)
from pdp.adapters.mapping.schema_check import MappingFault, faults_of
from pdp.adapters.mapping.sources import Source
from pdp.adapters.mapping.templates import REDACTED, names_in, template_problems
from pdp.errors import ConfigError, InvalidArgument
from pdp.payloads.formats import NAMES
from pdp.policy_files.text import line_of, parse_bytes
from pdp.transport.http.fact_headers import GROUPS, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.adapters.mapping.sources import Kind

MAX_BYTES: Final = 1 << 20

_KINDS: Final[tuple[Kind, ...]] = (
    "jwt_claim",
    "header",
    "value",
    "context_extension",
    "metadata",
    "certificate",
    "path_variable",
    "body",
)
"""A claim comes first, because it has a header, too."""

_LINE: Final = re.compile(r"line (\d+)")
_SUCCESS: Final = range(200, 300)


class PlacedFault(NamedTuple):
    """A fault with its line, from 1; see `MappingFault`."""

    line: int
    path: str
    problem: str

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"line {self.line}: {place}{self.problem}"


class InvalidMapping(ConfigError):
    """A mapping file has faults.

    Attributes:
        faults: all that were found.
    """

    def __init__(self, name: str, faults: Sequence[PlacedFault]) -> None:
        self.faults = faults
        super().__init__(f"{name}: {'; '.join(map(str, faults))}. Correct it.")


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A mapping file.

    Attributes:
        routes: the routes of gateways, in order.
        hooks: the webhooks, by name.
    """

    routes: tuple[Route, ...] = ()
    hooks: dict[str, Hook] = field(default_factory=dict)


def load_mapping(file: Path | None) -> MappingFile:
    """Reads the mapping file of a server.

    Args:
        file: the file; None for an empty mapping.

    Raises:
        ConfigError: the file cannot be read, or has faults; the message names all of them.
    """
    if file is None:
        return MappingFile()
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"PDP_ADAPTERS_FILE: {file} cannot be read: {error.strerror}. "
            "Name a file that this process can read."
        ) from None
    return read_mapping(raw, f"PDP_ADAPTERS_FILE: {file}")


def find_faults(raw: bytes) -> Sequence[PlacedFault]:
    """Returns the faults of a mapping file, by line; none if it is valid."""
    try:
        read_mapping(raw)
    except InvalidMapping as error:
        return error.faults
    return ()


def read_mapping(raw: bytes, name: str = "FILE") -> MappingFile:
    """Returns the mapping in a file.

    Args:
        raw: the content of the file.
        name: the file, for errors.

    Raises:
        InvalidMapping: the file has faults.
    """
    if len(raw) > MAX_BYTES:
        raise InvalidMapping(name, [PlacedFault(1, "", f"is larger than {MAX_BYTES} bytes")])
    try:
        document, root = parse_bytes(raw)
    except InvalidArgument as error:
        raise InvalidMapping(name, [_unparsed(error.violations[0].reason)]) from None
    faults = faults_of(document) or list(_meaning_faults(document))
    if faults:
        placed = [PlacedFault(line_of(root, each.path), *each) for each in faults]
        raise InvalidMapping(name, sorted(placed, key=lambda each: each.line))
    routes = tuple(_route(each) for each in document.get("routes", ()))
    hooks = {key: _hook(key, each) for key, each in document.get("hooks", {}).items()}
    return MappingFile(routes, hooks)


def _unparsed(reason: str) -> PlacedFault:
    line = _LINE.search(reason)
    return PlacedFault(int(line[1]) if line else 1, "", reason)


def _meaning_faults(document: dict[str, Any]) -> Iterator[MappingFault]:
    """Yields what the schema cannot say, of a document that fits the schema."""
    names: set[str] = set()
    for index, route in enumerate(document.get("routes", ())):
        path = f"routes[{index}]"
        if route["name"] in names:
            yield MappingFault(
                f"{path}.name", f'"{route["name"]}" is the name of another route, too'
            )
        names.add(route["name"])
        yield from _route_faults(route, path)
    for name, hook in document.get("hooks", {}).items():
        yield from _hook_faults(hook, f"hooks.{name}")


def _route_faults(route: dict[str, Any], path: str) -> Iterator[MappingFault]:
    match = route["match"]
    if "path" in match and "path_prefix" in match:
        yield MappingFault(
            f"{path}.match.path_prefix", "cannot stand beside path; remove one of them"
        )
    template = match.get("path", "")
    variables = VARIABLE.findall(template)
    if re.search(r"[{}]", VARIABLE.sub("", template)):
        yield MappingFault(f"{path}.match.path", "has a brace that is not of a {name}")
    if len(set(variables)) != len(variables):
        yield MappingFault(f"{path}.match.path", "has a variable twice; name each once")
    for part in ("path", "path_prefix"):
        if re.search(r"//|%|;|\\|\?|#|/\.{1,2}(/|$)", match.get(part, "")):
            reason = "must be a plain path, without //, dots, escapes, semicolons and query"
            yield MappingFault(f"{path}.match.{part}", reason)
    for key in ("request_payload", "response_payload"):
        yield from _format_faults(route.get(key, NONE), f"{path}.{key}", (DETECT, NONE))
    context = route.get("context", {})
    yield from _context_faults(context, f"{path}.context", variables, is_hook=False)
    if route.get("request_payload", NONE) != NONE:
        for key in ("action", "tool"):
            if key in context:
                reason = "comes from the payload; remove it, or set request_payload: none"
                yield MappingFault(f"{path}.context.{key}", reason)


def _format_faults(name: str, path: str, others: tuple[str, ...]) -> Iterator[MappingFault]:
    known = (*others, *NAMES)
    if name not in known:
        close = get_close_matches(name, known, 1)
        advice = f"did you mean {close[0]}?" if close else f"use {', '.join(known)}"
        yield MappingFault(path, f'"{name}" is no format of payloads; {advice}')


def _context_faults(
    context: dict[str, Any], path: str, variables: Sequence[str], *, is_hook: bool
) -> Iterator[MappingFault]:
    for name, written in context.items():
        many = written if isinstance(written, list) else [written]
        for index, source in enumerate(many):
            place = f"{path}.{name}[{index}]" if isinstance(written, list) else f"{path}.{name}"
            yield from _source_faults(source, place, variables, is_hook=is_hook)
            if source.get("required") and index < len(many) - 1:
                yield MappingFault(f"{place}.required", "belongs to the last source of the list")
            if "split" in source and name != GROUPS:
                yield MappingFault(f"{place}.split", "is only for groups; remove it")
        if len({each["split"] for each in many if "split" in each}) > 1:
            yield MappingFault(f"{path}.{name}", "has different values of split; write one")


def _source_faults(
    source: dict[str, Any], path: str, variables: Sequence[str], *, is_hook: bool
) -> Iterator[MappingFault]:
    kinds = [kind for kind in _KINDS if kind in source]
    if "jwt_claim" in kinds and "header" not in kinds:
        yield MappingFault(path, "has jwt_claim without header; name the header with the token")
    elif len(kinds) != 1 and kinds != ["jwt_claim", "header"]:
        yield MappingFault(path, f"must have one of {', '.join(_KINDS)}")
    if source.get("header", "").lower() == TOKENS:
        yield MappingFault(f"{path}.header", "has confirmations, which are no fact")
    if "body" in source and not is_hook:
        yield MappingFault(f"{path}.body", "is only for hooks; use another source")
    if is_hook and {"context_extension", "metadata", "path_variable"} & source.keys():
        yield MappingFault(path, "is something that only routes have; use header, body or value")
    if not is_hook and "path_variable" in source and source["path_variable"] not in variables:
        reason = f"is no variable of match.path; it has {', '.join(variables) or 'none'}"
        yield MappingFault(f"{path}.path_variable", reason)


def _hook_faults(hook: dict[str, Any], path: str) -> Iterator[MappingFault]:
    if ("text" in hook) == ("payload" in hook):
        yield MappingFault(path, "must have either text or payload")
    payload = hook.get("payload", {})
    yield from _format_faults(payload.get("format", DETECT), f"{path}.payload.format", (DETECT,))
    yield from _context_faults(hook.get("context", {}), f"{path}.context", (), is_hook=True)
    if "payload" in hook:
        for key in {"action", "tool"} & hook.get("context", {}).keys():
            yield MappingFault(f"{path}.context.{key}", "comes from the payload; remove it")
    answers = hook["answers"]
    for key, answer in answers.items():
        for problem in template_problems(answer["body"], redacted=key == "redact"):
            yield MappingFault(f"{path}.answers.{key}.body", problem)
    yield from _answers_faults(answers, f"{path}.answers")


def _answers_faults(answers: dict[str, Any], path: str) -> Iterator[MappingFault]:
    allow, deny, redact = (answers.get(key) for key in ("allow", "deny", "redact"))
    for key, answer in (("allow", allow), ("redact", redact)):
        if answer and answer["status"] not in _SUCCESS:
            yield MappingFault(f"{path}.{key}.status", "must be from 200 to 299")
    if deny == allow:
        yield MappingFault(f"{path}.deny", "is the same as allow, so that a denial would pass")
    if redact and REDACTED not in names_in(redact["body"]):
        yield MappingFault(
            f"{path}.redact.body", "has no $redacted, so that nothing would be redacted"
        )


def _context(written: dict[str, Any]) -> Context:
    by_name = {
        name: value if isinstance(value, list) else [value] for name, value in written.items()
    }
    return Context(
        {name: tuple(map(_source, sources)) for name, sources in by_name.items()},
        frozenset(name for name, sources in by_name.items() if sources[-1].get("required")),
        next((each["split"] for each in by_name.get(GROUPS, ()) if "split" in each), ""),
    )


def _source(written: dict[str, Any]) -> Source:
    kind = next(kind for kind in _KINDS if kind in written)
    value = written[kind]
    match kind:
        case "jwt_claim":
            return Source(kind, written["header"].lower(), (value,))
        case "header":
            return Source(kind, value.lower())
        case "metadata":
            return Source(kind, value["filter"], tuple(value["path"]))
        case "certificate":
            return Source(kind)
        case "body":
            return Source(kind, pointer=value)
        case _:
            return Source(kind, value)


def _route(written: dict[str, Any]) -> Route:
    match = written["match"]
    return Route(
        name=written["name"],
        match=RouteConditions(
            tuple(each.lower() for each in match.get("hosts", ())),
            path_pattern(match["path"]) if "path" in match else None,
            match.get("path_prefix", ""),
            frozenset(match.get("methods", ())),
        ),
        request_payload=written.get("request_payload", NONE),
        response_payload=written.get("response_payload", NONE),
        history=written.get("history", "all"),
        context=_context(written.get("context", {})),
        refusal=written.get("refusal", "pdp"),
        add_headers={
            fact: header.lower() for fact, header in written.get("add_headers", {}).items()
        },
        ext_proc_follows=written.get("ext_proc_follows", False),
    )


def _hook(name: str, written: dict[str, Any]) -> Hook:
    direction, payload = written["direction"], written.get("payload", {})
    is_fixed = isinstance(direction, str)
    answers = {
        key: Answer(each["status"], each["body"]) for key, each in written["answers"].items()
    }
    return Hook(
        name=name,
        answers=Answers(**answers),
        direction=direction if is_fixed else "",
        direction_pointer="" if is_fixed else direction["body"],
        directions={} if is_fixed else direction["values"],
        text=written.get("text"),
        payload=payload.get("body"),
        payload_format=payload.get("format", DETECT),
        history=payload.get("history", "all"),
        context=_context(written.get("context", {})),
    )
