"""How a tenant is followed: faults of the server, of the connection and of the disk."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp.admin.policy_feed import _update
from pdp.auth.signatures import Signer
from pdp.bootstrap.policies import open_policies
from pdp.domain.risk import DEFAULT_RISK_TABLE, risk_points
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant_settings import ID, KIND
from pdp.errors import ServerNeeded
from pdp.follower import tenant as tenant_module
from pdp.follower.bundle_file import BundleFile
from pdp.follower.central import NoCredential
from pdp.follower.options import FollowOptions
from pdp.follower.replica import PlatformCache
from pdp.follower.tenant import TenantFollower
from pdp.messages.policy_updates import signed_parts
from tests.support.failed_calls import FailedCall
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp._gen.pdp.v1 import policy_pb2

TENANT: Final = "acme"


class Stream:
    """A stream whose messages a test sends; an error ends it."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[policy_pb2.WatchResponse]:
        while True:
            message = self.queue.get()
            if isinstance(message, Exception):
                raise message
            yield message

    def cancel(self) -> None:
        self.queue.put(FailedCall(grpc.StatusCode.CANCELLED))


class Central:
    """A server with a real database, whose streams a test controls."""

    def __init__(self, folder: Path) -> None:
        self._store = open_policies(f"sqlite:///{folder}/central.db")
        self.signer = Signer(bytes(range(32)))
        self.requests: list[policy_pb2.WatchRequest] = []
        self.streams: list[Stream] = []
        self.changes = 0
        self.credential_fails = False

    def watch(self, tenant_id: str, request: policy_pb2.WatchRequest) -> Stream:
        if self.credential_fails:
            raise NoCredential("there is no credential for the server (OSError)")
        self.streams.append(Stream())
        self.requests.append(request)
        return self.streams[-1]

    def change(self) -> int:
        """Changes the policies of the tenant; returns the revision."""
        self.changes += 1
        body = {"require_customer": self.changes % 2 == 1}
        with self._store.write() as transaction:
            entity = StoredEntity(KIND, TENANT, ID, body)
            return transaction.put(entity, actor="test", summary="").revision

    def update(
        self, installation: str = "", since: int = 0, made_at: float | None = None
    ) -> list[policy_pb2.WatchResponse]:
        with self._store.view() as reader:
            update = _update(reader, TENANT, installation, since)
        at = time.time() if made_at is None else made_at
        return signed_parts(update, risk_points(DEFAULT_RISK_TABLE), at, self.signer)

    def send(self, made_at: float | None = None) -> None:
        """Sends what the follower has asked for, on its last stream."""
        request = self.requests[-1]
        for part in self.update(request.installation, request.revision, made_at):
            self.streams[-1].queue.put(part)

    def close(self) -> None:
        self._store.close()


class Following:
    """A follower of a `Central`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.central = Central(folder)
        self.followers: list[TenantFollower] = []
        self._seen = 0

    def start(self, **options: Any) -> TenantFollower:
        """Starts the follower, as a new process does; the last one ends."""
        self.stop()
        central: Any = self.central
        settings = FollowOptions(self._folder, **options)
        self.followers.append(TenantFollower(TENANT, central, settings, PlatformCache()))
        return self.followers[-1]

    def stop(self) -> None:
        for each in self.followers:
            each.stop()
            each.join(60)

    def next_request(self) -> policy_pb2.WatchRequest:
        """Waits for the follower's next stream; returns what it asks for."""
        wait_until(lambda: len(self.central.requests) > self._seen, "the follower asks")
        self._seen += 1
        return self.central.requests[self._seen - 1]

    def begin(self, **options: Any) -> TenantFollower:
        """Starts the follower, and gives it the policies."""
        follower = self.start(**options)
        self.next_request()
        self.central.send()
        assert follower.wait(1, 60)
        return follower


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Following]:
    monkeypatch.setattr(tenant_module, "MIN_PAUSE_S", 0.01)
    monkeypatch.setattr(tenant_module, "MAX_PAUSE_S", 0.02)
    opened = Following(tmp_path)
    yield opened
    opened.stop()
    opened.central.close()


def cause(follower: TenantFollower) -> str:
    with pytest.raises(ServerNeeded) as error:
        follower.snapshot()
    return error.value.cause


def revision(follower: TenantFollower) -> int:
    return follower.replica.revision if follower.replica else 0


def test_without_policies_it_decides_nothing(following: Following) -> None:
    follower = following.start()
    assert cause(follower) == "no policies"
    assert not follower.wait(0, 0)


def test_it_goes_on_from_its_revision_when_a_connection_ends(following: Following) -> None:
    follower = following.begin()
    had = revision(follower)
    following.central.streams[-1].queue.put(FailedCall(grpc.StatusCode.UNAVAILABLE))
    request = following.next_request()
    assert request.revision == had
    assert follower.snapshot().revision == had  # meanwhile it decides
    changed = following.central.change()
    following.central.send()
    assert follower.wait(changed, 60)
    assert follower.problem == ""


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED]
)
def test_a_refused_credential_sets_the_policies_aside(
    following: Following, tmp_path: Path, code: grpc.StatusCode
) -> None:
    follower = following.begin()
    wait_until(lambda: list(tmp_path.glob("*.policies")), "the policies are kept")
    following.central.streams[-1].queue.put(FailedCall(code))
    request = following.next_request()
    assert (request.installation, request.revision) == ("", 0)
    assert cause(follower) == "no policies"
    assert not list(tmp_path.glob("*.policies"))


