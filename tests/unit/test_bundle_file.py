"""What a follower keeps on disk: read back as it was, whatever happens while it is written."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import policy_pb2 as pb
from pdp.auth.signatures import Signer
from pdp.domain.followed_policies import FollowedPolicy, PolicyUpdate
from pdp.domain.risk import DEFAULT_RISK_TABLE, risk_points
from pdp.domain.static_policy import KIND, StaticPolicy, body_of
from pdp.follower import bundle_file
from pdp.follower.bundle_file import BundleFile
from pdp.follower.options import FollowOptions
from pdp.follower.replica import PlatformCache
from pdp.follower.tenant import TenantFollower
from pdp.messages import policy_updates
from pdp.messages.policy_updates import signed_parts
from tests.support.servers import TIMEOUT_S

SIGNER: Final = Signer(b"s" * 32)
DRAFT: Final = StaticPolicy("p1", "No rivals", "custom", "rival", "block")
POLICY: Final = FollowedPolicy(False, KIND, "p1", 1, body_of(DRAFT))


def message(number: int, size: int = 20) -> pb.WatchResponse:
    return pb.WatchResponse(update=bytes([number]) * size, signature=b"s" * 8, public_key=b"k")


WHOLE: Final = [message(1), message(2)]
CHANGES: Final = [message(3), message(4, 300)]
NEWEST: Final = [message(5)]


def signed(since: int, revision: int, *policies: FollowedPolicy) -> list[pb.WatchResponse]:
    """Returns the messages of an update, a policy in each."""
    update = PolicyUpdate("installation", "acme", since, revision, policies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy_updates, "PART_BYTES", 1)
        return signed_parts(update, risk_points(DEFAULT_RISK_TABLE), 1_790_000_000.0, SIGNER)


def kept(directory: Path) -> list[pb.WatchResponse]:
    """Returns what a new process reads: the policies, then the newest update without changes."""
    file = BundleFile(directory, "acme")
    return [*file.read(), *file.read_latest()]


@pytest.fixture
def file(tmp_path: Path) -> BundleFile:
    return BundleFile(tmp_path, "acme")


class TestReading:
    def test_without_files_there_is_nothing(self, file: BundleFile) -> None:
        assert list(file.read()) == list(file.read_latest()) == []
        assert not file.is_due

    def test_what_is_kept_is_read_in_order(self, file: BundleFile, tmp_path: Path) -> None:
        file.replace(WHOLE)
        file.append(CHANGES)
        file.confirm(NEWEST)
        assert list(file.read()) == [*WHOLE, *CHANGES]
        assert list(file.read_latest()) == NEWEST
        assert kept(tmp_path) == [*WHOLE, *CHANGES, *NEWEST]
        assert not file.is_due

    @given(st.lists(st.binary(max_size=70_000), max_size=4))
    def test_contents_are_read_byte_for_byte(self, contents: list[bytes]) -> None:
        messages = [pb.WatchResponse(update=content) for content in contents]
        encoded = b"".join(map(bundle_file._encoded, messages))
        reader = BundleFile(Path(), "acme")
        assert list(reader._messages(encoded)) == messages
        assert not reader.is_due

    def test_each_name_has_its_own_files(self, file: BundleFile, tmp_path: Path) -> None:
        other = BundleFile(tmp_path, "rival")
        file.replace(WHOLE)
        other.replace(CHANGES)
        other.confirm(NEWEST)
        other.remove()
        assert kept(tmp_path) == WHOLE

    def test_an_update_with_all_policies_takes_the_place_of_everything_before(
        self, file: BundleFile, tmp_path: Path
    ) -> None:
        file.replace(WHOLE)
        file.append(CHANGES)
        file.confirm(NEWEST)
        file.replace(CHANGES)
        assert kept(tmp_path) == CHANGES

    def test_only_the_last_confirmation_is_kept(self, file: BundleFile, tmp_path: Path) -> None:
        file.replace(WHOLE)
        file.confirm(NEWEST)
        file.confirm(CHANGES)
        assert kept(tmp_path) == [*WHOLE, *CHANGES]

    def test_nothing_is_left_after_removal(self, file: BundleFile, tmp_path: Path) -> None:
        file.replace(WHOLE)
        file.confirm(NEWEST)
        file.remove()
        assert list(tmp_path.iterdir()) == []
        file.remove()

    @pytest.mark.parametrize("ending", ["policies", "latest"])
    def test_a_file_that_cannot_be_read_is_an_error(
        self, file: BundleFile, tmp_path: Path, ending: str
    ) -> None:
        (tmp_path / f"acme.{ending}").mkdir()
        with pytest.raises(OSError, match="directory"):
            [*file.read(), *file.read_latest()]


class TestCutFiles:
    def test_a_cut_file_gives_the_whole_messages_before_the_cut(self, tmp_path: Path) -> None:
        """For every possible cut. If it is within a message, all policies are asked for."""
        messages = [*WHOLE, *CHANGES]
        writer = BundleFile(tmp_path, "acme")
        writer.replace(WHOLE)
        writer.append(CHANGES)
        path = tmp_path / "acme.policies"
        content = path.read_bytes()
        ends = [
            len(b"".join(map(bundle_file._encoded, messages[:count])))
            for count in range(len(messages) + 1)
        ]
        assert ends[-1] == len(content)
        for length in range(len(content) + 1):
            path.write_bytes(content[:length])
            reader = BundleFile(tmp_path, "acme")
            assert list(reader.read()) == messages[: sum(end <= length for end in ends) - 1]
            assert reader.is_due is (length not in ends)

    def test_the_confirmation_is_read_beside_a_cut_file(
        self, file: BundleFile, tmp_path: Path
    ) -> None:
        file.replace(WHOLE)
        file.confirm(NEWEST)
        path = tmp_path / "acme.policies"
        path.write_bytes(path.read_bytes()[:-1])
        assert kept(tmp_path) == [WHOLE[0], *NEWEST]

    @given(st.lists(st.binary(max_size=8), max_size=4), st.binary(max_size=8))
    def test_any_bytes_can_be_read(self, items: list[bytes], rest: bytes) -> None:
        """All policies are asked for unless the messages end where the bytes end."""
        content = b"".join(len(each).to_bytes(4, "big") + each for each in items) + rest
        reader = BundleFile(Path(), "acme")
        end = 0
        for _ in reader._messages(content):
            end += 4 + int.from_bytes(content[end : end + 4], "big")
        assert end <= len(content)
        assert reader.is_due is (end < len(content))

    def test_a_length_of_four_gibibytes_reserves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "acme.policies").write_bytes(b"\xff\xff\xff\xff" + b"x" * 10)
        assert kept(tmp_path) == []


class TestFailures:
    @pytest.mark.parametrize("owner", [os, Path], ids=["fsync", "replace"])
    def test_what_was_kept_before_is_there_if_the_new_file_fails(
        self, file: BundleFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object
    ) -> None:
        file.replace(WHOLE)
        file.append(CHANGES)
        file.confirm(NEWEST)

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(owner, "fsync" if owner is os else "replace", fail)
        with pytest.raises(OSError, match="No space"):
            file.replace(NEWEST)
        with pytest.raises(OSError, match="No space"):
            file.confirm(CHANGES)
        assert kept(tmp_path) == [*WHOLE, *CHANGES, *NEWEST]

    def test_a_new_file_is_on_disk_before_it_takes_its_place(
        self, file: BundleFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[int] = []
        sync = os.fsync

        def noted(descriptor: int) -> None:
            synced.append(os.fstat(descriptor).st_ino)
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", noted)
        file.replace(WHOLE)
        file.confirm(NEWEST)
        names = ("acme.policies", "acme.latest")
        assert synced == [(tmp_path / name).stat().st_ino for name in names]

    def test_an_update_that_cannot_be_appended_asks_for_all_policies(
        self, file: BundleFile, tmp_path: Path
    ) -> None:
        file.replace(WHOLE)
        path = tmp_path / "acme.policies"
        path.unlink()
        path.mkdir()
        with pytest.raises(OSError, match="directory"):
            file.append(CHANGES)
        assert file.is_due
        path.rmdir()
        file.replace(WHOLE)
        assert not file.is_due

    def test_nothing_is_appended_after_a_change_that_is_missing(
        self, file: BundleFile, tmp_path: Path
    ) -> None:
        """A new process could not use what builds on that change."""
        file.replace(WHOLE)
        path, other = tmp_path / "acme.policies", tmp_path / "other"
        path.rename(other)
        path.mkdir()
        with pytest.raises(OSError, match="directory"):
            file.append(CHANGES)
        path.rmdir()
        other.rename(path)
        file.append(NEWEST)
        assert kept(tmp_path) == WHOLE
        assert file.is_due

    def test_nothing_is_appended_to_a_cut_file(self, file: BundleFile, tmp_path: Path) -> None:
        file.replace(WHOLE)
        path = tmp_path / "acme.policies"
        content = path.read_bytes()[:-1]
        path.write_bytes(content)
        reader = BundleFile(tmp_path, "acme")
        assert list(reader.read()) == WHOLE[:1]
        reader.append(CHANGES)
        assert path.read_bytes() == content
        reader.replace(CHANGES)
        reader.append(NEWEST)
        assert kept(tmp_path) == [*CHANGES, *NEWEST]

    def test_the_file_works_again_after_a_failure(
        self, file: BundleFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="Input"):
                file.replace([message(7, 9000)])
        file.replace(WHOLE)
        assert kept(tmp_path) == WHOLE


class TestGrowth:
    def test_many_changes_ask_for_all_policies(
        self, file: BundleFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        size = len(b"".join(map(bundle_file._encoded, CHANGES)))
        monkeypatch.setattr(bundle_file, "MAX_CHANGES_BYTES", 2 * size)
        file.replace(WHOLE)
        grown = []
        for _ in range(3):
            file.append(CHANGES)
            grown.append(file.is_due)
        assert grown == [False, False, True]
        file.replace(WHOLE)
        assert not file.is_due

    def test_the_changes_of_earlier_processes_count(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise the file of a process that often starts anew would grow without end."""
        whole, changes = signed(0, 1, POLICY), signed(1, 2, POLICY)
        size = len(b"".join(map(bundle_file._encoded, changes)))
        monkeypatch.setattr(bundle_file, "MAX_CHANGES_BYTES", 3 * size)
        BundleFile(tmp_path, "acme").replace(whole)
        grown = []
        for _ in range(6):
            process = BundleFile(tmp_path, "acme")
            assert list(process.read())
            process.append(changes)
            grown.append(process.is_due)
        assert grown[:3] == [False, False, False]
        assert grown[-1]


