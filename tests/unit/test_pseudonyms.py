"""What takes the place of redacted values: masks, hashes and placeholders."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain.decision import Redaction, Span
from pdp.domain.detector import SECRET
from pdp.domain.redaction_kind import HASH, MASK, PLACEHOLDER
from pdp.domain.request import Request
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan
from pdp.engine.text.locations import strings_in
from pdp.engine.text.pseudonyms import (
    FULL_MASK,
    HASH_DIGITS,
    MAX_MASKED,
    MIN_KEY_BYTES,
    PLACEHOLDER_DIGITS,
    WITHHELD,
    Pseudonyms,
    canonical,
    label_of,
    mask,
    session_of,
)
from pdp.engine.text.redaction import merge, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.engine.dlp.entities import EntityFinding

KEY: Final = bytes(range(MIN_KEY_BYTES))
KINDS: Final = (MASK, HASH, PLACEHOLDER)
DETECTORS: Final = catalog.detectors()
PATTERN_SETS: Final = (
    PatternSet().with_patterns(p for each in DETECTORS.values() for p in each.patterns),
)
EXAMPLES: Final = [
    (entry["id"], text)
    for entry in catalog.entries("detectors", "detectors")
    for text in entry["examples"]["match"]
    if isinstance(text, str)
]


def pseudonyms(key: bytes = KEY, tenant: str = "t", session: str = "s") -> Pseudonyms:
    """Returns the pseudonyms of a session."""
    return Pseudonyms(key, tenant, session)


def written(kind: str, value: str, of: Pseudonyms | None = None, *, is_secret: bool = False) -> str:
    """Returns what takes the place of a value of the type CARD."""
    return (of or pseudonyms()).replacement(kind, value, "CARD", is_secret=is_secret)


class TestMask:
    @pytest.mark.parametrize(
        ("value", "masked"),
        [
            ("4111 1111 1111 1234", "**** **** **** 1234"),
            ("4111-1111-1111-1234", "****-****-****-1234"),
            ("4111111111111234", "************1234"),
            ("+1 (415) 555-0132", "+* (***) ***-*132"),
            ("123-45-6789", "***-**-*789"),
            ("DE89370400440532013000", "******************3000"),
            ("1234567", "*******"),
            ("12345678", "******78"),
            ("12345678901", "********901"),
            ("123456789012", "********9012"),
            ("", ""),
            ("-", "-"),
        ],
    )
    def test_the_end_of_a_value_stays(self, value: str, masked: str) -> None:
        assert mask(value) == masked

    @pytest.mark.parametrize(
        ("value", "masked"),
        [
            ("ada.lovelace@example.com", "***@example.com"),
            ("a@b.org", "***@b.org"),
        ],
    )
    def test_the_domain_of_an_address_stays(self, value: str, masked: str) -> None:
        assert mask(value) == masked

    @pytest.mark.parametrize(
        ("value", "masked"),
        [
            ("ada@localhost", "*********host"),
            ("postgres://ada:pw@db.example.com", "********://***:*****.******e.com"),
        ],
    )
    def test_what_is_no_address_is_masked_as_any_value(self, value: str, masked: str) -> None:
        assert mask(value) == masked

    def test_nothing_of_a_secret_or_a_long_value_stays(self) -> None:
        assert written(MASK, "4111111111111234", is_secret=True) == FULL_MASK
        assert mask("1" * (MAX_MASKED + 1)) == FULL_MASK
        assert mask("1" * MAX_MASKED).endswith("*1111")

    @given(st.text(max_size=300))
    def test_at_most_a_third_stays(self, value: str) -> None:
        if "@" in value:
            return
        shown = sum(map(str.isalnum, mask(value)))
        assert shown <= min(4, sum(map(str.isalnum, value)) // 3)


class TestCanonical:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("4111 1111 1111 1111", "4111111111111111"),
            ("4111-1111-1111-1111", "4111111111111111"),
            ("4111\u200b1111\u200b1111\u200b1111", "4111111111111111"),
            ("４１１１１１１１１１１１１１１１", "4111111111111111"),  # noqa: RUF001 - full-width
            ("de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
            ("+1 (415) 555-0132", "+14155550132"),
            ("Ada@Example.com", "ada@example.com"),
            (r"ada\u0040example.com", "ada@example.com"),
            ("Ada  Lovelace", "ada lovelace"),
        ],
    )
    def test_spellings_of_one_value_are_equal(self, one: str, other: str) -> None:
        assert canonical(one) == canonical(other)
        assert written(HASH, one) == written(HASH, other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("2020-1-11", "2020-11-1"),
            ("192.168.1.12", "192.16.81.12"),
            ("ada@example.com", "eda@example.com"),
            ("4111111111111111", "4111111111111112"),
        ],
    )
    def test_different_values_differ(self, one: str, other: str) -> None:
        assert canonical(one) != canonical(other)
        assert written(PLACEHOLDER, one) != written(PLACEHOLDER, other)

    def test_the_case_of_secrets_counts(self) -> None:
        values = [written(HASH, value, is_secret=True) for value in ("AbC", "abc", "a bc")]
        assert len(set(values)) == 3

    @given(st.text())
    def test_any_text_has_a_form(self, value: str) -> None:
        assert re.fullmatch(r"\[CARD_[a-f]+\]", written(HASH, value))

    def test_an_escaped_half_of_a_pair_has_a_form(self) -> None:
        assert written(HASH, r"\ud800")


class TestPseudonyms:
    def test_the_lengths(self) -> None:
        assert re.fullmatch(rf"\[CARD_[a-f]{{{HASH_DIGITS}}}\]", written(HASH, "x"))
        assert re.fullmatch(rf"\[CARD_[a-f]{{{PLACEHOLDER_DIGITS}}}\]", written(PLACEHOLDER, "x"))

    def test_a_hash_depends_on_the_key_the_tenant_and_the_value_only(self) -> None:
        hashes = [
            written(HASH, "x", each)
            for each in (
                pseudonyms(),
                pseudonyms(tenant="u"),
                pseudonyms(key=KEY[::-1]),
            )
        ]
        assert len({*hashes, written(HASH, "y")}) == 4
        assert written(HASH, "x", pseudonyms(session="other")) == hashes[0]

    def test_a_placeholder_depends_on_the_session_too(self) -> None:
        others = (pseudonyms(), pseudonyms(session="other"), pseudonyms(tenant="u"))
        assert len({written(PLACEHOLDER, "x", each) for each in others}) == 3
        assert written(PLACEHOLDER, "x") == written(PLACEHOLDER, "x")

    def test_the_parts_of_a_hash_cannot_be_confused(self) -> None:
        one = written(PLACEHOLDER, "bc", pseudonyms(session="a"))
        assert one != written(PLACEHOLDER, "c", pseudonyms(session="ab"))
        assert session_of("r1", "") != session_of("", "r1")

    @pytest.mark.parametrize("kind", [HASH, PLACEHOLDER])
    @pytest.mark.parametrize("key", [b"", KEY[:-1]])
    def test_without_a_key_nothing_of_the_value_is_used(self, kind: str, key: bytes) -> None:
        assert written(kind, "4111111111111234", pseudonyms(key=key)) == WITHHELD

    @pytest.mark.parametrize(
        ("name", "label"),
        [
            ("EMAIL_ADDRESS", "EMAIL_ADDRESS"),
            ("Code names 2", "CODE_NAMES"),
            ("日本", "REDACTED"),
            ("", "REDACTED"),
            ("X" * 41, "X" * 40),
        ],
    )
    def test_labels(self, name: str, label: str) -> None:
        assert label_of(name) == label


class TestMerging:
    @pytest.mark.parametrize("order", [1, -1])
    @pytest.mark.parametrize(
        ("shows_less", "shows_more"),
        [("", HASH), ("", MASK), (HASH, MASK), (PLACEHOLDER, MASK)],
    )
    def test_the_kind_that_shows_least_counts(
        self, shows_less: str, shows_more: str, order: int
    ) -> None:
        redactions = [
            Redaction("a", Span(0, 5, "A"), shows_less),
            Redaction("b", Span(3, 9, "B"), shows_more),
        ]
        assert merge(redactions[::order]) == [Redaction("a", Span(0, 9, "A"), shows_less)]

    def test_a_part_that_is_a_secret_makes_the_whole_one(self) -> None:
        redactions = [Redaction("", Span(0, 9), MASK), Redaction("", Span(3, 5), MASK, True)]
        assert [each.is_secret for each in merge(redactions)] == [True]
        text = "123456789012"
        assert redact(Request(text=text), redactions).text == f"{FULL_MASK}012"

    def test_parts_of_one_number_are_redacted_by_the_strictest(self) -> None:
        redactions = [
            Redaction("", Span(0, 6, "", "/n"), MASK),
            Redaction("-", Span(6, 12, "", "/n")),
        ]
        redacted = redact(Request(arguments={"n": 123456789012}), redactions)
        assert redacted.arguments == {"n": "-"}


class TestObligations:
    def test_each_replacement_has_an_obligation(self) -> None:
        redactions = [
            Redaction("", Span(0, 1, "A"), HASH),
            Redaction("[X]", Span(2, 3, "A")),
            Redaction("", Span(4, 5, "A"), HASH),
        ]
        redacted = redact(Request(text="1 x 1"), redactions, pseudonyms=pseudonyms())
        digest = pseudonyms().replacement(HASH, "1", "A", is_secret=False)
        assert redacted.text == f"{digest} [X] {digest}"
        assert [(each.replacement, each.spans) for each in redacted.obligations] == [
            ("[X]", (Span(2, 3, "A"),)),
            (digest, (Span(0, 1, "A"), Span(4, 5, "A"))),
        ]


documents = st.recursive(
    st.text(max_size=20) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
kinds = st.sampled_from(("", *KINDS))


class TestJson:
    """A redaction keeps JSON valid."""

    @given(documents, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), kinds)))
    @example({"a": 'x"y'}, [(0, 30, MASK)])
    @example({"a": 7712345678}, [(6, 10, HASH)])
    def test_in_a_text(self, document: Any, spans: Sequence[tuple[int, int, str]]) -> None:
        text = json.dumps([document])
        redactions = [
            Redaction("[R]", Span(start, min(start + size, len(text) - 1), "T"), kind)
            for start, size, kind in spans
            if start > 0
        ]
        redacted = redact(Request(text=text), redactions, pseudonyms=pseudonyms())
        if redacted.text is not None:
            json.loads(redacted.text)

    @given(st.dictionaries(st.text(max_size=5), documents, max_size=4), kinds)
    def test_in_arguments(self, document: Any, kind: str) -> None:
        redactions = [
            Redaction("[R]", Span(0, len(each.text), "T", each.path), kind)
            for each in strings_in(document)
        ]
        redacted = redact(Request(arguments=document), redactions, pseudonyms=pseudonyms())
        if redacted.arguments is not None:
            json.loads(json.dumps(redacted.arguments))


def find(detector: EntityDetector, text: str, arguments: Any = None) -> Sequence[EntityFinding]:
    """Returns the findings of a detector, at any confidence."""
    return scan(PATTERN_SETS, text, arguments, VALIDATORS).entities(detector)


def replaced(text: str, redacted: str, redactions: Sequence[Redaction]) -> Iterator[slice]:
    """Yields the places of the replacements in a redacted text, given those in the text."""
    shift = 0
    for replacement, span, *_ in redactions:
        start = span.start + shift
        shift += len(replacement) - (span.end - span.start)
        assert redacted[start : start + len(replacement)] == replacement
        yield slice(start, start + len(replacement))


@pytest.mark.parametrize("kind", ["", *KINDS])
@pytest.mark.parametrize("detector_id", DETECTORS)
def test_no_detector_finds_a_replacement_again(detector_id: str, kind: str) -> None:
    """Each example of a detector is redacted, and searched again by all detectors."""
    detector = DETECTORS[detector_id]
    for number, text in enumerate(text for name, text in EXAMPLES if name == detector_id):
        redactions = [
            Redaction(
                "[REDACTED]", each.location.span(each.entity_type), kind, each.category == SECRET
            )
            for each in find(detector, text)
        ]
        own = pseudonyms(session=str(number))
        redacted = redact(Request(text=text), redactions, pseudonyms=own)
        if redacted.text is None:
            continue
        places = sorted(
            (
                Redaction(each.replacement or "", span)
                for each in redacted.obligations
                for span in each.spans
            ),
            key=lambda each: each.span.start,
        )
        slices = list(replaced(text, redacted.text, places))
        for other in DETECTORS.values():
            for finding in find(other, redacted.text):
                where = finding.location
                assert not any(
                    where.start < each.stop and each.start < where.end for each in slices
                ), (redacted.text, where.value)
