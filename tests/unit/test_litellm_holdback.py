"""What a stream of LiteLLM must hold back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.litellm.holdback import holdback_of
from pdp.decisions.text_stream import HOLD_BACK, MAX_TEXT_BYTES
from pdp.errors import RequestTooLarge

POINTER = "/choices/0/message/content"
WORDS = "word " * 100


def redact(start: int, end: int, path: str = POINTER) -> pb.Obligation:
    """Returns the obligation to redact a span."""
    span = pb.Span(path=path, start=start, end=end)
    return pb.Obligation(type=pb.OBLIGATION_TYPE_REDACT, replacement="[X]", spans=[span])


def test_the_end_of_a_text_is_held_back() -> None:
    assert holdback_of(WORDS, WORDS, POINTER, []) >= HOLD_BACK
    assert holdback_of("short", "short", POINTER, []) == len("short")


def test_what_precedes_the_end_is_sent_redacted() -> None:
    redacted = WORDS.replace("word", "[X]", 1)
    held = holdback_of(WORDS, redacted, POINTER, [redact(0, 4)])
    sent = redacted[: len(redacted) - held]
    assert sent.startswith("[X] word")
    assert len(WORDS) - len(sent) - 1 >= HOLD_BACK


def test_a_redaction_that_reaches_into_the_end_is_held_back_whole() -> None:
    start = len(WORDS) - HOLD_BACK - 20
    redacted = f"{WORDS[:start]}[X]"
    held = holdback_of(WORDS, redacted, POINTER, [redact(start, len(WORDS))])
    assert redacted[: len(redacted) - held] == WORDS[:start]


def test_a_key_without_spaces_is_held_back_whole() -> None:
    key = "k" * 1000
    held = holdback_of(WORDS + key, WORDS + key, POINTER, [])
    assert held >= len(key)


@pytest.mark.parametrize("path", [POINTER, "/choices/1/message/content"])
def test_without_the_spans_nothing_from_the_first_difference_on_is_sent(path: str) -> None:
    """A redaction whose span is unknown, or that of another text, is not split."""
    redacted = f"word [REDACTED] {WORDS}"
    held = holdback_of(f"word secret {WORDS}", redacted, POINTER, [redact(0, 1, path)])
    assert redacted[: len(redacted) - held] in "word [REDACTED"[:5]


@given(st.text(alphabet="ab 4-\n", max_size=900), st.integers(0, 900), st.integers(0, 900))
def test_no_more_is_held_back_than_there_is(text: str, one: int, other: int) -> None:
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    redacted = f"{text[:start]}[X]{text[end:]}" if start < end else text
    obligations = [redact(start, end)] if start < end else []
    held = holdback_of(text, redacted, POINTER, obligations)
    assert 0 <= held <= len(redacted)
    assert held >= min(HOLD_BACK, len(text) - end, len(redacted))


def test_a_text_that_is_too_long_is_refused() -> None:
    text = "x" * (MAX_TEXT_BYTES + 1)
    with pytest.raises(RequestTooLarge):
        holdback_of(text, text, POINTER, [])
