"""The accuracy of entity detection; `python -m bench.accuracy` prints the table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench import labelled_values, spans
from bench.spans import Score, Sentence

SENTENCES = spans.read_sentences(Path(__file__).parents[1] / "corpora" / "pii_spans.jsonl")
SCORES = spans.scores(SENTENCES, spans.finder(), spans.ALL_TYPES)


@pytest.mark.parametrize(("entity_type", "target"), spans.TARGETS.items())
def test_entities_reach_their_recall_and_precision(entity_type: str, target: float) -> None:
    score = SCORES[entity_type]
    assert score.labels > 0
    assert score.recall >= target
    assert score.precision >= target


@pytest.mark.parametrize("entity_type", spans.TARGETS)
def test_spans_are_exact(entity_type: str) -> None:
    assert SCORES[entity_type].exact >= 0.95 * SCORES[entity_type].labels


def test_few_clean_sentences_are_redacted_or_blocked() -> None:
    flagged, clean = spans.false_actions(SENTENCES)
    assert clean >= 200
    assert flagged <= spans.MAX_FALSE * clean


HARMLESS = (
    "Revenue grew from 1 234 567 to 12 345 678 euros in 2023.",
    "The build 10.2.31.4 failed at 2024-05-06 12:30:45 on node 17.",
    "Order 123-456-789 shipped, tracking 1Z999AA10123456784.",
    "Commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904 broke main.",
    "uuid 550e8400-e29b-41d4-a716-446655440000",
    "ISBN 978-3-16-148410-0 and 0-306-40615-2",
    "numpy==1.26.4 scipy>=1.11.3,<2.0",
    "Timestamps 1700000000, 1700000000000 and 20240101123000",
    "The 2020-2021 season, pages 123-145, rows 1000-2000",
    "https://example.com/articles/2024/05/06/123456789",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "const token = process.env.API_TOKEN;",
    "api_key: str = Field(default=None)",
    "Authorization: Bearer YOUR_ACCESS_TOKEN_GOES_HERE",
    '{"access_token": "string", "token_type": "bearer"}',
    "docker run -p 127.0.0.1:5432:5432 postgres:15",
    "std::vector<int> a::b::c and my.package.Class@1a2b3c",
    "EAN 4006381333931, ssn 000-00-0000, id AKIAIOSFODNN7EXAMPLE",
    "loss 0.4111111111111111, value 0.2662102282047272",
    "The flight AB1234567 left at 12:34:56 for gate B12.",
    "The password is required; the secret key of success is practice.",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_technical_tokens_are_not_entities(text: str) -> None:
    assert spans.finder()(text) == []


class TestScore:
    def test_counts_findings_that_overlap_half_of_a_label(self) -> None:
        sentences = [
            Sentence("0123456789", (("A", 0, 4), ("A", 6, 10))),
            Sentence("0123456789", ()),
        ]
        finds = {True: [("A", 0, 4), ("A", 8, 10), ("B", 0, 1)], False: [("A", 0, 9)]}
        texts = iter([True, False])
        scores = spans.scores(sentences, lambda _: finds[next(texts)], ["A"])
        assert scores == {"A": Score(labels=2, hits=2, finds=3, exact=1)}

    def test_weights_recall_twice(self) -> None:
        score = Score(labels=10, hits=5, finds=5, exact=5)
        assert (score.precision, score.recall) == (1.0, 0.5)
        assert round(score.f2, 4) == 0.5556

    def test_without_labels_the_score_is_one(self) -> None:
        assert Score(0, 0, 0, 0).f2 == 1.0


class TestLabelledValues:
    """Labels of all kinds, as people and programs of several countries write them."""

    @pytest.mark.parametrize("seed", [1, labelled_values.SEED])
    def test_reach_their_targets(self, seed: int) -> None:
        result = labelled_values.measure(seed)
        assert result.total.total() >= 1000
        assert result.quiet >= 200
        assert result.recall >= labelled_values.MIN_FOUND, result.misses
        assert result.false_share <= labelled_values.MAX_FALSE, result.false_finds

    def test_each_kind_is_found(self) -> None:
        result = labelled_values.measure(2)
        low = {
            entity_type: f"{result.hits[entity_type]} of {total}"
            for entity_type, total in result.total.items()
            if result.hits[entity_type] < 0.8 * total
        }
        assert low == {}

    def test_the_values_are_the_same_for_the_same_seed(self) -> None:
        first, second = (list(labelled_values.positives(3)) for _ in range(2))
        assert first == second

    def test_a_miss_and_a_false_find_count(self) -> None:
        row = labelled_values.Row("label 12345", "PASSPORT", "12345")
        total, hits = Counter({"PASSPORT": 1}), Counter[str]()
        result = labelled_values.Result(total, hits, [row], 1, [(row, ["passport"])])
        assert (result.recall, result.false_share, result.reached) == (0.0, 1.0, False)