class TestFiles:
    @pytest.mark.parametrize("umask", [0o000, 0o077])
    def test_only_the_owner_may_use_them(self, tmp_path: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            file = BundleFile(tmp_path, "acme")
            file.replace(WHOLE)
            file.append(CHANGES)
            file.confirm(NEWEST)
        finally:
            os.umask(before)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
        assert modes == {"acme.policies": 0o600, "acme.latest": 0o600}

    def test_a_file_that_is_gone_is_not_begun_with_a_change(self, tmp_path: Path) -> None:
        """The change alone is of no use, so all policies are asked for."""
        file = BundleFile(tmp_path, "acme")
        before = os.umask(0)
        try:
            with suppress(OSError):
                file.append(CHANGES)
        finally:
            os.umask(before)
        assert file.is_due
        assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} <= {0o600}


class Unreachable:
    """A server that cannot be reached.

    Attributes:
        called: set by the first call.
    """

    def __init__(self) -> None:
        self.called = threading.Event()

    def watch(self, tenant_id: str, request: pb.WatchRequest) -> None:
        self.called.set()
        raise grpc.RpcError


def revision_taken_over(directory: Path) -> int | None:
    """Returns the revision that a new process decides by while no server can be reached."""
    central: Any = Unreachable()
    follower = TenantFollower("acme", central, FollowOptions(directory), PlatformCache())
    try:
        assert central.called.wait(TIMEOUT_S)  # what was kept is read before the first call
        return None if follower.replica is None else follower.replica.revision
    finally:
        follower.stop()
        follower.join(TIMEOUT_S)


