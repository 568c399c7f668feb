"""The disk of a running server fails for policies, records and exports, and recovers later.

`full` is a small file system for the server alone, which another program fills to the last byte.
`unwritable` refuses every write to a file, like a disk that has become read-only.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.faults import ROUNDS, Tenant, tenant_of, unavailable
from tests.support.servers import TIMEOUT_S, start
from tests.support.siem_product import PlannedResponse, Product
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.soak

OWN_FILES: Final = ("unshare", "--user", "--map-root-user", "--mount")


class Unwritable:
    """A disk that can refuse all writes."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.server = start(folder, **settings)
        self._pid = self.server.process.pid

    def fail(self) -> None:
        """Refuses writes to all files."""
        self._usual = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (0, self._usual[1]))

    def recover(self) -> None:
        """Accepts writes again."""
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._usual)


class Full:
    """A disk of a few megabytes that another program can fill."""

    def __init__(self, folder: Path, **settings: str) -> None:
        mount = 'mount -t tmpfs -o size=24m none "$0" && exec "$@"'
        serve = ("sh", "-c", mount, str(folder), sys.executable, "-m", "pdp", "serve")
        self.server = start(folder, command=(*OWN_FILES, *serve), **settings)
        self._filler = Path(f"/proc/{self.server.process.pid}/root{folder}/filler")

    def fail(self) -> None:
        """Fills it to the last byte."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def recover(self) -> None:
        """Frees the space."""
        self._filler.unlink()


def may_mount() -> bool:
    """Returns whether this user can mount a file system."""
    command = (*OWN_FILES, "mount", "-t", "tmpfs", "none", "/mnt")
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(params=[Unwritable, Full], ids=["unwritable", "full"])
def disk(request: pytest.FixtureRequest) -> Any:
    """A function that starts a server on a disk that can fail."""
    kind: type[Unwritable | Full] = request.param
    if kind is Full and not may_mount():
        pytest.skip("this user cannot mount a file system")

    @contextmanager
    def started(folder: Path, **settings: str) -> Iterator[Unwritable | Full]:
        disk_ = kind(folder, **settings)
        with disk_.server:
            yield disk_

    return started


def checks(acting: Tenant) -> dict[str, str]:
    """Returns the checks of `/readyz`; the server must still be ready."""
    with acting.client() as http:
        answer = http.get("/readyz")
    assert answer.status_code == 200
    results: dict[str, str] = answer.json()["checks"]
    return results


def records(acting: Tenant) -> dict[str, str]:
    """Returns the outcomes of recorded decisions, newest first; the log must be intact."""
    with acting.client() as http:
        verified = http.get("/api/admin/audit/verify").json()
        assert verified["intact"], verified
        listed = http.get("/api/admin/audit/records", params={"limit": 1000}).json()["records"]
    return {each["decision_id"]: each["outcome"] for each in listed}


def record_all(acting: Tenant) -> Tenant:
    """Makes the server record every decision of the tenant."""
    with acting.client() as http:
        assert http.put("/v1/org/policy", json={"logging_level": "full"}).status_code == 200
    return acting


class Splunk:
    """A SIEM that can delay its responses."""

    def __init__(self) -> None:
        self._answers = threading.Event()
        self._answers.set()
        self._held = threading.Event()
        self.product = Product(self._answer)

    def _answer(self, _request: Any) -> PlannedResponse:
        if not self._answers.is_set():
            self._held.set()
        return PlannedResponse(200, {"text": "Success", "code": 0}, wait=self._answers)

    def hold(self) -> None:
        """Accepts events from now on, but delays the responses."""
        self._held.clear()
        self._answers.clear()

    def wait_held(self) -> None:
        """Waits until it delays a response."""
        assert self._held.wait(TIMEOUT_S)

    def release(self) -> None:
        """Sends the responses."""
        self._answers.set()

    def decisions(self) -> list[str]:
        """Returns the ids of the decisions that it received, in order."""
        return [
            each["event"]["metadata"]["uid"]
            for request in self.product.requests
            for each in request.lines
            if each["event"]["class_uid"] == 6003
        ]


def test_durable_decisions_are_blocked_while_the_disk_fails(
    tmp_path: Path, tenant: str, disk: Any
) -> None:
    """Decisions with a record are blocked and writes are 503; later all recovers without loss."""
    splunk = Splunk()
    settings = {"SPLUNK_HEC_TOKEN": "s3cret", "PDP_SIEM_FLUSH_S": "0.05"}
    with (
        splunk.product,
        disk(tmp_path, SPLUNK_HEC_URL=splunk.product.url, **settings) as failing,
    ):
        acting = record_all(tenant_of(failing.server, tenant))
        quiet = tenant_of(failing.server, f"{tenant}-quiet")
        answered: set[str] = set()
        blocked = 0
        for round_ in range(ROUNDS):
            splunk.hold()
            answered.add(acting.decide("hello")["decision_id"])
            splunk.wait_held()
            failing.fail()
            # The write-ahead logs may still have room for some writes.
            while (decision := acting.decide("hello"))["outcome"] == "ALLOW":
                answered.add(decision["decision_id"])
            others = [acting.decide(), quiet.decide()]
            assert all(each["outcome"] == "BLOCK" for each in others)
            assert quiet.decide("hello")["outcome"] == "ALLOW", "it need not be recorded"
            blocked += sum(map(is_unrecorded, [decision, *others]))
            assert is_unrecorded(decision)
            while (refusal := acting.create(f"Policy {time.monotonic_ns()}")).is_success:
                pass
            assert unavailable(refusal)
            assert checks(acting)["audit"].startswith("failing: The store's disk")
            splunk.release()
            wait_until(
                lambda: checks(acting).get("exports") == "failing: the spool cannot be written",
                "the server reports that its spool cannot be written",
            )
            failing.recover()
            assert acting.create(f"Back {round_}").status_code == 201
            answered.add(acting.decide("hello")["decision_id"])
            # A write of counts that began before may still report its failure.
            wait_until(lambda: checks(acting)["audit"] == "ok", "the log works again")
            wait_until(lambda: "exports" not in checks(acting), "exports work again")
        assert failing.server.metric("pdp_audit_unrecorded_total") == blocked
        assert sorted(acting.names()) == sorted(acting.written), "whole, or not at all"
        outcomes = records(acting)
        assert {each for each, outcome in outcomes.items() if outcome == "ALLOW"} == answered
        splunk.product.until(lambda: answered <= set(splunk.decisions()))
        events = splunk.decisions()
        assert len(events) == len(set(events)), "none of them twice"


def is_unrecorded(decision: dict[str, Any]) -> bool:
    """Returns whether a decision was blocked because it could not be recorded."""
    return (decision["reason_code"], decision["incomplete"]) == ("ENGINE_ERROR", True)


def test_async_records_wait_while_the_disk_fails(tmp_path: Path, tenant: str, disk: Any) -> None:
    """Records wait in the queue, and are written in order when the disk has recovered."""
    with disk(tmp_path, PDP_AUDIT_MODE="async") as failing:
        acting = record_all(tenant_of(failing.server, tenant))
        acting.decide("hello")
        wait_until(lambda: records(acting), "a decision is recorded")
        failing.fail()
        answered: list[str] = []
        while not checks(acting)["audit"].startswith("failing: The store's disk"):
            decision = acting.decide("hello")
            assert decision["outcome"] == "ALLOW"
            answered.insert(0, decision["decision_id"])
        failing.recover()
        wait_until(
            lambda: list(records(acting))[: len(answered)] == answered,
            "all decisions are recorded, in order",
        )
        assert checks(acting)["audit"] == "ok"
