"""Texts in chunks: the released text is the redacted whole text, wherever it is divided."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.decisions.text_stream import (
    HOLD_BACK,
    MAX_RUN,
    MAX_SCANS,
    MAX_TEXT_BYTES,
    STEP,
    TextStream,
    TextTooLong,
)
from pdp.domain.decision import Outcome
from pdp.domain.policy_set import PolicySet
from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.engine.compiler import compile_platform, compile_tenant
from tests.support.text_streams import ask, chunked, cut, pieces, spans_of, stream
from tests.unit.test_chains import chain_of, rule

if TYPE_CHECKING:
    from pdp.domain.policy_pack import PolicyRule
    from pdp.engine.snapshot import Snapshot

PLATFORM = compile_platform(PolicySet(), {})
PATTERNS = (
    r"\b(?:\d[ -]?){15}\d\b",
    r"\b\d{3}-\d{2}-\d{4}\b",
    r"\b[\w.]{1,64}@[\w.]{1,100}\b",
    r"eyJ[\w.]{20,}",
)
PHRASE = "forbidden phrase"


def redact(pattern: str, index: int = 0) -> PolicyRule:
    """Returns a rule that replaces the matches of its pattern with the rule's number."""
    new_rule = rule(
        {"type": "REDACT", "redact_replacement": f"[{index}]"},
        {"content_regex": pattern},
        sequence=index,
    )
    return replace(new_rule, applies_to="both")


def redacting(*patterns: str, blocks: str = "") -> Snapshot:
    """Returns policies that redact `patterns` and block the pattern `blocks`."""
    policies = chain_of(*(redact(pattern, index) for index, pattern in enumerate(patterns)))
    if blocks:
        policy = StaticPolicy("s", "Phrase", "custom", blocks, "block")
        policies = policies.with_policies(KIND, {"s": policy})
    return compile_tenant(PLATFORM, "t", policies, 1)


REDACTING = redacting(*PATTERNS)
BLOCKING = redacting(*PATTERNS, blocks=rf"\b{PHRASE}\b")

documents = st.lists(
    st.one_of(pieces, st.just(4111111111111111), st.integers(0, 99), st.none()), max_size=20
).map(lambda values: json.dumps({"rows": [{"value": each, "n": 1} for each in values]}))

with_phrase = st.tuples(
    st.lists(pieces, max_size=20), st.lists(pieces, max_size=20), st.sampled_from((" ", "", "s"))
).map(lambda parts: "".join((*parts[0], " ", PHRASE, parts[2], *parts[1])))


@given(chunked())
def test_the_released_text_is_the_redacted_whole_text(chunks: list[str]) -> None:
    text = "".join(chunks)
    whole = ask(REDACTING, text)
    streamed = stream(REDACTING, chunks)
    assert streamed.text == (text if whole.redacted_text is None else whole.redacted_text)
    assert streamed.end == len(text)
    assert list(streamed.spans) == spans_of(whole)
    assert streamed.decision.outcome is whole.outcome
    assert streamed.decision.matches == whole.matches


@given(documents.flatmap(cut))
def test_json_in_chunks_is_redacted_like_the_whole_and_stays_json(chunks: list[str]) -> None:
    text = "".join(chunks)
    whole = ask(REDACTING, text)
    streamed = stream(REDACTING, chunks)
    assert streamed.text == (text if whole.redacted_text is None else whole.redacted_text)
    assert json.loads(streamed.text).keys() == {"rows"}


@given(chunked(with_phrase))
def test_a_blocked_text_is_stopped_before_the_match(
    chunks: list[str],
) -> None:
    text = "".join(chunks)
    whole = ask(BLOCKING, text)
    passing = ask(REDACTING, text).redacted_text or text
    streamed = stream(BLOCKING, chunks)
    assert streamed.decision.outcome is whole.outcome
    assert passing.startswith(streamed.text)
    assert ask(BLOCKING, text[: streamed.end]).allowed
    if whole.outcome is Outcome.BLOCK:
        match = re.search(rf"\b{PHRASE}\b", text, re.ASCII)
        assert match is not None
        assert streamed.end <= match.start()
        assert streamed.decision.reason_code == whole.reason_code
    else:
        assert streamed.text == passing


@given(chunked())
def test_the_end_of_an_unfinished_text_is_held_back(
    chunks: list[str],
) -> None:
    text = TextStream()
    for chunk in chunks:
        text.add(chunk)
        if text.is_due(last=False):
            text.advance(lambda so_far: ask(REDACTING, so_far), last=False)
    assert text.released <= max(0, text.length - HOLD_BACK)


def test_a_value_is_redacted_wherever_the_text_is_divided() -> None:
    card = "4111 1111 1111 1111"
    before, after = "word " * 100, " word" * 100
    text = before + card + after
    for place in range(len(before) - 1, len(before) + len(card) + 1):
        streamed = stream(REDACTING, [text[:place], text[place:]])
        assert streamed.text == before + "[0]" + after


def test_a_token_longer_than_the_window_is_held_back_completely() -> None:
    token = "eyJ" + "x" * (MAX_RUN - 3)
    text = f"{'word ' * 100}{token} {'word ' * 100}"
    # The pattern matches only when the end of the token has arrived.
    snapshot = redacting(r"eyJx{500,}x{500,}x{500,}x{500,}\b")
    streamed = stream(snapshot, [text[start : start + 7] for start in range(0, len(text), 7)])
    assert token not in streamed.text
    assert streamed.text == ask(snapshot, text).redacted_text


