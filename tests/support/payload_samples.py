"""Samples of payloads, made from the documentation of providers and protocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent / "payloads" / "samples"


class Sample(NamedTuple):
    """A payload, and what is expected of it.

    Attributes:
        name: the name of its file, without the suffix.
        format: its format.
        direction: `input` or `output`.
        payload: the document.
        parts: the members of the expected parts, without the rest.
        unjudged: the pointers of its media.
        model: its model.
        session_id: its conversation.
        is_ambiguous: whether it may be of another format, too.
    """

    name: str
    format: str
    direction: str
    payload: Any
    parts: list[dict[str, Any]]
    unjudged: list[str]
    model: str
    session_id: str
    is_ambiguous: bool

    def __str__(self) -> str:
        return f"{self.format}-{self.name}"

    @property
    def body(self) -> str:
        """The document as JSON text."""
        return json.dumps(self.payload, ensure_ascii=False)


def samples(format_: str = "*") -> list[Sample]:
    """Returns the samples of a format, or of all."""
    return [_read(path) for path in sorted(ROOT.glob(f"{format_}/*.json"))]


def _read(path: Path) -> Sample:
    values = json.loads(path.read_text())
    return Sample(
        path.stem,
        path.parent.name,
        values["direction"],
        values["payload"],
        values["parts"],
        values["unjudged"],
        values.get("model", ""),
        values.get("session_id", ""),
        values.get("is_ambiguous", False),
    )
