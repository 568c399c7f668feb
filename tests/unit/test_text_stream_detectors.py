"""The examples of every built-in detector in chunks: each fits into the text held back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp import catalog
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.decisions.text_stream import HOLD_BACK
from pdp.detect.validators import VALIDATORS
from pdp.domain import dlp_rule
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.engine.compiler import compile_platform, compile_tenant, empty_snapshot
from tests.support.text_streams import FILLERS, NEARLY, VALUES, ask, chunked, spans_of, stream

if TYPE_CHECKING:
    from pdp.engine.snapshot import Snapshot

DETECTORS = list(catalog.entries("detectors", "detectors"))
FILLER = "lorem ipsum dolor sit amet " * 20


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Policies that redact the findings of all detectors, at any confidence."""
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


@pytest.fixture(scope="module")
def default_policies(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The policies of a new tenant."""
    store = open_policies(f"sqlite:///{tmp_path_factory.mktemp('fresh')}/pdp.db")
    platform = create_publisher(store, DEFAULT_RISK_TABLE).platform
    store.close()
    return empty_snapshot(platform, 1)


@pytest.mark.parametrize("entry", DETECTORS, ids=lambda entry: str(entry["id"]))
def test_examples_in_chunks_are_redacted_like_whole_texts(
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


def test_the_filler_is_longer_than_the_text_held_back() -> None:
    assert len(FILLER) > 2 * HOLD_BACK


EXAMPLES = [
    example
    for part, key in (("detectors", "detectors"), ("static_policies", "policies"))
    for entry in catalog.entries(part, key)
    for kind in ("match", "no_match")
    for example in entry["examples"][kind]
]
any_text = st.lists(
    st.tuples(
        st.sampled_from((*EXAMPLES, *FILLERS, *VALUES, *NEARLY)),
        st.sampled_from((" ", "\n", ". ", ", ")),
    ).map("".join),
    min_size=1,
    max_size=12,
).map("".join)


@given(chunked(any_text))
def test_streams_and_whole_texts_have_the_same_decisions_by_default(
    default_policies: Snapshot, chunks: list[str]
) -> None:
    text = "".join(chunks)
    whole = ask(default_policies, text)
    streamed = stream(default_policies, chunks)
    assert streamed.decision.outcome is whole.outcome
    if whole.allowed:
        assert streamed.text == (text if whole.redacted_text is None else whole.redacted_text)
        assert list(streamed.spans) == spans_of(whole)
