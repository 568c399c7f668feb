"""Says where in an overlay file a fault is."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pdp.client import CallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "overlay."
_STDIN: Final = "-"


@contextmanager
def overlay_errors(name: str | None) -> Iterator[None]:
    """Adds the file and the line to the faults of a policy file that is an overlay.

    Args:
        name: the file; `-` for standard input, None for no overlay.

    Raises:
        CallFailed: the call in the block failed.
    """
    try:
        yield
    except CallFailed as failure:
        fields = [field for field, _ in failure.details]
        in_file = name not in {None, _STDIN} and any(
            field.startswith(f"{_PREFIX}policies") for field in fields
        )
        if not in_file:
            raise
        raise _placed(failure, Path(str(name))) from None


def _placed(failure: CallFailed, file: Path) -> CallFailed:
    import yaml  # noqa: PLC0415 - only faults need it

    from pdp.policy_files.text import line_of  # noqa: PLC0415 - as above

    root = yaml.compose(file.read_bytes(), yaml.SafeLoader)
    lines = [
        f"{file}:{line_of(root, field.removeprefix(_PREFIX))}: {field}: {reason}"
        for field, reason in failure.details
    ]
    return CallFailed(
        failure.code, "\n".join(lines), failure.details, unavailable=failure.unavailable
    )
