"""The policy files of a directory, as one document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pdp.errors import InvalidArgument, Violation
from pdp.policy_files.differences import entry_name
from pdp.policy_files.shape import SECTIONS
from pdp.policy_files.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.policy_files.text import PolicyText

SUFFIXES: Final = frozenset({".yaml", ".yml"})

MAX_FILES: Final = 10_000
MAX_ERRORS: Final = 32
"""Files and conflicts that one error names."""


@dataclass(slots=True)
class Checkout:
    """The policies of a directory.

    Attributes:
        tenant: the tenant that the files name; empty if none does.
        policies: the policies by section.
        origins: by section, the file, its text and the index of each entry in it.
    """

    tenant: str = ""
    policies: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, list[tuple[Path, PolicyText, int]]] = field(default_factory=dict)

    def place_of(self, path: str) -> str:
        """Returns the file and line of a path in `policies`, as text."""
        place = self.find(path)
        return "policies" if place is None else f"{place[0]}:{place[1]}"

    def find(self, path: str) -> tuple[Path, int] | None:
        """Returns the file and line of a path in `policies`; None if no file has it."""
        head, _, rest = path.removeprefix("policies.").partition(".")
        key, _, number = head.partition("[")
        entries = self.origins.get(key, ())
        index = int(number.removesuffix("]")) if number else 0
        if index >= len(entries):
            return None
        file, text, place = entries[index]
        inner = f"policies.{key}" if SECTIONS[key].single else f"policies.{key}[{place}]"
        return file, text.line_of(f"{inner}.{rest}" if rest else inner)


def read_directory(directory: Path) -> Checkout:
    """Returns the policies of all policy files below a directory.

    Files of decision cases and hidden files are skipped.

    Raises:
        InvalidArgument: the directory has no policy files, one is not valid, or two files have the
            same policy; the error names the files and lines.
    """
    checkout = Checkout()
    errors: list[Violation] = []
    places: dict[tuple[str, str], str] = {}
    count = 0
    for file in _files(directory):
        try:
            text = read_text(file.read_bytes())
        except InvalidArgument as error:
            errors += [
                Violation(f"{file}", f"{each.field}: {each.reason}") for each in error.violations
            ]
            continue
        if text.is_suite:
            continue
        count += 1
        errors += _add(checkout, file, text, places)
    if not count and not errors:
        errors.append(Violation(str(directory), "has no policy files (*.yaml, *.yml)"))
    if errors:
        raise InvalidArgument.of(*errors[:MAX_ERRORS])
    return checkout


def _files(directory: Path) -> list[Path]:
    files = sorted(
        file
        for file in directory.rglob("*")
        if file.suffix in SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(directory).parts)
    )
    if len(files) > MAX_FILES:
        raise InvalidArgument.of(Violation(str(directory), f"has more than {MAX_FILES} files"))
    return files


def _add(
    checkout: Checkout, file: Path, text: PolicyText, places: dict[tuple[str, str], str]
) -> Iterator[Violation]:
    """Adds the policies of a file; yields what is in two files, or names another tenant."""
    if text.tenant and checkout.tenant not in {"", text.tenant}:
        line = text.line_of("tenant")
        reason = f"is {text.tenant}, but another file has {checkout.tenant}"
        yield Violation(f"{file}:{line}: tenant", reason)
    checkout.tenant = checkout.tenant or text.tenant
    for key, value in text.policies.items():
        section = SECTIONS.get(key)
        many = value if isinstance(value, list) else [value]
        for index, entry in enumerate(many):
            path = f"policies.{key}" if section and section.single else f"policies.{key}[{index}]"
            place = f"{file}:{text.line_of(path)}"
            name = _name(key, entry)
            other = places.setdefault((key, name), place) if name is not None else place
            if other != place:
                yield Violation(place, f"{key} {name}".rstrip() + f" is also in {other}")
            checkout.policies.setdefault(key, []).append(entry)
            checkout.origins.setdefault(key, []).append((file, text, index))


def _name(key: str, entry: Any) -> str | None:
    """Returns the name of an entry; None if it has none, which the import reports."""
    if key not in SECTIONS or not isinstance(entry, dict):
        return None
    try:
        return entry_name(key, entry)
    except KeyError:
        return None
