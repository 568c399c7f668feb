"""The records that followers report: each is appended once, or the whole report is refused."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp import catalog
from pdp.audit.acknowledgements import LoopAcknowledgements
from pdp.audit.record_json import encode_record
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.decisions import reports as reporting
from pdp.decisions.reports import Reports
from pdp.detect.validators import VALIDATORS
from pdp.domain.audit_log import Retention
from pdp.domain.decision import Obligation, ObligationType, Outcome, PolicyWarning, Risk, Span
from pdp.domain.decision_record import (
    DecisionRecord,
    LayerTime,
    RecordedEntity,
    RecordedSubject,
    RecordedTarget,
)
from pdp.domain.policy_set import PolicySet
from pdp.engine.compiler import compile_platform, empty_snapshot
from pdp.errors import InvalidArgument, StoreUnavailable
from pdp.export.ocsf.decisions import decision_events
from pdp.transport.record_messages import record_message
from tests.support.records import record

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from pdp.engine.snapshot import Snapshot

FOLLOWER: Final = "key:follower"
KEY: Final = "ghp_1B4a2e77838347a7E420ce178F2E7c6912E1"
CARD: Final = "4539578763621486"
NOTHING: Final = "nothing here is secret"

FULL: Final = record(
    1,
    outcome=Outcome.REDACT,
    pii_detected=True,
    policy_hash="cd" * 32,
    customer_id="c1",
    direction="output",
    channel="api",
    intent_complexity="simple",
    asked_at=1_790_000_000.5,
    arguments_sha256="ef" * 32,
    tokens=7,
    cost_usd=0.25,
    incomplete=True,
    subject=RecordedSubject("u1", ("staff",), "bot", 0.5),
    target=RecordedTarget("table", "users", 3, ("PII",), ("name",)),
    redacted_arguments={"query": "select …", "rows": [1, 2.5, None, True]},
    entities=(RecordedEntity("CREDIT_CARD", "financial", "dlp_card", 0.9, 4, 20, "/query"),),
    obligations=(
        Obligation(ObligationType.REDACT, "[CARD]", (Span(4, 20, "CREDIT_CARD", "/query"),)),
        Obligation(ObligationType.APPROVAL, approval_id="a1", expires_at=1_790_000_100.5),
        Obligation(ObligationType.MASK_FIELDS, fields=("name",)),
    ),
    warnings=(PolicyWarning("p1", "careful"),),
    frameworks=("GDPR",),
    layers=(LayerTime("scan", 12.5),),
    session_id="s1",
    sample_rate=0.5,
    payload_format="mcp.jsonrpc",
    input_hash="ab" * 32,
    policies_known_at=1_790_000_000.5,
)
"""A record that has a value in every field."""


def body(number: int = 1, **fields: Any) -> str:
    return encode_record(record(number, **fields))


class Server:
    """A log of records, its recorder, and what takes the reports of followers."""

    def __init__(self, path: Path, snapshot: Snapshot) -> None:
        self._runner = asyncio.Runner()
        loop = self._runner.get_loop()
        options = RecordingOptions(f"sqlite:///{path}/audit.db", retention=Retention(None, None))
        self.recording = Recording(options, LoopAcknowledgements(loop))

        async def policies_of(_: str) -> Snapshot:
            return snapshot

        self.reports = Reports(
            self.recording.log, self.recording.recorder, policies_of, record_message
        )

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def append(self, *bodies: str, tenant_id: str = "acme", reporter: str = FOLLOWER) -> int:
        appended: int = self.run(self.reports.append(tenant_id, reporter, bodies))
        return appended

    def refusal(self, *bodies: str, tenant_id: str = "acme") -> str:
        """Returns which field of a report is refused, and why; nothing of it is appended."""
        before = self.recording.log.last()
        with pytest.raises(InvalidArgument) as caught:
            self.append(*bodies, tenant_id=tenant_id)
        assert self.recording.log.last() == before
        (violation,) = caught.value.violations
        return f"{violation.field} {violation.reason}"

    @property
    def records(self) -> list[DecisionRecord]:
        """The records in the log, oldest first."""
        return [DecisionRecord.from_json(json.loads(each)) for each in self.bodies]

    @property
    def bodies(self) -> list[str]:
        return [each.body for each in self.recording.log.read_on(0, 10_000)]

    def close(self) -> None:
        self.recording.close()
        self._runner.close()


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    platform = compile_platform(PolicySet(), VALIDATORS, detectors=catalog.detectors())
    return empty_snapshot(platform, 1)


@contextmanager
def open_server(snapshot: Snapshot) -> Iterator[Server]:
    with TemporaryDirectory() as directory:
        opened = Server(Path(directory), snapshot)
        try:
            yield opened
        finally:
            opened.close()


@pytest.fixture
def server(snapshot: Snapshot) -> Iterator[Server]:
    with open_server(snapshot) as opened:
        yield opened


class TestAppending:
    def test_records_are_appended_in_order(self, server: Server) -> None:
        assert server.append(body(1), body(2)) == 2
        assert server.append(body(3)) == 1
        assert [each.decision_id for each in server.records] == [
            "decision-1", "decision-2", "decision-3"
        ]  # fmt: skip

    @pytest.mark.parametrize("reported", [FULL, record(), record(text_length=0, matches=())])
    def test_a_record_stays_as_it_was_made(self, server: Server, reported: DecisionRecord) -> None:
        """Only the name of the follower is added."""
        assert server.append(encode_record(reported)) == 1
        assert server.records == [reported._replace(reported_by=FOLLOWER)]

    def test_every_field_of_a_record_is_tested(self) -> None:
        empty = DecisionRecord("", "", 0.0, "", Outcome.ALLOW, Risk(0, "none"))
        same = {name for name in FULL._fields if getattr(FULL, name) == getattr(empty, name)}
        assert same == {"reported_by"}

    def test_the_server_says_who_reported(self, server: Server) -> None:
        server.append(body(1, reported_by="key:somebody-else"), reporter="key:a")
        server.append(body(2), reporter="key:b")
        assert [each.reported_by for each in server.records] == ["key:a", "key:b"]

    def test_a_record_that_the_log_has_is_not_appended_again(self, server: Server) -> None:
        assert server.append(body(1), body(2)) == 2
        assert server.append(body(1), body(2)) == 0
        assert server.append(body(2), body(3), body(1)) == 1
        assert len(server.records) == 3

    def test_a_record_that_a_report_has_twice_is_appended_once(self, server: Server) -> None:
        assert server.append(body(1), body(1), body(2)) == 2
        assert len(server.records) == 2

    def test_two_reports_at_the_same_time_append_a_record_once(self, server: Server) -> None:
        async def report_twice() -> list[int]:
            reports = (server.reports.append("acme", FOLLOWER, [body(1), body(2)]) for _ in "12345")
            return await asyncio.gather(*reports)

        assert sum(server.run(report_twice())) == 2
        assert len(server.records) == 2

    def test_another_tenant_may_have_a_decision_of_the_same_id(self, server: Server) -> None:
        assert server.append(body(1)) == 1
        assert server.append(body(1, tenant_id="rival"), tenant_id="rival") == 1
        assert [each.tenant_id for each in server.records] == ["acme", "rival"]

    def test_fields_that_are_not_known_are_left_out(self, server: Server) -> None:
        assert server.append(json.dumps({**json.loads(body()), "a_new_field": NOTHING})) == 1
        assert NOTHING not in server.bodies[0]

    def test_reported_decisions_are_counted(self, server: Server) -> None:
        server.append(body(1), body(2, outcome=Outcome.REDACT))
        server.append(body(1))
        server.recording.flush_counts()
        period = server.recording.log.counts("acme")
        counts = [(each.level, each.outcome, each.made, each.recorded) for each in period.counts]
        assert sorted(counts) == [("standard", "BLOCK", 1, 1), ("standard", "REDACT", 1, 1)]

    def test_a_report_of_many_records(self, server: Server) -> None:
        """More than the recorder writes at once."""
        assert server.append(*(body(number) for number in range(600))) == 600
        assert server.append(*(body(number) for number in range(601))) == 1

    def test_an_empty_report_appends_nothing(self, server: Server) -> None:
        assert server.append() == 0
        assert server.records == []


class TestFailures:
    def test_a_report_that_cannot_be_written_is_sent_again(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: Sequence[str]) -> None:
            raise StoreUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(server.recording.log, "append", fail)
            with pytest.raises(StoreUnavailable):
                server.append(body(1), body(2))
        assert server.records == []
        assert server.append(body(1), body(2)) == 2

    def test_a_log_that_cannot_be_read_is_an_error(self, server: Server) -> None:
        server.recording.close()
        with pytest.raises(StoreUnavailable):
            server.append(body())

    def test_without_the_policies_of_the_tenant_nothing_is_appended(self, server: Server) -> None:
        async def fail(_: str) -> Snapshot:
            raise StoreUnavailable("the policies cannot be read")

        recording = server.recording
        reports = Reports(recording.log, recording.recorder, fail, record_message)
        with pytest.raises(StoreUnavailable):
            server.run(reports.append("acme", FOLLOWER, [body()]))
        assert server.records == []


_numbers: Final = st.integers() | st.floats() | st.sampled_from((10**400, math.inf, 2**64))
_values: Final = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the places of all values in a JSON value."""
    if place:
        yield place
    items: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for name, item in items:
        yield from _places(item, (*place, name))


