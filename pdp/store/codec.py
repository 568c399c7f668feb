"""The encoding of stored values, the same for every backend: JSON bodies, and the allowed texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pdp.errors import InvalidArgument, StoreUnavailable, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_texts(**texts: str | None) -> None:
    """Checks that every backend can store `texts`. The keywords are the names of the fields.

    Raises:
        InvalidArgument: a text contains NUL, which PostgreSQL cannot store, or a lone surrogate,
            which is not Unicode. The error names all such fields.

    """
    violations = []
    for field, text in texts.items():
        if text is not None and "\0" in text:
            violations.append(Violation(field, "must not contain NUL"))
        elif text is not None and not _is_unicode(text):
            violations.append(Violation(field, "must be valid Unicode"))
    if violations:
        raise InvalidArgument.of(*violations)


def can_store(values: Iterable[object]) -> bool:
    """Returns whether every backend can store the texts among `values`; see `check_texts`."""
    return all(
        "\0" not in each and (each.isascii() or _is_unicode(each))
        for each in values
        if isinstance(each, str)
    )


def dump(body: Mapping[str, Any]) -> str:
    """Returns `body` as JSON.

    Raises:
        InvalidArgument: it contains NaN, infinity or a lone surrogate, or is nested too deeply.
        TypeError: it contains a value that JSON cannot represent. This is a bug in the caller.

    """
    try:
        text = json.dumps(dict(body), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, RecursionError) as error:
        raise InvalidArgument.of(
            Violation("body", "must be JSON of finite numbers and valid Unicode")
        ) from error
    return text


def load(text: str) -> dict[str, Any]:
    """Returns the body that `dump` encoded.

    Raises:
        StoreUnavailable: the text is not a JSON object, so the store is damaged.

    """
    try:
        body = json.loads(text)
    except ValueError as error:
        raise StoreUnavailable("The store is damaged.") from error
    if not isinstance(body, dict):
        raise StoreUnavailable("The store is damaged.")
    return body