class TestNextProcess:
    """A process that starts anew goes on with what was kept, wherever the last one has ended."""

    def test_it_goes_on_with_the_last_change(self, file: BundleFile, tmp_path: Path) -> None:
        file.replace(signed(0, 5, POLICY))
        file.append(signed(5, 6, POLICY))
        file.confirm(signed(6, 6))
        assert revision_taken_over(tmp_path) == 6

    def test_a_confirmation_from_before_a_change_does_no_harm(
        self, file: BundleFile, tmp_path: Path
    ) -> None:
        """The next confirmation is written seconds after the change."""
        file.replace(signed(0, 5, POLICY))
        file.confirm(signed(5, 5))
        file.append(signed(5, 6, POLICY))
        assert revision_taken_over(tmp_path) == 6

    def test_a_confirmation_from_before_all_policies_does_no_harm(
        self, file: BundleFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The process ended when the new policies had just taken the place of the old ones."""
        file.replace(signed(0, 5, POLICY))
        file.confirm(signed(5, 5))
        replace = Path.replace

        def replace_and_end(self: Path, target: Path) -> Path:
            replace(self, target)
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", replace_and_end)
        with pytest.raises(KeyboardInterrupt):
            file.replace(signed(0, 8, POLICY))
        assert revision_taken_over(tmp_path) == 8

    def test_a_change_that_is_cut_does_no_harm(self, file: BundleFile, tmp_path: Path) -> None:
        file.replace(signed(0, 5, POLICY))
        file.confirm(signed(5, 5))
        file.append(signed(5, 6, POLICY))
        path = tmp_path / "acme.policies"
        path.write_bytes(path.read_bytes()[:-1])
        assert revision_taken_over(tmp_path) == 5

    def test_what_somebody_else_has_changed_is_not_used(
        self, file: BundleFile, tmp_path: Path
    ) -> None:
        file.replace(signed(0, 5, POLICY))
        path = tmp_path / "acme.policies"
        assert revision_taken_over(tmp_path) == 5
        path.write_bytes(path.read_bytes().replace(b"rival", b"arrow"))
        assert revision_taken_over(tmp_path) is None
