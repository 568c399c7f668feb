"""Every built-in detector's examples in chunks: none is larger than what is held back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain import dlp_rule
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.kinds import PolicySet
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.streaming import HOLD_BACK
from tests.unit.text_streams import ask, spans_of, stream

if TYPE_CHECKING:
    from pdp.engine.snapshot import Snapshot

DETECTORS = list(catalog.entries("detectors", "detectors"))
FILLER = "lorem ipsum dolor sit amet " * 20


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Rules that redact whatever any detector finds, however unsure it is."""
    platform = compile_platform(PolicySet(), VALIDATORS, detectors=catalog.detectors())
    rules = {
        key: DlpRule(
            key,
            key,
            dlp_rule.REGEX,
            detector.entity_type,
            "redact",
            confidence_threshold=0.0,
            config_json={"detector": key, "replacement": f"[{key}]"},
        )
        for key, detector in platform.detectors.items()
    }
    return compile_tenant(platform, "t", PolicySet({dlp_rule.KIND: rules}), 1)


@pytest.mark.parametrize("entry", DETECTORS, ids=lambda entry: str(entry["id"]))
def test_examples_are_redacted_in_chunks_as_they_are_whole(
    snapshot: Snapshot, entry: dict[str, Any]
) -> None:
    for example in entry["examples"]["match"]:
        text = f"{FILLER}\n{example} {FILLER}"
        whole = ask(snapshot, text)
        assert whole.redacted_text is not None, example
        for size in (1, 17, len(FILLER) + len(example) // 2):
            chunks = [text[start : start + size] for start in range(0, len(text), size)]
            streamed = stream(snapshot, chunks)
            assert streamed.text == whole.redacted_text, example
            assert list(streamed.spans) == spans_of(whole)


def test_fillers_are_longer_than_what_is_held_back() -> None:
    assert len(FILLER) > 2 * HOLD_BACK