def changed(place: tuple[str | int, ...], value: Any) -> str:
    """Returns a record with another value at a place."""
    document = json.loads(encode_record(FULL))
    part: Any = document
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    return json.dumps(document)


PLACES: Final = list(_places(json.loads(encode_record(FULL))))


NO_RECORDS: Final = (
    *("", "{", "null", "[]", "1", '"record"', "NaN"),
    *("[" * 100_000, '{"a":' * 100_000, "1" * 5000),
)


class TestRefusals:
    def test_a_record_of_another_tenant(self, server: Server) -> None:
        rival = body(2, tenant_id="rival")
        assert server.refusal(body(1), rival) == "records[1] is a record of another tenant"
        assert server.refusal(body(1), tenant_id="").startswith("records[0] is a record of another")

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_nothing_is_appended_if_one_record_is_refused(self, server: Server, place: int) -> None:
        bodies = [body(1), body(2)]
        bodies.insert(place, "{}")
        assert server.refusal(*bodies) == f"records[{place}] is no record of a decision"

    def test_a_record_without_an_id(self, server: Server) -> None:
        assert server.refusal(body(decision_id="")) == "records[0] has no decision_id"

    @pytest.mark.parametrize("text", NO_RECORDS, ids=range(len(NO_RECORDS)))
    def test_a_text_that_is_no_record(self, server: Server, text: str) -> None:
        assert server.refusal(text) == "records[0] is no record of a decision"

    def test_a_report_of_too_many_characters(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bodies = [body(1), body(2)]
        size = sum(map(len, bodies))
        monkeypatch.setattr(reporting, "MAX_CHARACTERS", size - 1)
        assert server.refusal(*bodies) == (
            f"records must have at most {size - 1} characters; send fewer at once"
        )
        monkeypatch.setattr(reporting, "MAX_CHARACTERS", size)
        assert server.append(*bodies) == 2

    def test_the_reason_has_nothing_of_the_record(self, server: Server) -> None:
        for text in (f'{{"{KEY}"', json.dumps({KEY: KEY}), changed(("outcome",), KEY)):
            assert KEY not in server.refusal(text)

    def test_any_json_is_refused(self, snapshot: Snapshot) -> None:
        with open_server(snapshot) as server:

            @given(_values)
            def check(value: Any) -> None:
                assert "is no record" in server.refusal(json.dumps(value))

            check()


OPTIONAL: Final = {
    ("version",),
    ("allowed",),
    ("redacted_text",),
    ("redacted_arguments",),
    ("redacted_arguments", "query"),
    ("redacted_arguments", "rows"),
    *(("redacted_arguments", "rows", number) for number in range(4)),
    ("subject", "risk_score"),
    ("target", "sensitivity_level"),
    ("entities", 0, "path"),
    ("obligations", 0, "replacement"),
    ("obligations", 0, "spans", 0, "path"),
    ("obligations", 1, "expires_at"),
}
"""The values of `FULL` that a record may lack, and those that are not read."""


def is_refused(server: Server, text: str) -> bool:
    try:
        server.append(text)
    except InvalidArgument:
        return True
    except StoreUnavailable:  # the follower would send it again
        return False
    return False


def assert_log_works(server: Server, count: int) -> None:
    """Checks that the log can be written and read after a number of reported records."""
    recording = server.recording
    assert (recording.recorder.unwritten, recording.recorder.status()) == (0, "ok")
    recording.flush_counts()
    assert recording.log.counts("acme").made == len(server.records) == count
    for each in server.records:
        assert record_message(each).decision_id == each.decision_id
        assert list(decision_events(each))


class TestOtherValues:
    """A record with a wrong value is refused.

    If it were taken, the recorder could fail on it, and the follower would never stop sending it;
    or the log could not be read any more.
    """

    @given(st.sampled_from(PLACES), _values)
    @example(("time",), math.inf)
    @example(("duration_us",), 10**400)
    @example(("redacted_arguments", "query"), 10**400)
    @example(("obligations", 1, "expires_at"), math.inf)
    @example(("subject", "groups"), None)
    @example(("target", "fields"), None)
    @example(("logging_level",), None)
    @example(("obligations", 0, "spans", 0, "end"), None)
    @example(("cost_usd",), math.nan)
    def test_any_value_is_refused_or_does_no_harm(
        self, snapshot: Snapshot, place: tuple[str | int, ...], value: Any
    ) -> None:
        with open_server(snapshot) as server:
            count = 0 if is_refused(server, changed(place, value)) else 1
            assert_log_works(server, count)

    def test_a_null_is_refused_where_a_record_has_a_value(self, server: Server) -> None:
        assert {
            place for place in PLACES if not is_refused(server, changed(place, None))
        } == OPTIONAL

    def test_a_number_that_is_not_finite_is_refused(self, server: Server) -> None:
        names = ("time", "asked_at", "cost_usd", "duration_us", "sample_rate", "policies_known_at")
        places = [*((name,) for name in names), ("subject", "risk_score")]
        numbers = (math.nan, math.inf, -math.inf)
        accepted = [
            (place, number)
            for place in places
            for number in numbers
            if not is_refused(server, changed(place, number))
        ]
        assert accepted == []


class TestSecrets:
    @pytest.mark.parametrize("secret", [KEY, CARD])
    @pytest.mark.parametrize(
        "place",
        [
            ("request_id",),
            ("customer_id",),
            ("provider",),
            ("model",),
            ("action",),
            ("tool",),
            ("message",),
            ("session_id",),
            ("subject", "user_id"),
            ("subject", "groups", 0),
            ("subject", "agent_id"),
            ("target", "resource_type"),
            ("target", "resource_id"),
            ("target", "classifications", 0),
            ("target", "fields", 0),
            ("matches", 0, "policy_id"),
            ("matches", 0, "name"),
            ("matches", 0, "reason"),
            ("risk", "factors", 0, "id"),
            ("warnings", 0, "policy_id"),
            ("warnings", 0, "message"),
            ("entities", 0, "path"),
            ("entities", 0, "entity_type"),
            ("obligations", 0, "spans", 0, "path"),
            ("obligations", 2, "fields", 0),
        ],
        ids=str,
    )
    def test_a_secret_is_masked(
        self, server: Server, place: tuple[str | int, ...], secret: str
    ) -> None:
        """As in a record of the server's own, for a follower may have older detectors."""
        assert server.append(changed(place, f"x {secret} y")) == 1
        (stored,) = server.bodies
        assert secret not in stored
        part: Any = json.loads(stored)
        for name in place:
            part = part[name]
        assert part.startswith("x [")
        assert part.endswith("] y")

    def test_the_rest_of_such_a_record_stays(self, server: Server) -> None:
        server.append(changed(("subject", "user_id"), CARD))
        (stored,) = server.records
        subject = FULL.subject._replace(user_id=stored.subject.user_id)
        assert stored == FULL._replace(
            decision_id="decision-1", subject=subject, reported_by=FOLLOWER
        )
