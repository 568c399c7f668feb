"""The routes of a gateway: which requests a part of the mapping file is for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from pdp.adapters.mapping.context import Context
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_PATH: Final = 8192

DETECT: Final = "detect"
NONE: Final = "none"

VARIABLE: Final = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")

_PLAIN: Final = re.compile(r"/[!-~]*")
_ESCAPE: Final = re.compile(r"%(?:[0-9A-Fa-f]{2})?")
_SEPARATOR: Final = re.compile(r"%(?:2[fF]|5[cC])")

FIRST_PRINTABLE: Final = 0x20
LAST_ASCII: Final = 0x7F


@dataclass(frozen=True, slots=True)
class RouteConditions:
    """Which requests a route is for. Empty parts match all.

    Attributes:
        hosts: lower-case names; `*.` at the beginning stands for all names below.
        path: matches the whole path; its groups are the variables. None for any path.
        prefix: the first segments of the path.
        methods: the HTTP methods.
    """

    hosts: tuple[str, ...] = ()
    path: re.Pattern[str] | None = None
    prefix: str = ""
    methods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Route:
    """A route.

    Attributes:
        name: its name.
        match: which requests it is for.
        request_payload, response_payload: the format of the body: a name of
            `pdp.payloads.formats`, `detect`, or `none` if the body is not judged.
        history: `all` or `latest`; see the contract of payloads.
        context: the sources of the facts about a request.
        refusal: the form of the body of a refusal: `openai`, `anthropic` or `pdp`.
        add_headers: the name of the header of each fact of a decision that is added.
        ext_proc_follows: whether Envoy's ext_proc asks again, and can change the body.
    """

    name: str
    match: RouteConditions = field(default_factory=RouteConditions)
    request_payload: str = NONE
    response_payload: str = NONE
    history: str = "all"
    context: Context = field(default_factory=Context)
    refusal: str = "pdp"
    add_headers: Mapping[str, str] = field(default_factory=dict)
    ext_proc_follows: bool = False


class MappedRoute(NamedTuple):
    """A route that matches, with the variables of the path."""

    route: Route
    path_variables: Mapping[str, str]


RouteMatch = MappedRoute


def payload_format(payload: str) -> str:
    """Returns the `format` of a Payload for `detect` or the name of a format."""
    return "" if payload == DETECT else payload


def path_pattern(template: str) -> re.Pattern[str]:
    """Returns the pattern of `match.path`.

    Raises:
        re.error: a variable occurs twice.
    """
    parts = VARIABLE.split(template)
    texts = [
        f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
    ]
    return re.compile("".join(texts))


def find_route(routes: Iterable[Route], method: str, host: str, target: str) -> MappedRoute | None:
    """Returns the first route that matches a request; None if none does.

    Args:
        routes: in the order of the mapping file.
        method: the HTTP method.
        host: the name in Host or :authority, with or without a port.
        target: the raw path, still percent-encoded, with or without a query.

    Raises:
        InvalidArgument: upstreams may read the path in different ways.
    """
    path = _canonical(target.partition("?")[0].partition("#")[0])
    has_separator = _SEPARATOR.search(path) is not None
    name = _host_name(host)
    for route in routes:
        match = route.match
        if match.methods and method not in match.methods:
            continue
        if match.hosts and not any(_is_host(name, each) for each in match.hosts):
            continue
        variables: Mapping[str, str] = {}
        if match.path is not None:
            found = match.path.fullmatch(path)
            if found is None:
                continue
            variables = {key: unquote(text) for key, text in found.groupdict().items()}
        elif has_separator or not _is_below(path, match.prefix):
            continue  # an escaped slash is certain to stay in its segment only in a variable
        return MappedRoute(route, variables)
    return None


def _canonical(path: str) -> str:
    """Returns a path with its escapes decoded, except those of slashes and backslashes.

    Refuses paths that upstreams may read in different ways: a lenient route must not match what
    an upstream takes for the path of a strict one.
    """
    if len(path) > MAX_PATH or not _PLAIN.fullmatch(path):
        raise _ambiguous(f"must begin with /, have no spaces and at most {MAX_PATH} characters")
    decoded = _ESCAPE.sub(_decoded, path)
    if "//" in decoded or "\\" in decoded or ";" in decoded:
        raise _ambiguous("must have no //, backslash or semicolon")
    if any(segment in {".", ".."} for segment in decoded.split("/")):
        raise _ambiguous("must have no segments . and ..")
    return decoded


def _decoded(escape: re.Match[str]) -> str:
    text = escape[0]
    code = int(text[1:] or "0", 16)
    character = chr(code)
    if code < FIRST_PRINTABLE or character in "\x7f%":
        raise _ambiguous("must escape no control characters and no percent sign")
    return text if character in "/\\" or code > LAST_ASCII else character


def _ambiguous(problem: str) -> InvalidArgument:
    return InvalidArgument.of(Violation("path", problem))


def _host_name(host: str) -> str:
    name = host.lower()
    if not name.startswith("["):
        name = name.partition(":")[0]
    return name.removesuffix(".")


def _is_host(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) >= len(pattern)
    return name == pattern


def _is_below(path: str, prefix: str) -> bool:
    if not prefix or path == prefix:
        return True
    return path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")