def test_without_a_credential_the_policies_stay_in_force(following: Following) -> None:
    follower = following.begin()
    had = revision(follower)
    following.central.credential_fails = True
    following.central.streams[-1].queue.put(FailedCall(grpc.StatusCode.UNAVAILABLE))
    wait_until(lambda: "no credential" in follower.problem, "it is shown")
    assert follower.snapshot().revision == had
    following.central.credential_fails = False
    assert following.next_request().revision == had


def test_an_update_that_is_not_signed_sets_the_policies_aside(following: Following) -> None:
    follower = following.begin()
    following.central.change()
    [part] = following.central.update("", 0)[-1:]
    part.signature = bytes(64)
    following.central.streams[-1].queue.put(part)
    assert following.next_request().revision == 0
    assert cause(follower) == "no policies"
    following.central.send()
    assert follower.wait(1, 60)


def test_another_key_is_taken_over_a_connection_only_if_none_is_set(following: Following) -> None:
    first = following.central.signer
    follower = following.begin(signing_key=first.public_key)
    following.central.signer = Signer(bytes(32))
    following.central.streams[-1].queue.put(FailedCall(grpc.StatusCode.UNAVAILABLE))
    following.next_request()
    following.central.change()
    following.central.send()
    following.next_request()
    following.central.send()
    following.next_request()
    assert cause(follower) == "no policies"
    following.central.signer = first
    following.central.send()
    assert follower.wait(1, 60)


def test_policies_age_by_their_signed_time(following: Following) -> None:
    follower = following.start(max_age_s=3600)
    wait_until(lambda: following.central.requests, "the follower asks")
    following.central.send(made_at=time.time() - 7200)
    wait_until(lambda: follower.replica, "the policies are here")
    assert cause(follower) == "old policies"
    assert 7000 < follower.age_s < 7400
    request = following.central.requests[-1]
    request.installation = follower.replica.installation if follower.replica else ""
    request.revision = revision(follower)
    following.central.send()
    assert follower.wait(1, 60)
    assert follower.snapshot().tenant_id == TENANT


def test_the_age_survives_a_restart(following: Following) -> None:
    follower = following.start(max_age_s=1e9)
    wait_until(lambda: following.central.requests, "the follower asks")
    following.central.send(made_at=time.time() - 7200)
    wait_until(lambda: follower.replica, "the policies are here")
    again = following.start(max_age_s=3600)
    wait_until(lambda: again.replica, "the policies are read")
    assert cause(again) == "old policies"


def test_a_confirmation_of_earlier_policies_is_no_confirmation_of_later_ones(
    following: Following, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tenant_module, "CONFIRM_S", 0.0)
    follower = following.begin()
    request = following.central.requests[-1]
    request.installation, request.revision = _identity(follower)
    following.central.send()
    wait_until(lambda: list(tmp_path.glob("*.latest")), "it is confirmed")
    changed = following.central.change()
    following.central.send(made_at=time.time() - 7200)
    assert not follower.wait(changed, 0) or revision(follower) == changed
    wait_until(lambda: revision(follower) == changed, "the change is here")
    again = following.start()
    wait_until(lambda: revision(again) == changed, "the change is read")
    assert again.age_s > 7000


def _identity(follower: TenantFollower) -> tuple[str, int]:
    assert follower.replica is not None
    return follower.replica.installation, follower.replica.revision


def test_a_full_disk_stops_no_changes(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = following.begin()
    request = following.central.requests[-1]
    request.installation, request.revision = _identity(follower)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BundleFile, "append", fail)
    streams = len(following.central.streams)
    for _ in range(3):
        changed = following.central.change()
        following.central.send()
        assert follower.wait(changed, 60)
        request.revision = changed
        wait_until(lambda: "No space left" in follower.problem, "it is shown")
    assert len(following.central.streams) == streams


def test_after_a_full_disk_nothing_is_added_to_older_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, following: Following
) -> None:
    follower = following.begin()
    identity, had = _identity(follower)
    with monkeypatch.context() as full:

        def fail(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        full.setattr("pdp.follower.bundle_file._write", fail)
        file = BundleFile(tmp_path, TENANT)
        with pytest.raises(OSError, match="No space"):
            file.replace(following.central.update())
    changed = following.central.change()
    file.append(following.central.update(identity, had))
    assert file.is_due
    again = following.start()
    wait_until(lambda: revision(again) == had, "the older policies are read")
    assert changed > had


def test_files_that_have_grown_are_written_anew_once(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdp.follower.bundle_file.MAX_CHANGES_BYTES", 1)
    follower = following.begin()
    request = following.central.requests[-1]
    request.installation, request.revision = _identity(follower)
    changed = following.central.change()
    following.central.send()
    asked = following.next_request()
    assert (asked.installation, asked.revision) == ("", 0)
    assert revision(follower) == changed  # meanwhile it decides
    following.central.send()
    again = following.central.change()
    asked.installation, asked.revision = _identity(follower)
    following.central.send()
    assert follower.wait(again, 60)
    assert follower.problem == ""
