"""Where a fact about a request comes from, as a mapping file names it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from pdp.errors import InvalidArgument, Violation
from pdp.payloads.pointers import value_at
from pdp.strictjson.objects import read_object
from pdp.strictjson.problems import InvalidValue

MAX_TOKEN: Final = 16_384
"""Characters of the longest token whose claims are read."""

Kind = Literal[
    "header",
    "value",
    "jwt_claim",
    "context_extension",
    "metadata",
    "certificate",
    "path_variable",
    "body",
]


class SourceView(NamedTuple):
    """What an adapter knows of a request. Nothing of it counts unless the mapping names it.

    Attributes:
        headers: by lower-case name; values of a repeated header are joined by commas.
        context_extensions: of Envoy's route.
        metadata: the dynamic metadata of Envoy, by filter. A `Struct` is a mapping, too.
        certificate: the name in the client's certificate; empty for none.
        path_variables: the variables of the path that matched.
        body: the JSON value in the body of a webhook.
    """

    headers: Mapping[str, str] = {}
    context_extensions: Mapping[str, str] = {}
    metadata: Mapping[str, Any] = {}
    certificate: str = ""
    path_variables: Mapping[str, str] = {}
    body: Any = None


@dataclass(frozen=True, slots=True)
class Source:
    """A source.

    Attributes:
        kind: what it reads.
        name: the header, the context extension, the filter, the path variable or the fixed value.
        path: the keys in the metadata; or the claim.
        pointer: the JSON Pointer into the body.
    """

    kind: Kind
    name: str = ""
    path: tuple[str, ...] = ()
    pointer: str = ""

    def read(self, view: SourceView, field: str) -> Any:
        """Returns the value of the source; None if it is not there.

        Args:
            view: what is known of the request.
            field: the name of the fact, for errors.

        Raises:
            InvalidArgument: the value is there, but cannot be read.
        """
        value = _READERS[self.kind](self, view, field)
        return None if value in ("", None) else value


def first_of(sources: Sequence[Source], view: SourceView, field: str) -> tuple[Any, Source | None]:
    """Returns the value of the first source that is there, and that source; or None twice.

    Raises:
        InvalidArgument: a value is there, but cannot be read.
    """
    for source in sources:
        value = source.read(view, field)
        if value is not None:
            return value, source
    return None, None


def _metadata(source: Source, view: SourceView, _field: str) -> Any:
    return _member(view.metadata, (source.name, *source.path))


def _body(source: Source, view: SourceView, _field: str) -> Any:
    try:
        return value_at(view.body, source.pointer)
    except KeyError:
        return None


def _claim(source: Source, view: SourceView, field: str) -> Any:
    """Returns a claim of a token that the proxy has verified; None if there is no token."""
    header, claim = view.headers.get(source.name, ""), source.path[0]
    scheme, space, token = header.partition(" ")
    if not header or (space and scheme.lower() != "bearer"):
        return None  # other credentials have no claims
    claims = _claims(token if space else header, field)
    if claim in claims:  # a name such as https://example.com/groups has dots itself
        return claims[claim]
    return _member(claims, claim.split("."))


_READERS: Final[Mapping[Kind, Callable[[Source, SourceView, str], Any]]] = {
    "header": lambda source, view, _: view.headers.get(source.name),
    "value": lambda source, _view, _: source.name,
    "jwt_claim": _claim,
    "context_extension": lambda source, view, _: view.context_extensions.get(source.name),
    "metadata": _metadata,
    "certificate": lambda _source, view, _: view.certificate,
    "path_variable": lambda source, view, _: view.path_variables.get(source.name),
    "body": _body,
}


def _member(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _claims(token: str, field: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN:
        raise _unreadable(field, f"comes from a token of more than {MAX_TOKEN} characters")
    parts = token.strip().split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        raise _unreadable(field, "comes from a token that is not a signed JWT")
    try:
        raw = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), b"-_", validate=True)
        return read_object(raw.decode("utf-8"))
    except (ValueError, InvalidValue):  # not Base64, or not UTF-8
        raise _unreadable(field, "comes from a token whose claims cannot be read") from None


def _unreadable(field: str, reason: str) -> InvalidArgument:
    return InvalidArgument.of(Violation(f"context.{field}", reason))
