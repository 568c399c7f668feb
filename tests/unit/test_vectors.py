"""The vectors of the clients are what the engine does now."""

from __future__ import annotations

from tools import vectors


def test_they_are_not_stale() -> None:
    assert vectors.FILE.read_text(encoding="utf-8") == vectors.text()


def test_every_vector_changes_something() -> None:
    made = vectors.vectors()
    assert all(each["expected"] != each["text"] for each in made["texts"])
    assert all(each["expected"] != each["arguments"] for each in made["arguments"])
