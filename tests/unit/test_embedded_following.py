"""The engine in this process, beside others who write, and without its store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp import Engine, Outcome, RevisionUnavailable
from pdp._gen.pdp.v1 import static_policy_pb2
from pdp.domain.static_policy import KIND
from pdp.domain.tenant import PLATFORM
from pdp.embedded import stored_policies as module
from pdp.errors import StoreUnavailable
from pdp.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.client.local import LocalClient
    from pdp.domain.decision import Decision

ATTACK = "1 UNION SELECT password FROM users"


def block(local: LocalClient, tenant_id: str, word: str) -> int:
    """Blocks a word for a tenant; returns the revision that it is in force from."""
    message = static_policy_pb2.CreateStaticPolicyRequest(
        name=f"No {word}", category="custom", pattern=word, action="block"
    )
    return int(local.call("CreateStaticPolicy", message, tenant_id).metadata["x-pdp-revision"])


class TestFollowing:
    """What others write comes into force."""

    def test_a_write_by_another(self, engine: Engine, local: LocalClient) -> None:
        """A policy is in force for whoever names its revision."""
        assert engine.decide(text="rival", tenant_id="acme").outcome is Outcome.ALLOW
        revision = block(local, "acme", "rival")
        decision = engine.decide(text="rival", tenant_id="acme", min_revision=revision)
        assert decision.outcome is Outcome.BLOCK
        assert decision.revision >= revision
        assert engine.decide(text="rival", tenant_id="other").outcome is Outcome.ALLOW

    def test_without_being_named(
        self, engine: Engine, local: LocalClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Any decision looks, once a look is due."""
        monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.0)
        engine.decide(tenant_id="acme")
        block(local, "acme", "rival")
        assert engine.decide(text="rival", tenant_id="acme").outcome is Outcome.BLOCK

    def test_not_before_it_is_due(
        self, engine: Engine, local: LocalClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between looks a decision costs the store nothing."""
        monkeypatch.setattr(module, "POLL_INTERVAL_S", 3600.0)
        engine.decide()
        monkeypatch.setattr(engine._policies, "_catch_up", lambda: pytest.fail("asked the store"))
        block(local, "acme", "rival")
        engine.decide()

    def test_a_second_write(self, engine: Engine, local: LocalClient) -> None:
        """A tenant that is in memory is compiled again from what has changed."""
        for word in ("one", "two", "three"):
            revision = block(local, "acme", word)
            decision = engine.decide(text=word, tenant_id="acme", min_revision=revision)
            assert decision.outcome is Outcome.BLOCK
        assert engine.decide(text="one two", tenant_id="acme").outcome is Outcome.BLOCK

    def test_min_revision_in_a_mapping(self, engine: Engine, local: LocalClient) -> None:
        """A DecideRequest has the field itself."""
        revision = block(local, "acme", "rival")
        asked = {"content": {"text": "rival"}, "tenant_id": "acme", "min_revision": revision}
        assert engine.decide(asked).outcome is Outcome.BLOCK

    def test_a_revision_that_does_not_come(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A revision is waited for, but not for ever."""
        monkeypatch.setattr(module, "MAX_WAIT_S", 0.0)
        with pytest.raises(RevisionUnavailable, match="this engine is at"):
            engine.decide(min_revision=10**9)

    def test_a_change_of_the_platform(self, engine: Engine, url: str) -> None:
        """What ships with the product can change too, for all tenants."""
        assert engine.decide(text=ATTACK, tenant_id="acme").outcome is Outcome.BLOCK
        store = open_store(url)
        with store.write() as transaction:
            for record in transaction.list(KIND, PLATFORM):
                transaction.delete(KIND, PLATFORM, record.id, actor="test", summary="")
            revision = transaction.revision()
        store.close()
        decision = engine.decide(text=ATTACK, tenant_id="acme", min_revision=revision)
        assert decision.outcome is Outcome.ALLOW


class TestWithoutTheStore:
    """Decisions do not need the store."""

    def test_closed(self, url: str, local: LocalClient) -> None:
        """Tenants in memory are decided for; one that cannot be read is blocked, not allowed."""
        for tenant_id in ("loaded", "unread"):
            block(local, tenant_id, "rival")
        engine = Engine.open(url)
        assert engine.decide(text="rival", tenant_id="loaded").outcome is Outcome.BLOCK
        engine.close()
        engine.close()
        assert engine.decide(text="rival", tenant_id="loaded").reason_code == "STATIC_POLICY_BLOCK"
        assert engine.decide(text="hello", tenant_id="loaded").outcome is Outcome.ALLOW
        assert_not_judged(engine.decide(text="hello", tenant_id="unread", request_id="r"))

    def test_deleted(self, engine: Engine, tmp_path: Path) -> None:
        """The file may go away under a running engine."""
        engine.decide(tenant_id="acme")
        for file in tmp_path.iterdir():
            file.unlink()
        assert engine.decide(text=ATTACK, tenant_id="acme").outcome is Outcome.BLOCK

    def test_unreadable(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A store that fails is reported once, and decisions go on."""

        def fail() -> int:
            raise StoreUnavailable("the disk is gone")

        monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.0)
        monkeypatch.setattr(engine._store, "data_version", fail)
        for _ in range(3):
            assert engine.decide(text=ATTACK).outcome is Outcome.BLOCK
        assert [record.getMessage() for record in caplog.records] == [
            "the store cannot be followed; deciding goes on: the disk is gone"
        ]

    def test_what_does_not_compile(
        self, engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What another release has written, and this one cannot read, changes nothing here."""
        monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.0)
        assert engine.decide(text=ATTACK).outcome is Outcome.BLOCK
        store = open_store(url)
        with store.write() as transaction:
            for record in transaction.list(KIND, PLATFORM):
                body = {**record.body, "validator": "of-the-next-release"}
                transaction.put(replace(record, body=body), actor="test", summary="")
        store.close()
        for _ in range(2):
            decision = engine.decide(text=ATTACK)
            assert decision.outcome is Outcome.BLOCK
            assert not decision.incomplete

    def test_a_fault_is_logged_without_the_request(
        self, url: str, local: LocalClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says what kind of thing went wrong, and for which request."""
        block(local, "unread", "rival")
        engine = Engine.open(url)
        engine.close()
        engine.decide(text="my secret", tenant_id="unread", request_id="r")
        assert "could not judge r: StoreUnavailable in engine" in caplog.text
        assert "my secret" not in caplog.text


def assert_not_judged(decision: Decision) -> None:
    """A decision that says that the request could not be judged."""
    assert decision.outcome is Outcome.BLOCK
    assert decision.incomplete
    assert decision.reason_code == "ENGINE_ERROR"
    assert decision.request_id == "r"


def test_threads(url: str, local: LocalClient) -> None:
    """Many threads decide for many tenants while policies are written; each answer is right."""
    tenants = [f"tenant-{number}" for number in range(12)]

    def ask(engine: Engine, number: int) -> list[Outcome]:
        found = []
        for turn in range(60):
            tenant_id = tenants[(number + turn) % len(tenants)]
            found.append(engine.decide(text=f"{ATTACK} {turn}", tenant_id=tenant_id).outcome)
            found.append(engine.decide(text=f"hello {turn}", tenant_id=tenant_id).outcome)
        return found

    with Engine.open(url) as engine, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, engine, number) for number in range(8)]
        revision = max(block(local, tenant_id, "rival") for tenant_id in tenants)
        for future in asked:
            assert future.result() == [Outcome.BLOCK, Outcome.ALLOW] * 60
        for tenant_id in tenants:
            decision = engine.decide(text="rival", tenant_id=tenant_id, min_revision=revision)
            assert decision.outcome is Outcome.BLOCK
