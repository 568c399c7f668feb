"""Saved policies: what is read was true, whenever the process ended that wrote the files."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.admin.install.keys import install_keys, read_keys
from pdp.admin.published_policies import PublishedPolicies
from pdp.admin.saved_policies import policies, saver
from pdp.admin.saved_policies.contents import TENANT, decode_tenant
from pdp.admin.saved_policies.files import SavedFiles
from pdp.admin.saved_policies.policies import SavedPolicies, SavedSource, read_start
from pdp.admin.saved_policies.saver import PolicySaver
from pdp.admin.saved_policies.seal import FileSeal, SavedPoliciesUnusable, read_key
from pdp.admin.workspace import Workspace
from pdp.domain import limits, static_policy
from pdp.domain.kinds import read_policies
from pdp.domain.static_policy import StaticPolicy
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.errors import ConfigError, StoreUnavailable
from pdp.publisher import Publisher
from pdp.store import open_store
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdp.domain.policy_set import PolicySet
    from pdp.store.port import Store

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
DATABASE = "postgresql://db/pdp"
TENANTS = ("a", "b", "c", "d", "e")
MAX_AGE_S = 100.0


class Crash(BaseException):
    """The process ends here."""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class TestFileSeal:
    @pytest.mark.parametrize("key", [b"", KEY])
    @given(content=st.binary(max_size=200), data=st.data())
    def test_only_what_was_sealed_opens(
        self, key: bytes, content: bytes, data: st.DataObject
    ) -> None:
        seal = FileSeal(key)
        sealed = seal.close(b"role", content)
        assert seal.open(b"role", sealed) == content
        place = data.draw(st.integers(0, len(sealed) - 1))
        changed = bytearray(sealed)
        changed[place] ^= data.draw(st.integers(1, 255))
        for role, file in (
            (b"role", bytes(changed)),
            (b"role", sealed[:place]),
            (b"other", sealed),
        ):
            with pytest.raises(SavedPoliciesUnusable):
                seal.open(role, file)

    @pytest.mark.parametrize(
        ("written", "read", "problem"),
        [
            (KEY, OTHER_KEY, "another key"),
            (KEY, b"", "are encrypted"),
            (b"", KEY, "not encrypted"),
        ],
    )
    def test_the_key_must_be_that_of_the_file(
        self, written: bytes, read: bytes, problem: str
    ) -> None:
        sealed = FileSeal(written).close(b"role", b"content")
        with pytest.raises(SavedPoliciesUnusable, match=problem):
            FileSeal(read).open(b"role", sealed)

    def test_an_encrypted_file_shows_nothing_of_its_content(self) -> None:
        seal = FileSeal(KEY)
        first, second = (seal.close(b"role", b"secret" * 10) for _ in range(2))
        assert b"secret" not in first
        assert first != second

    @pytest.mark.parametrize("content", [b"", b"short", b"AAAA" * 10, b"no base64!" * 5])
    def test_a_key_is_32_bytes_in_base64(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "key"
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=r"PDP_SNAPSHOT_KEY_FILE: .* openssl rand -base64 32"):
            read_key(file)
        with pytest.raises(ConfigError, match=r"PDP_SNAPSHOT_KEY_FILE: .* cannot be read"):
            read_key(tmp_path / "none")


class TestFiles:
    def test_a_directory_that_others_can_use_is_refused(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        with pytest.raises(ConfigError, match="chmod 700"):
            SavedFiles(tmp_path, FileSeal())
        SavedFiles(tmp_path / "own", FileSeal())
        assert not (tmp_path / "own").stat().st_mode & 0o077

    def test_one_process_writes_at_a_time(self, tmp_path: Path) -> None:
        one, other = SavedFiles(tmp_path, FileSeal()), SavedFiles(tmp_path, FileSeal())
        assert one.claim()
        assert one.claim()
        assert not other.claim()
        one.release()
        assert other.claim()
        other.release()

    def test_a_name_from_outside_leads_nowhere(self, tmp_path: Path) -> None:
        files = SavedFiles(tmp_path / "own", FileSeal())
        name = files.put(TENANT, b"content")
        assert files.get(TENANT, name) == b"content"
        for other in ("", "../own/" + name, name + "/", name.upper(), "0" * 64):
            with pytest.raises(SavedPoliciesUnusable):
                files.get(TENANT, other)

    def test_what_another_process_left_is_removed(self, tmp_path: Path) -> None:
        files = SavedFiles(tmp_path, FileSeal())
        names = [files.put(TENANT, content) for content in (b"one", b"two")]
        (tmp_path / "half.new").touch()
        files.keep_only({names[0]})
        assert [each.name for each in tmp_path.iterdir()] == [f"{names[0]}.policies"]


def put(store: Store, tenant_id: str, policy_id: str, pattern: str) -> None:
    policy = StaticPolicy(policy_id, policy_id, "custom", pattern, "block")
    entity = StoredEntity(
        static_policy.KIND, tenant_id, policy_id, static_policy.body_of(policy), name=policy_id
    )
    with store.write() as transaction:
        transaction.put(entity, actor="ann", summary="Put")


def delete(store: Store, tenant_id: str, policy_id: str) -> None:
    with store.write() as transaction:
        if transaction.get(static_policy.KIND, tenant_id, policy_id):
            transaction.delete(
                static_policy.KIND, tenant_id, policy_id, actor="ann", summary="Deleted"
            )


class State(NamedTuple):
    """The policies in the store: those of each tenant, and of the platform."""

    tenants: Mapping[str, Mapping[str, StaticPolicy]]
    platform: Mapping[str, StaticPolicy]


def state_of(store: Store) -> tuple[int, State]:
    with store.view() as reader:
        tenants = {
            tenant_id: read_policies(reader.list_tenant(tenant_id)).of_kind(static_policy.KIND)
            for tenant_id in reader.tenants() - {PLATFORM}
        }
        platform = read_policies(reader.list_tenant(PLATFORM)).of_kind(static_policy.KIND)
        return reader.revision(), State(dict(tenants), platform)


@contextmanager
def crash_at(step: int) -> Iterator[None]:
    """Ends the process at a step of its work on files; never if there are fewer steps."""
    steps = iter(range(1_000_000))

    def stepping(work: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: object, **named: object) -> None:
            if next(steps) >= step:
                raise Crash
            work(*arguments, **named)

        return run

    with ExitStack() as stack:
        for name in ("replace", "unlink", "fsync"):
            stack.enter_context(mock.patch.object(os, name, stepping(getattr(os, name))))
        yield


class Saving:
    """A store, and the process that saves its policies."""

    def __init__(self, directory: Path, key: bytes = KEY) -> None:
        self.directory = directory
        self.key = key
        self.clock = Clock()
        self.store = open_store(f"sqlite:///{directory / 'pdp.db'}")
        install_keys(self.store)
        with self.store.view() as reader:
            platform = compile_platform(read_policies(()), {}, keys=read_keys(reader))
        self.publisher = Publisher(platform, 0, {})
        self.workspace = Workspace(self.store, self.publisher)
        self.begin()

    def begin(self) -> None:
        """Starts the process."""
        self.files = SavedFiles(self.directory / "saved", FileSeal(self.key))
        self.saver = PolicySaver(self.workspace, self.files, DATABASE, self.clock)
        self.source = SavedSource(self.files, DATABASE, MAX_AGE_S, self.clock)

    def restart(self) -> None:
        """Ends the process, and starts it."""
        self.saver.close()
        self.begin()

    def save(self) -> None:
        """Saves until nothing is left."""

        async def run() -> None:
            while await self.saver.save():
                pass

        asyncio.run(run())

    def save_once(self, crash: int | None = None) -> None:
        """Saves once, and ends the process in the middle of it if `crash` is given."""
        if crash is None:
            asyncio.run(self.saver.save())
            return
        try:
            with crash_at(crash):
                asyncio.run(self.saver.save())
        except Crash:
            self.restart()

    def policies(self) -> SavedPolicies:
        return SavedPolicies(self.source, self.publisher)

    def close(self) -> None:
        self.saver.close()
        self.workspace.close()
        self.store.close()


@pytest.fixture
def saving(tmp_path: Path) -> Iterator[Saving]:
    with closing(Saving(tmp_path)) as opened:
        yield opened


STEPS = st.one_of(
    st.tuples(
        st.just("put"),
        st.sampled_from((*TENANTS, PLATFORM)),
        st.sampled_from("pq"),
        st.sampled_from("xyz"),
    ),
    st.tuples(st.just("delete"), st.sampled_from((*TENANTS, PLATFORM)), st.sampled_from("pq")),
    st.tuples(st.just("save")),
    st.tuples(st.just("crash"), st.integers(0, 30)),
    st.tuples(st.just("restart")),
)


class TestOrder:
    @pytest.mark.parametrize("slice_", [1, 2, saver.SLICE])
    @settings(max_examples=60, deadline=None)
    @given(steps=st.lists(STEPS, max_size=25))
    def test_what_is_read_was_true_at_the_confirmed_revision(
        self, slice_: int, steps: list[tuple[object, ...]]
    ) -> None:
        with (
            mock.patch.object(saver, "SLICE", slice_),
            tempfile.TemporaryDirectory() as folder,
            closing(Saving(Path(folder))) as saving,
        ):
            history = dict([state_of(saving.store)])
            was_saved = False
            for step in steps:
                run(saving, step)
                revision, state = state_of(saving.store)
                history[revision] = state
                usable = check(saving, history)
                # What was saved once can be read from then on.
                assert usable is not None or not was_saved
                was_saved = usable is not None
            saving.restart()
            saving.save()
            revision, state = state_of(saving.store)
            assert check(saving, {revision: state}) == len(state.tenants)

    def test_a_change_leaves_no_file_of_the_policies_before(self, saving: Saving) -> None:
        for pattern in ("x", "y", "z"):
            put(saving.store, "a", "p", pattern)
            put(saving.store, PLATFORM, "p", pattern)
            saving.save()
        # The list of tenants, the tenant, and the platform.
        assert len([*(saving.directory / "saved").glob("*.policies")]) == 3

    def test_a_database_that_went_back_is_saved_from_the_beginning(self, tmp_path: Path) -> None:
        """A change that was lost, and another one with its revision."""
        with closing(Saving(tmp_path)) as saving:
            put(saving.store, "a", "p", "kept")
        database = tmp_path / "pdp.db"
        copy = database.read_bytes()
        with closing(Saving(tmp_path)) as saving:
            put(saving.store, "a", "p", "lost")
            saving.save()
        database.write_bytes(copy)
        with closing(Saving(tmp_path)) as saving:
            put(saving.store, "b", "p", "other")
            saving.save()
            assert check(saving, dict([state_of(saving.store)])) == 2


def run(saving: Saving, step: tuple[object, ...]) -> None:
    match step:
        case ("put", str(tenant_id), str(policy_id), str(pattern)):
            put(saving.store, tenant_id, policy_id, pattern)
        case ("delete", str(tenant_id), str(policy_id)):
            delete(saving.store, tenant_id, policy_id)
        case ("save",):
            saving.save_once()
        case ("crash", int(at)):
            saving.save_once(crash=at)
        case ("restart",):
            saving.restart()


def check(saving: Saving, history: Mapping[int, State]) -> int | None:
    """Checks what a process would read.

    Returns for how many tenants it would decide; None if it could read nothing.
    """
    try:
        start = read_start(saving.source)
    except SavedPoliciesUnusable:
        return None
    state = history[start.confirmation.revision]
    assert start.platform.policies.of_kind(static_policy.KIND) == state.platform
    assert start.files.keys() == state.tenants.keys()
    usable = {tenant_id: name for tenant_id, name in start.files.items() if name}
    for tenant_id, name in usable.items():
        content = saving.files.get(TENANT, name)
        own = decode_tenant(tenant_id, content).of_kind(static_policy.KIND)
        assert own == state.tenants[tenant_id]
    return len(usable)


def load(saved: SavedPolicies, *tenants: str) -> list[float]:
    """Loads tenants, and returns when their policies were known to be in force."""

    async def load_all() -> list[float]:
        return [(await saved.load(tenant_id)).known_at for tenant_id in tenants]

    return asyncio.run(load_all())


class TestUse:
    def test_policies_say_when_they_were_known_to_be_in_force(self, saving: Saving) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        saved = saving.policies()
        with closing(saved):
            assert load(saved, "a") == [saving.clock.now]
            at = saving.clock.now
            saving.clock.now += MAX_AGE_S
            assert load(saved, "a") == [at]

    def test_files_that_are_confirmed_again_are_younger(
        self, saving: Saving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(policies, "REREAD_S", 0.0)
        put(saving.store, "a", "p", "x")
        saving.save()
        saved = saving.policies()
        with closing(saved):
            load(saved, "a")
            saving.clock.now += 10
            saving.save()
            assert load(saved, "a") == [saving.clock.now]

    def test_policies_that_are_too_old_are_refused(self, saving: Saving) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        saved = saving.policies()
        with closing(saved):
            load(saved, "a")
            saving.clock.now += MAX_AGE_S + 0.1
            with pytest.raises(SavedPoliciesUnusable, match="too old"):
                load(saved, "a")
            assert saved.refused == 1

    def test_a_clock_that_went_back_far_is_no_youth(self, saving: Saving) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        saving.clock.now -= policies.MAX_CLOCK_STEP_S
        with closing(saving.policies()) as saved:
            load(saved, "a")
            saving.clock.now -= 1
            with pytest.raises(SavedPoliciesUnusable, match="was set back"):
                load(saved, "a")

    def test_a_tenant_with_a_known_change_is_refused(self, saving: Saving) -> None:
        put(saving.store, "a", "p", "x")
        put(saving.store, "b", "p", "x")
        saving.save()
        revision, _ = state_of(saving.store)
        with closing(saving.policies()) as saved:
            load(saved, "a", "b")
            saving.publisher.advance(revision + 1, {"a": revision + 1})
            with pytest.raises(SavedPoliciesUnusable, match="has changed"):
                load(saved, "a")
            load(saved, "b")

    def test_policies_of_another_installation_are_refused(self, saving: Saving) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        other = Publisher(compile_platform(read_policies(()), {}), 0, {"a": 0})
        with (
            closing(SavedPolicies(saving.source, other)) as saved,
            pytest.raises(SavedPoliciesUnusable, match="another installation"),
        ):
            load(saved, "a")

    def test_policies_of_another_database_are_refused(self, saving: Saving) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        source = saving.source._replace(database="postgresql://other/pdp")
        with pytest.raises(SavedPoliciesUnusable, match="another database"):
            read_start(source)

    def test_a_tenant_without_a_file_is_refused(self, saving: Saving) -> None:
        saving.save()
        with (
            closing(saving.policies()) as saved,
            pytest.raises(SavedPoliciesUnusable, match="not saved yet"),
        ):
            load(saved, "a")

    def test_concurrent_decisions_share_one_compilation(
        self, saving: Saving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        compile_ = mock.Mock(wraps=compile_tenant)
        monkeypatch.setattr(policies, "compile_tenant", compile_)

        async def decide(saved: SavedPolicies) -> None:
            await asyncio.gather(*(saved.load("a") for _ in range(10)))
            await saved.load("a")

        with closing(saving.policies()) as saved:
            asyncio.run(decide(saved))
        assert compile_.call_count == 1

    def test_a_load_of_an_older_file_answers_no_later_decision(
        self, saving: Saving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(policies, "REREAD_S", 0.0)
        put(saving.store, "a", "p", "x")
        saving.save()
        begun, go_on = threading.Event(), threading.Event()

        def decode_slowly(tenant_id: str, content: bytes) -> PolicySet:
            if not begun.is_set():
                begun.set()
                assert go_on.wait(TIMEOUT_S)
            return decode_tenant(tenant_id, content)

        monkeypatch.setattr(policies, "decode_tenant", decode_slowly)

        async def decide(saved: SavedPolicies) -> list[set[str]]:
            first = asyncio.create_task(saved.load("a"))
            assert await asyncio.to_thread(begun.wait, TIMEOUT_S)
            put(saving.store, "a", "q", "y")
            while await saving.saver.save():
                pass
            later = await saved.load("a")
            go_on.set()
            loaded = (await first, later, await saved.load("a"))
            return [set(each.policies.of_kind(static_policy.KIND)) for each in loaded]

        with closing(saving.policies()) as saved:
            assert asyncio.run(decide(saved)) == [{"p"}, {"p", "q"}, {"p", "q"}]

    def test_the_store_comes_first(self, saving: Saving) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        put(saving.store, "a", "q", "y")
        with closing(saving.policies()) as saved:
            published = PublishedPolicies(saving.publisher, saving.workspace, saved)
            snapshot = asyncio.run(published.load("a"))
            assert snapshot.known_at == 0
            assert set(snapshot.policies.of_kind(static_policy.KIND)) == {"p", "q"}
            saving.publisher.cache.clear()
            saving.store.close()
            with pytest.raises(SavedPoliciesUnusable, match="has changed"):
                asyncio.run(published.load("a"))

    def test_without_saved_policies_nothing_stands_in(self, saving: Saving) -> None:
        published = PublishedPolicies(saving.publisher, saving.workspace)
        saving.store.close()
        with pytest.raises(StoreUnavailable) as error:
            asyncio.run(published.load("a"))
        assert not isinstance(error.value, SavedPoliciesUnusable)


class TestStart:
    def publisher(self, saving: Saving) -> Publisher:
        start = read_start(saving.source)
        platform = compile_platform(start.platform.policies, {}, keys=start.platform.keys)
        revision = start.confirmation.revision
        return Publisher(platform, revision, dict.fromkeys(start.files, 0), from_files=True)

    def test_no_snapshot_is_given_out_unchecked(self, saving: Saving) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        publisher = self.publisher(saving)
        assert publisher.current("a") is publisher.current("nobody") is None
        start = read_start(saving.source)
        with closing(SavedPolicies(saving.source, publisher, start)) as saved:
            assert load(saved, "a", "nobody") == [saving.clock.now] * 2
            saving.clock.now += MAX_AGE_S + 1
            for tenant_id in ("a", "nobody"):
                with pytest.raises(SavedPoliciesUnusable, match="too old"):
                    load(saved, tenant_id)

    def test_what_is_known_only_to_the_store_is_refused_until_it_is_there(
        self, saving: Saving
    ) -> None:
        put(saving.store, "a", "p", "x")
        saving.save()
        publisher = self.publisher(saving)
        workspace = Workspace(saving.store, publisher)
        with closing(workspace):
            for refused in (workspace.load("a"), workspace.write("a", lambda _: None)):
                with pytest.raises(StoreUnavailable, match="since this server started"):
                    asyncio.run(refused)
            put(saving.store, "a", "q", "y")
            asyncio.run(workspace.reload())
            assert not publisher.from_files
            snapshot = asyncio.run(workspace.load("a"))
            assert set(snapshot.policies.of_kind(static_policy.KIND)) == {"p", "q"}

    def test_a_tenant_with_limits_is_refused(self, saving: Saving) -> None:
        limit = limits.Limit("l", "user", "u1", requests_per_minute=1)
        entity = StoredEntity(limits.KIND, "a", "l", limits.body_of(limit))
        with saving.store.write() as transaction:
            transaction.put(entity, actor="ann", summary="Put")
        saving.save()
        publisher = self.publisher(saving)
        start = read_start(saving.source)
        with (
            closing(SavedPolicies(saving.source, publisher, start)) as saved,
            pytest.raises(SavedPoliciesUnusable, match="counters"),
        ):
            load(saved, "a")
        with closing(saving.policies()) as running:  # its counters are in memory
            assert load(running, "a") == [saving.clock.now]

    def test_files_that_are_not_encrypted_have_no_keys_and_start_nothing(
        self, tmp_path: Path
    ) -> None:
        with closing(Saving(tmp_path, key=b"")) as saving:
            put(saving.store, "a", "p", "x")
            saving.save()
            with pytest.raises(SavedPoliciesUnusable, match="PDP_SNAPSHOT_KEY_FILE"):
                read_start(saving.source)
            with saving.store.view() as reader:
                keys = read_keys(reader)
            for file in (tmp_path / "saved").glob("*.policies"):
                for key in keys:
                    assert key.hex().encode() not in file.read_bytes()
