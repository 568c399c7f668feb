"""What a replica counts by itself, and what it keeps for the server of the shared counters."""

from __future__ import annotations

from pdp.domain.limits import ActiveLimit
from pdp.domain.usage import Counts
from pdp.usage.shared.journal import MAX_ADDITIONS, Journal
from pdp.usage.shared.local_counters import KnownUsage, LocalCounters
from tests.support.meters import NOON, Clock, at, user

SUBJECT = ("acme", "user", "u")
LIMITS = (ActiveLimit.of(user(requests_per_minute=5)),)
ROW = (3, 4, 40, 400, 5, 50, 500, 0, int(NOON) + 61)


def usage(counters: LocalCounters) -> tuple[Counts, Counts, Counts]:
    """Returns what the user `u` has used."""
    spent = counters.spent("acme", LIMITS).by_limit["own"]
    return spent.minute, spent.day, spent.month


class TestLocalCounters:
    def test_they_go_on_from_the_last_answer(self) -> None:
        counters = LocalCounters(Clock())
        counters.learn(SUBJECT, KnownUsage(NOON, ROW, Counts(1, 10, 100)))
        assert usage(counters) == (Counts(4), Counts(5, 50, 500), Counts(6, 60, 600))
        counters.take([SUBJECT], Counts(1, 1, 1))
        assert usage(counters) == (Counts(5), Counts(6, 51, 501), Counts(7, 61, 601))

    def test_the_last_minute_frees_late_but_never_early(self) -> None:
        clock = Clock()
        counters = LocalCounters(clock)
        counters.learn(SUBJECT, KnownUsage(NOON, ROW, Counts()))
        clock.now += 60
        assert usage(counters)[0] == Counts(3)
        clock.now += 1
        assert usage(counters)[0] == Counts()

    def test_windows_that_ended_since_the_last_answer_are_empty(self) -> None:
        counters = LocalCounters(Clock(at("2026-02-15")))
        counters.learn(SUBJECT, KnownUsage(NOON, ROW, Counts()))
        assert usage(counters) == (Counts(), Counts(), Counts(5, 50, 500))

    def test_a_newer_answer_replaces_what_was_counted_here(self) -> None:
        counters = LocalCounters(Clock())
        usage(counters)
        counters.take([SUBJECT], Counts(2))
        counters.learn(SUBJECT, KnownUsage(NOON, ROW, Counts()))
        assert usage(counters)[1] == Counts(4, 40, 400)

    def test_a_clock_that_was_ahead_before_the_server_was_known_empties_nothing(self) -> None:
        clock = Clock(NOON + 86_400)
        counters = LocalCounters(clock)
        usage(counters)
        clock.now = NOON
        counters.learn(SUBJECT, KnownUsage(NOON, ROW, Counts()))
        assert usage(counters)[1] == Counts(4, 40, 400)

    def test_a_correction_of_another_day_leaves_this_one_as_it_is(self) -> None:
        counters = LocalCounters(Clock())
        counters.learn(SUBJECT, KnownUsage(NOON, ROW, Counts()))
        usage(counters)
        counters.correct([SUBJECT], NOON - 86_400, Counts(0, -7))
        assert usage(counters)[1:] == (Counts(4, 40, 400), Counts(5, 43, 500))


class TestJournal:
    def test_what_adds_up_to_nothing_is_not_kept(self) -> None:
        journal = Journal()
        journal.add([SUBJECT], NOON, Counts(1, 2, 3))
        journal.add([SUBJECT], NOON, Counts(-1, -2, -3))
        assert len(journal) == 0

    def test_it_is_bounded_however_long_the_server_is_unavailable(self) -> None:
        journal = Journal()
        for second in range(7200):
            journal.add([SUBJECT], NOON + second, Counts(1))
            journal.drop_past(NOON + second)
            assert len(journal) <= 63
        additions = {
            counter.window: counts for _, part in journal.take() for counter, counts in part.items()
        }
        assert additions["day"] == additions["month"] == Counts(7200)

    def test_a_call_has_one_tenant_and_a_bounded_number_of_additions(self) -> None:
        journal = Journal()
        for number in range(MAX_ADDITIONS):
            journal.add([("acme", "user", f"u{number}"), ("other", "user", "u")], NOON, Counts(1))
        parts = list(journal.take())
        assert len(journal) == 0
        assert [tenant for tenant, _ in parts] == ["acme"] * 3 + ["other"]
        assert max(len(part) for _, part in parts) == MAX_ADDITIONS
        for tenant, part in parts:
            assert {counter.tenant_id for counter in part} == {tenant}
            journal.put_back(part)
        assert len(journal) == 3 * MAX_ADDITIONS + 3
