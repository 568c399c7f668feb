"""The embedded engine with other writers, and without its store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp import Engine, InvalidArgument, Outcome, RevisionUnavailable
from pdp._gen.pdp.v1 import static_policy_pb2
from pdp.cases.targets import ClientTarget
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
    """Blocks a word for a tenant; returns the revision of the new policy."""
    message = static_policy_pb2.CreateStaticPolicyRequest(
        name=f"No {word}", category="custom", pattern=word, action="block"
    )
    return int(local.call("CreateStaticPolicy", message, tenant_id).metadata["x-pdp-revision"])


class TestFollowing:
    """Writes of other processes come into force."""

    def test_a_policy_is_in_force_for_a_request_with_its_revision(
        self, engine: Engine, local: LocalClient
    ) -> None:
        assert engine.decide(text="rival", tenant_id="acme").outcome is Outcome.ALLOW
        revision = block(local, "acme", "rival")
        decision = engine.decide(text="rival", tenant_id="acme", min_revision=revision)
        assert decision.outcome is Outcome.BLOCK
        assert decision.revision >= revision
        assert engine.decide(text="rival", tenant_id="other").outcome is Outcome.ALLOW

    def test_new_policies_are_in_force_after_the_poll_interval(
        self, engine: Engine, local: LocalClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next decision after the interval reads the changes."""
        monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.0)
        engine.decide(tenant_id="acme")
        block(local, "acme", "rival")
        assert engine.decide(text="rival", tenant_id="acme").outcome is Outcome.BLOCK

    def test_decisions_within_the_poll_interval_do_not_read_the_store(
        self, engine: Engine, local: LocalClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "POLL_INTERVAL_S", 3600.0)
        engine.decide()
        monkeypatch.setattr(engine._policies, "_catch_up", lambda: pytest.fail("reads the store"))
        block(local, "acme", "rival")
        engine.decide()

    def test_further_writes_are_compiled_for_a_loaded_tenant(
        self, engine: Engine, local: LocalClient
    ) -> None:
        for word in ("one", "two", "three"):
            revision = block(local, "acme", word)
            decision = engine.decide(text=word, tenant_id="acme", min_revision=revision)
            assert decision.outcome is Outcome.BLOCK
        assert engine.decide(text="one two", tenant_id="acme").outcome is Outcome.BLOCK

    def test_a_mapping_can_have_a_min_revision(self, engine: Engine, local: LocalClient) -> None:
        revision = block(local, "acme", "rival")
        request = {"content": {"text": "rival"}, "tenant_id": "acme", "min_revision": revision}
        assert engine.decide(request).outcome is Outcome.BLOCK

    def test_waiting_for_a_revision_times_out(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_WAIT_S", 0.0)
        with pytest.raises(RevisionUnavailable, match="this engine is at"):
            engine.decide(min_revision=10**9)

    def test_changes_of_the_platform_come_into_force(self, engine: Engine, url: str) -> None:
        """The policies of the product can change too, for all tenants."""
        assert engine.decide(text=ATTACK, tenant_id="acme").outcome is Outcome.BLOCK
        store = open_store(url)
        with store.write() as transaction:
            for entity in transaction.list(KIND, PLATFORM):
                transaction.delete(KIND, PLATFORM, entity.id, actor="test", summary="")
            revision = transaction.revision()
        store.close()
        decision = engine.decide(text=ATTACK, tenant_id="acme", min_revision=revision)
        assert decision.outcome is Outcome.ALLOW


class TestWithoutTheStore:
    """Decisions do not need the store."""

    def test_after_close_only_loaded_tenants_are_decided_for(
        self, url: str, local: LocalClient
    ) -> None:
        """A request of a tenant whose policies cannot be read is blocked, not allowed."""
        for tenant_id in ("loaded", "unread"):
            block(local, tenant_id, "rival")
        engine = Engine.open(url)
        assert engine.decide(text="rival", tenant_id="loaded").outcome is Outcome.BLOCK
        engine.close()
        engine.close()
        assert engine.decide(text="rival", tenant_id="loaded").reason_code == "STATIC_POLICY_BLOCK"
        assert engine.decide(text="hello", tenant_id="loaded").outcome is Outcome.ALLOW
        assert_not_evaluated(engine.decide(text="hello", tenant_id="unread", request_id="r"))

    def test_decisions_continue_if_the_database_is_deleted(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        engine.decide(tenant_id="acme")
        for file in tmp_path.iterdir():
            file.unlink()
        assert engine.decide(text=ATTACK, tenant_id="acme").outcome is Outcome.BLOCK

    def test_a_store_that_fails_is_logged_once_and_decisions_continue(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> int:
            raise StoreUnavailable("the disk is gone")

        monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.0)
        monkeypatch.setattr(engine._store, "data_version", fail)
        for _ in range(3):
            assert engine.decide(text=ATTACK).outcome is Outcome.BLOCK
        assert [record.getMessage() for record in caplog.records] == [
            "the store cannot be followed; deciding goes on: the disk is gone"
        ]

    def test_policies_that_do_not_compile_leave_the_old_ones_in_force(
        self, engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another release may have written them."""
        monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.0)
        assert engine.decide(text=ATTACK).outcome is Outcome.BLOCK
        store = open_store(url)
        with store.write() as transaction:
            for entity in transaction.list(KIND, PLATFORM):
                body = {**entity.body, "validator": "of-the-next-release"}
                transaction.put(replace(entity, body=body), actor="test", summary="")
        store.close()
        for _ in range(2):
            decision = engine.decide(text=ATTACK)
            assert decision.outcome is Outcome.BLOCK
            assert not decision.incomplete

    def test_a_fault_is_logged_without_the_request(
        self, url: str, local: LocalClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log has the class of the error and the id of the request."""
        block(local, "unread", "rival")
        engine = Engine.open(url)
        engine.close()
        engine.decide(text="my secret", tenant_id="unread", request_id="r")
        assert "could not judge r: StoreUnavailable in engine" in caplog.text
        assert "my secret" not in caplog.text


def assert_not_evaluated(decision: Decision) -> None:
    """Asserts that the request could not be evaluated."""
    assert decision.outcome is Outcome.BLOCK
    assert decision.incomplete
    assert decision.reason_code == "ENGINE_ERROR"
    assert decision.request_id == "r"


def test_threads_decide_correctly_while_policies_are_written(url: str, local: LocalClient) -> None:
    tenants = [f"tenant-{number}" for number in range(12)]

    def decide(engine: Engine, number: int) -> list[Outcome]:
        outcomes = []
        for turn in range(60):
            tenant_id = tenants[(number + turn) % len(tenants)]
            outcomes.append(engine.decide(text=f"{ATTACK} {turn}", tenant_id=tenant_id).outcome)
            outcomes.append(engine.decide(text=f"hello {turn}", tenant_id=tenant_id).outcome)
        return outcomes

    with Engine.open(url) as engine, ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(decide, engine, number) for number in range(8)]
        revision = max(block(local, tenant_id, "rival") for tenant_id in tenants)
        for future in futures:
            assert future.result() == [Outcome.BLOCK, Outcome.ALLOW] * 60
        for tenant_id in tenants:
            decision = engine.decide(text="rival", tenant_id=tenant_id, min_revision=revision)
            assert decision.outcome is Outcome.BLOCK


class TestRequirements:
    """What a tenant's settings require of requests."""

    def test_a_request_without_them_is_refused(self, engine: Engine, local: LocalClient) -> None:
        target = ClientTarget(local)
        settings = {"max_timestamp_skew_s": 300, "require_customer": True}
        _, revision = target.administer("acme", "UpdateTenantSettings", settings)
        with pytest.raises(InvalidArgument) as refused:
            engine.decide(tenant_id="acme", timestamp=1.0, min_revision=revision)
        assert [each.field for each in refused.value.violations] == ["timestamp", "customer_id"]
        decision = engine.decide(tenant_id="acme", customer_id="nobody")
        assert decision.reason_code == "CUSTOMER_UNKNOWN"
        assert engine.decide(tenant_id="another", timestamp=1.0).allowed

    def test_a_model_that_is_unknown_is_blocked(self, engine: Engine, local: LocalClient) -> None:
        target = ClientTarget(local)
        _, revision = target.administer("acme", "UpdateTenantSettings", {"unknown_model": "block"})
        unknown = engine.decide(tenant_id="acme", model="gpt-99", min_revision=revision)
        assert (unknown.reason_code, unknown.status_hint) == ("MODEL_UNKNOWN", 403)
        assert engine.decide(tenant_id="acme", model="gpt-4o-2024-08-06").allowed
