"""Tallies of replays: however the records are divided, the report is the same."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pdp.decisions.replay_summary import ReplayPage
from pdp.decisions.replay_tally import ChangeCause, ReplayResult, ReplayTally, Responsible
from pdp.domain.decision import Outcome
from pdp.replay_runs.results import RESULTS, add_results, result_batch
from pdp.transport.replay_response import replay_response

OUTCOMES = st.sampled_from([Outcome.ALLOW, Outcome.WARN, Outcome.BLOCK])
CAUSES = st.builds(
    lambda number, reason: ChangeCause(Responsible("static", f"p{number}", "No", "added"), reason),
    st.integers(0, 2),
    st.sampled_from(["found", "found ü"]),
)


@st.composite
def replay_results(draw: st.DrawFn) -> list[ReplayResult]:
    results = []
    for order in range(draw(st.integers(0, 25))):
        result = ReplayResult(
            order,
            f"d{order}",
            float(order),
            draw(st.sampled_from(["ada", "bob"])),
            draw(OUTCOMES),
            sample_rate=draw(st.sampled_from([0.0, 0.1, 0.5])),
        )
        if draw(st.booleans()):
            result = result._replace(
                now=draw(OUTCOMES),
                gaps=tuple(draw(st.lists(st.sampled_from(["a", "b"]), unique=True))),
                elsewhere=draw(st.booleans()),
            )
        else:
            result = result._replace(obstacle=draw(st.sampled_from(["limits", "approvals"])))
        if result.is_changed:
            causes = {each.policy: each for each in draw(st.lists(CAUSES, max_size=3))}
            result = result._replace(reason_code="X", message="m", causes=tuple(causes.values()))
        results.append(result)
    return results


def in_one_pass(results: list[ReplayResult], examples: int) -> ReplayTally:
    tally = ReplayTally(examples)
    for each in results:
        tally.add(each)
    return tally


def text_of(tally: ReplayTally) -> bytes:
    """Returns the report, byte for byte."""
    return replay_response(ReplayPage(tally)).SerializeToString(deterministic=True)


@st.composite
def divided(draw: st.DrawFn) -> tuple[list[ReplayResult], list[list[ReplayResult]]]:
    """Draws results, and the same in parts, in any order."""
    results = draw(replay_results())
    parts: list[list[ReplayResult]] = [[] for _ in range(draw(st.integers(1, 5)))]
    for each in results:
        draw(st.sampled_from(parts)).append(each)
    return results, draw(st.permutations([draw(st.permutations(part)) for part in parts]))


@given(divided(), st.integers(0, 4))
def test_any_partition_gives_the_report_of_one_pass(
    division: tuple[list[ReplayResult], list[list[ReplayResult]]], examples: int
) -> None:
    results, parts = division
    merged = ReplayTally(examples)
    for part in parts:
        merged.merge(in_one_pass(part, examples))
    assert text_of(merged) == text_of(in_one_pass(results, examples))


@given(divided(), st.integers(0, 4))
def test_merging_is_associative(
    division: tuple[list[ReplayResult], list[list[ReplayResult]]], examples: int
) -> None:
    _, parts = division
    inner = ReplayTally(examples)
    for part in reversed(parts):
        tally = in_one_pass(part, examples)
        tally.merge(inner)
        inner = tally
    outer = ReplayTally(examples)
    for part in parts:
        outer.merge(in_one_pass(part, examples))
    assert text_of(inner) == text_of(outer)


@given(divided(), st.integers(0, 4))
def test_a_table_of_results_gives_the_report_of_one_pass(
    division: tuple[list[ReplayResult], list[list[ReplayResult]]], examples: int
) -> None:
    results, parts = division
    tally = ReplayTally(examples)
    for part in parts:
        table = pa.Table.from_batches([result_batch(part)])
        assert table.schema.equals(RESULTS)
        add_results(tally, table)
    assert text_of(tally) == text_of(in_one_pass(results, examples))


def test_a_table_replaces_half_of_a_character() -> None:
    """The embedded engine takes any text as an id; a table and a report are UTF-8."""
    result = ReplayResult(1, "d\ud800", 0.0, "u\ud800", Outcome.ALLOW, Outcome.BLOCK)
    tally = ReplayTally(3)
    add_results(tally, pa.Table.from_batches([result_batch([result])]))
    [change] = replay_response(ReplayPage(tally)).changes
    assert (change.examples[0].decision_id, change.examples[0].user_id) == ("d?", "u?")


def test_a_record_that_cannot_be_replayed_is_never_unchanged() -> None:
    tally = ReplayTally(3)
    unreadable = ReplayResult(1, "", 0.0, "", None, obstacle="record: it cannot be read")
    add_results(tally, pa.Table.from_batches([result_batch([unreadable])]))
    assert tally.replayed == 0
    assert tally.not_replayed == {"record: it cannot be read": 1}