def test_a_private_key_is_held_back_until_it_ends() -> None:
    lines = "\n".join(["MIIEow" + "Ab1+" * 14] * 50)
    mark = "RSA PRIVATE KEY-----"
    key = f"-----BEGIN {mark}\n{lines}\n-----END {mark}"
    text = f"{'word ' * 100}{key}{' word' * 100}-----BEGIN {mark}{' word' * 100}"
    snapshot = redacting(f"-----BEGIN {mark}(?:[^-]*-----END {mark})?")
    streamed = stream(snapshot, [text[start : start + 30] for start in range(0, len(text), 30)])
    assert "MIIE" not in streamed.text
    assert streamed.text == ask(snapshot, text).redacted_text


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "---- END SSH2 ENCRYPTED PRIVATE KEY ----"),
        ("PuTTY-User-Key-File-3: ssh-rsa", f"Private-MAC: {'4b7e' * 16}"),
    ],
)
def test_other_private_keys_are_held_back_until_they_end(begin: str, end: str) -> None:
    lines = "\n".join(["MIIEow" + "Ab1+" * 14] * 50)
    text = f"{'word ' * 100}{begin}\n{lines}\n{end}{' word' * 100}"
    snapshot = redacting(f"{begin}[^-]*{end}")
    streamed = stream(snapshot, [text[start : start + 30] for start in range(0, len(text), 30)])
    assert "MIIE" not in streamed.text
    assert streamed.text == ask(snapshot, text).redacted_text


def test_a_match_that_grows_is_redacted_once() -> None:
    snapshot = redacting(r"<<[^>]*>>", r"<<[^>]*")
    text = f"{'word ' * 100}<<{'secret words ' * 500}>>{' word' * 100}"
    streamed = stream(snapshot, [text[start : start + 50] for start in range(0, len(text), 50)])
    assert streamed.text == ask(snapshot, text).redacted_text
    assert "secret" not in streamed.text


def test_a_value_with_invisible_characters_is_held_back_too() -> None:
    card = ("\u200b" * 100).join("4111111111111111")
    text = f"{'word ' * 100}{card}{' word' * 100}"
    streamed = stream(REDACTING, [text[start : start + 20] for start in range(0, len(text), 20)])
    assert "4" not in streamed.text
    assert streamed.text == ask(REDACTING, text).redacted_text


def test_a_rule_without_text_conditions_blocks_at_the_first_chunk() -> None:
    always = rule({"type": "BLOCK", "message": "No."}, {"channel": ["interactive"]})
    policies = chain_of(replace(always, applies_to="output"))
    snapshot = compile_tenant(PLATFORM, "t", policies, 1)
    streamed = stream(snapshot, ["word"] * 1000)
    assert streamed.decision.message == "No."
    assert streamed.evaluations == 2


def test_a_word_that_continues_in_the_next_chunk_does_not_match() -> None:
    chunks = ["word " * 100 + PHRASE, "book" + " word" * 100]
    streamed = stream(BLOCKING, chunks)
    assert streamed.text == "".join(chunks)


def test_a_match_longer_than_the_window_blocks_the_rest() -> None:
    snapshot = redacting(blocks=r"(?s)begin.*end")
    text = f"begin {'word ' * 1000} end {'word ' * 1000}"
    streamed = stream(snapshot, [text[start : start + 100] for start in range(0, len(text), 100)])
    assert streamed.decision.outcome is Outcome.BLOCK
    assert streamed.end < text.index("end")


@pytest.mark.parametrize("size", [1, 10, 5000])
def test_the_number_of_scans_is_bounded_for_any_size_of_chunks(size: int) -> None:
    text = "word " * 20_000
    streamed = stream(REDACTING, [text[at : at + size] for at in range(0, len(text), size)])
    assert streamed.characters <= (MAX_SCANS + 2) * len(text)
    assert streamed.evaluations <= MAX_SCANS * 10
    assert streamed.text == text


def test_short_texts_are_released_every_few_words() -> None:
    text = TextStream()
    sizes = []
    for _ in range(300):
        text.add("word ")
        if text.is_due(last=False):
            sizes.append(len(text.advance(lambda each: ask(REDACTING, each), last=False).text))
    assert max(sizes) < 2 * STEP
    assert text.released > text.length - HOLD_BACK - 2 * STEP


def test_a_text_that_is_too_long_is_refused_and_closed() -> None:
    text = TextStream()
    text.add("é" * (MAX_TEXT_BYTES // 2))
    with pytest.raises(TextTooLong):
        text.add("e")
    assert text.closed


def test_there_is_no_decision_before_the_first_evaluation() -> None:
    with pytest.raises(ValueError, match="there is no decision"):
        TextStream().wait()


@settings(max_examples=30)
@given(chunked())
def test_nothing_is_released_after_an_error(chunks: list[str]) -> None:
    incomplete = ask(REDACTING, "")._replace(outcome=Outcome.BLOCK, incomplete=True)
    text = TextStream()
    text.add("".join(chunks))
    release = text.advance(lambda _: incomplete, last=True)
    assert (release.text, release.closed) == ("", True)
