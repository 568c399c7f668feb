"""Imports the policies of many tenants in one run of `pdp policies import`.

Each file is one tenant and one transaction. A file that cannot be imported is reported and does not
stop the others.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, print_error
from pdp.cli.input import read_bytes
from pdp.cli.run.policy_client import print_changes
from pdp.client import CallFailed
from pdp.errors import InvalidArgument, PdpError, Violation
from pdp.policy_files import signing
from pdp.policy_files.text import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pdp.policy_files.text import PolicyText

    Apply = Callable[[Path, PolicyText, str], Mapping[str, Any]]
    """Imports a file, given its text and tenant; returns the answer as JSON."""

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
"""The files of a directory that are imported."""

_TERMINAL_INTERVAL_S: Final = 0.2
_LOG_INTERVAL_S: Final = 10.0
"""How often the progress is printed, to a terminal and to anything else."""


def files_in(paths: Iterable[Path], list_file: str | None) -> list[Path]:
    """Returns the files to import, each once: a directory stands for its files, in order of name.

    Args:
        paths: files and directories.
        list_file: a file with one path a line, `-` for standard input; None for no list.

    Raises:
        UsageError: the list cannot be read, or there is no file.
    """
    files: list[Path] = []
    for path in [*paths, *_listed(list_file)]:
        if path.is_dir():
            found = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
            if not found:
                raise UsageError(f"{path} has no file that ends with {', '.join(sorted(SUFFIXES))}")
            files += found
        else:
            files.append(path)
    if not files:
        raise UsageError("no file is named; name files or directories, or use --files-from")
    return list(dict.fromkeys(files))


def _listed(list_file: str | None) -> Iterator[Path]:
    if list_file is None:
        return
    for line in (
        read_bytes(list_file, "--files-from").decode("utf-8", "surrogateescape").split("\n")
    ):
        if line.strip():
            yield Path(line.strip())


@dataclass(slots=True)
class Import:
    """One run over many files.

    Attributes:
        apply: imports one tenant.
        key: the public key that signs all files; None to check no signatures.
        dry_run: whether to show what would change, and change nothing.
        as_json: whether to print a line of JSON for each file.
        tenants: the file of each tenant so far.
        changed, unchanged, failed: how many tenants there were of each.
    """

    apply: Apply
    key: Path | None
    dry_run: bool
    as_json: bool
    tenants: dict[str, Path] = field(default_factory=dict)
    changed: int = 0
    unchanged: int = 0
    failed: int = 0

    def run(self, files: Sequence[Path]) -> Exit:
        """Imports the files, prints what changed, and returns how the command ends."""
        progress = Progress(len(files))
        code = Exit.OK
        for index, file in enumerate(files):
            try:
                self._import(file)
            except (PdpError, UsageError, CallFailed) as error:
                self._report_failure(file, error)
                if isinstance(error, CallFailed) and error.unavailable:
                    left = len(files) - index - 1
                    print_error(f"the policies are not available: {left} more files were not tried")
                    code = Exit.UNAVAILABLE
                    break
                code = Exit.INVALID
            progress.step(failed=self.failed)
        progress.end()
        if not self.as_json:
            verb = "would change" if self.dry_run else "changed"
            print(
                f"{self.changed} tenants {verb}, {self.unchanged} unchanged, {self.failed} failed"
            )
        return code

    def _import(self, file: Path) -> None:
        raw = read_bytes(str(file), "FILE")
        if self.key is not None:
            signing.verify(raw, file, self.key)
        text = read_text(raw)
        tenant = text.tenant
        if not tenant:
            raise InvalidArgument.of(Violation("tenant", "is required"))
        other = self.tenants.setdefault(tenant, file)
        if other != file:
            reason = f"{tenant} is the tenant of {other} already"
            raise InvalidArgument(reason, Violation("tenant", reason))
        answer = self.apply(file, text, tenant)
        self.changed += bool(answer["changes"])
        self.unchanged += not answer["changes"]
        self._report(file, answer)

    def _report(self, file: Path, answer: Mapping[str, Any]) -> None:
        if self.as_json:
            _print_line({"file": str(file), **answer})
            return
        if self.dry_run:
            print_changes(answer)
        revision = answer["revision"]
        outcome = "would change" if self.dry_run else f"changed, revision {revision}"
        if answer["changes"]:
            print(f"{file}: {len(answer['changes'])} policies of {answer['tenant']} {outcome}")

    def _report_failure(self, file: Path, error: PdpError | UsageError | CallFailed) -> None:
        self.failed += 1
        if isinstance(error, UsageError):
            envelope: dict[str, Any] = {"error": {"code": "USAGE", "message": str(error)}}
            message = str(error)
        else:
            failure = error if isinstance(error, CallFailed) else CallFailed.of(error)
            envelope, message = dict(failure.envelope()), failure.message
        if self.as_json:
            _print_line({"file": str(file), **envelope})
        # The faults of a file have their own places.
        print_error(message if message.startswith(f"{file}:") else f"{file}: {message}")


def _print_line(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


class Progress:
    """Prints to standard error how far the run is: often on a terminal, otherwise seldom."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._terminal = sys.stderr.isatty()
        self._interval_s = _TERMINAL_INTERVAL_S if self._terminal else _LOG_INTERVAL_S
        self._due_at = time.monotonic() + self._interval_s
        self._shown = False

    def step(self, *, failed: int) -> None:
        """Counts a file."""
        self._done += 1
        now = time.monotonic()
        if now >= self._due_at:
            self._due_at = now + self._interval_s
            self._shown = True
            text = f"{self._done} of {self._total} files, {failed} failed"
            print(f"\r{text}" if self._terminal else f"pdp: {text}", end="", file=sys.stderr)
            print(end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Ends the line on a terminal."""
        if self._shown and self._terminal:
            print(file=sys.stderr)
