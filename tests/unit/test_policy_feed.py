"""What followers get: all policies or the changes of them, and never a secret."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.admin import policy_feed
from pdp.admin.api_keys import ApiKeys
from pdp.admin.change_log import _is_secret
from pdp.admin.compaction import ChangeLogCompactor
from pdp.admin.install.keys import (
    APPROVAL_KIND,
    REDACTION_KIND,
    SIGNING_KIND,
    install_keys,
    renew_approval_key,
)
from pdp.admin.org_policy import OrgPolicies
from pdp.admin.policy_feed import PolicyFeed
from pdp.auth.signatures import Signer
from pdp.domain import api_key, limits, static_policy
from pdp.domain.api_key import ApiKey
from pdp.domain.followed_policies import FOLLOWED_KINDS, PolicyUpdate
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.limits import Limit
from pdp.domain.risk import DEFAULT_RISK_TABLE, risk_points
from pdp.domain.static_policy import body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import StoreUnavailable
from pdp.messages.policy_updates import signed_parts
from tests.support.nodes import DRAFT, Node
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.store.port import Transaction

WEBHOOK: Final = "https://hooks.slack.com/services/T0/B0/a-secret-of-slack"
ADDRESS: Final = "ann@example.com"
FUTURE: Final = -1 / 1440
"""A retention, in days, that removes the changes up to a minute from now."""


class Feed(Node):
    """A server's policies, and the feed of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        install_keys(self.store)
        self.feed = PolicyFeed(self.workspace)

    @property
    def revision(self) -> int:
        with self.store.view() as reader:
            return reader.revision()

    def put(self, policy_id: str, tenant_id: str = "acme", pattern: str = "rival") -> None:
        policy = replace(DRAFT, id=policy_id, pattern=pattern)
        self.put_body(tenant_id, static_policy.KIND, policy_id, body_of(policy))

    def put_body(self, tenant_id: str, kind: str, entity_id: str, body: dict[str, Any]) -> None:
        entity = StoredEntity(kind, tenant_id, entity_id, body)
        with self.store.write() as transaction:
            transaction.put(entity, actor="me", summary="Put")

    def delete(self, policy_id: str, tenant_id: str = "acme") -> None:
        with self.store.write() as transaction:
            transaction.delete(
                static_policy.KIND, tenant_id, policy_id, actor="me", summary="Deleted"
            )

    async def since(
        self, revision: int, tenant_id: str = "acme", installation: str | None = None
    ) -> PolicyUpdate:
        """Returns an update, by default for a follower of this installation."""
        if installation is None:
            installation = (await self.feed.identity()).installation
        return await self.feed.since(tenant_id, installation, revision)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Feed]:
    feed = Feed(tmp_path / "pdp.db")
    yield feed
    feed.close()


def sent(update: PolicyUpdate) -> bytes:
    """Returns all bytes that a follower gets of an update."""
    parts = signed_parts(update, risk_points(DEFAULT_RISK_TABLE), 0.0, Signer(b"s" * 32))
    return b"".join(part.SerializeToString() + part.update for part in parts)


def ids(update: PolicyUpdate) -> list[str]:
    """Returns the ids of the policies of an update; with a minus if the policy is removed."""
    return [each.id if each.body is not None else f"-{each.id}" for each in update.policies]


class TestSecrets:
    def test_no_followed_policy_has_a_field_for_a_secret(self) -> None:
        def secret_fields(kinds: frozenset[str]) -> set[tuple[str, str]]:
            return {
                (kind, field.name)
                for kind in kinds
                for field in fields(ENTITY_CLASSES[kind])
                if _is_secret(field.name)
            }

        assert secret_fields(FOLLOWED_KINDS) == set()
        assert secret_fields(frozenset({api_key.KIND})) == {(api_key.KIND, "secrets")}

    def test_keys_are_no_followed_policies(self) -> None:
        keys = {api_key.KIND, REDACTION_KIND, APPROVAL_KIND, SIGNING_KIND}
        assert keys & FOLLOWED_KINDS == set()
        assert set(ENTITY_CLASSES) - FOLLOWED_KINDS == {api_key.KIND}

    async def test_whom_an_alert_notifies_is_in_no_byte(self, node: Feed) -> None:
        before = node.revision
        condition = {"risk_level_gte": "high", "expression": 'action == "db:drop"'}
        rules = [
            {
                "name": "Drops",
                "notify": {"slack_webhook_url": WEBHOOK, "email": ADDRESS},
                "condition": condition,
            },
            {"name": "All", "notify": {"slack_webhook_url": WEBHOOK}, "condition": None},
        ]
        policies = OrgPolicies(node.workspace)
        await policies.update("acme", "me", {"alert_rules": rules[1:]})
        created = node.revision
        await policies.update("acme", "me", {"alert_rules": rules})
        for revision in (0, before, created):
            update = await node.since(revision)
            assert update.since == revision
            (body,) = (each.body for each in update.policies if each.body is not None)
            assert body["alert_rules"] == [{"condition": condition}, {"condition": {}}]
            content = sent(update)
            assert b"db:drop" in content
            for secret in (WEBHOOK, "a-secret-of-slack", ADDRESS, "slack"):
                assert secret.encode() not in content

    async def test_no_key_is_in_a_byte(self, node: Feed) -> None:
        before = node.revision
        keys = ApiKeys(node.workspace)
        draft = ApiKey("", "gateway-key", "follower", ("acme",), ())
        issued = (await keys.create("me", None, draft)).value.value
        rotated = (await keys.rotate("me", None, issued.key.id)).value.value
        with node.store.write() as transaction:
            renew_approval_key(transaction, "me")
        node.put("a", pattern="a-pattern")
        with node.store.view() as reader:
            entities = [
                reader.get(kind, PLATFORM, kind)
                for kind in (REDACTION_KIND, APPROVAL_KIND, SIGNING_KIND)
            ]
        stored = [each.body["secret"] for each in entities if each is not None]
        assert len(stored) == 3
        secrets = [text.encode() for text in stored] + [bytes.fromhex(text) for text in stored]
        for each in (issued, rotated):
            secrets.append(each.text.encode())
            secrets += [
                part.encode() for key in each.key.secrets for part in (key.prefix, key.sha256)
            ]
        secrets += [issued.key.id.encode(), b"gateway-key"]
        for update in (await node.since(0), await node.since(before)):
            content = sent(update)
            assert b"a-pattern" in content
            assert [secret for secret in secrets if secret in content] == []

    async def test_the_identity_says_which_key_signs(self, node: Feed) -> None:
        identity = await node.feed.identity()
        assert len(Signer(identity.signing_key).public_key) == 32
        assert identity == await node.feed.identity()
        assert identity.signing_key.hex() not in identity.installation


class TestAllPolicies:
    async def test_a_new_follower_gets_all_policies(self, node: Feed) -> None:
        node.put("b")
        node.put("shared", PLATFORM)
        node.put("a")
        node.put("other", "rival")
        update = await node.since(0)
        identity = await node.feed.identity()
        assert update[:4] == (identity.installation, "acme", 0, node.revision)
        policies = [(each.platform, each.id, each.body is None) for each in update.policies]
        assert policies == [(True, "shared", False), (False, "b", False), (False, "a", False)]
        assert [each.revision for each in update.policies] == [
            node.revision - 2, node.revision - 3, node.revision - 1
        ]  # fmt: skip

    async def test_a_tenant_without_policies_gets_those_of_the_platform(self, node: Feed) -> None:
        node.put("shared", PLATFORM)
        node.put("a")
        assert ids(await node.since(0, "new")) == ["shared"]

    @pytest.mark.parametrize("revision", [1, 5])
    async def test_a_follower_of_another_installation_gets_all_policies(
        self, node: Feed, revision: int
    ) -> None:
        for each in "abcde":
            node.put(each)
        for installation in ("", "another"):
            update = await node.since(revision, installation=installation)
            assert (update.since, ids(update)) == (0, [*"abcde"])

    async def test_a_restore_makes_another_installation(self, node: Feed) -> None:
        node.put("a")
        before, revision = await node.feed.identity(), node.revision
        with node.store.write() as transaction:
            renew_approval_key(transaction, "me")
        after = await node.feed.identity()
        assert after.installation != before.installation
        assert after.signing_key == before.signing_key
        update = await node.since(revision, installation=before.installation)
        assert (update.installation, update.since, ids(update)) == (after.installation, 0, ["a"])

    @pytest.mark.parametrize("difference", [1, 1000])
    async def test_a_revision_of_the_future_gives_all_policies(
        self, node: Feed, difference: int
    ) -> None:
        node.put("a")
        update = await node.since(node.revision + difference)
        assert (update.since, update.revision, ids(update)) == (0, node.revision, ["a"])

    async def test_a_revision_before_a_compaction_gives_all_policies(self, node: Feed) -> None:
        node.put("a")
        before = node.revision
        for number in range(3):
            limit = Limit("l", "user", "ann", daily_request_limit=number + 1)
            node.put_body("acme", limits.KIND, "l", limits.body_of(limit))
        node.put("b")
        compactor = ChangeLogCompactor(node.workspace, FUTURE)
        while (await compactor.step()).more:
            pass
        assert compactor.removed == 3
        with node.store.view() as reader:
            through = reader.removed_changes().through
        assert before < through < node.revision
        for revision in range(before, through):
            update = await node.since(revision)
            assert (update.since, ids(update)) == (0, ["a", "l", "b"])
        for revision in range(through, node.revision):
            update = await node.since(revision)
            assert (update.since, ids(update)) == (revision, ["-b", "b"])

    async def test_after_too_many_changes_all_policies_are_sent(
        self, node: Feed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those of all tenants count, because all of them must be read."""
        monkeypatch.setattr(policy_feed, "MAX_CHANGES", 4)
        monkeypatch.setattr(policy_feed, "_PAGE", 3)
        node.put("a")
        before = node.revision
        for each in "wxyz":
            node.put(each, "rival")
        update = await node.since(before)
        assert (update.since, ids(update)) == (before, [])
        node.put("last", "rival")
        update = await node.since(before)
        assert (update.since, ids(update)) == (0, ["a"])


class TestChanges:
    async def test_an_unchanged_revision_gives_an_update_without_policies(self, node: Feed) -> None:
        node.put("a")
        node.put("shared", PLATFORM)
        update = await node.since(node.revision)
        assert update[2:] == (node.revision, node.revision, [])

    async def test_only_the_changes_since_then_are_sent(self, node: Feed) -> None:
        node.put("a")
        node.put("b")
        node.put("c")
        before = node.revision
        node.put("b", pattern="foe")
        node.delete("c")
        node.put("shared", PLATFORM)
        update = await node.since(before)
        assert (update.since, update.revision) == (before, before + 3)
        assert ids(update) == ["b", "-c", "-shared", "shared"]
        assert [each.platform for each in update.policies] == [False, False, True, True]
        body = update.policies[0].body
        assert body is not None
        assert body["pattern"] == "foe"

    async def test_changes_of_another_tenant_are_not_sent(self, node: Feed) -> None:
        node.put("a")
        before = node.revision
        node.put("secret-of-rival", "rival", pattern="pattern-of-rival")
        node.put("b")
        node.delete("secret-of-rival", "rival")
        update = await node.since(before)
        assert ids(update) == ["-b", "b"]
        for each in (update, await node.since(0)):
            assert b"of-rival" not in sent(each)
        assert ids(await node.since(before, "rival")) == ["-secret-of-rival", "-secret-of-rival"]

    async def test_a_policy_that_changed_often_comes_once(self, node: Feed) -> None:
        node.put("a")
        before = node.revision
        for pattern in ("one", "two", "three"):
            node.put("a", pattern=pattern)
        (policy,) = (await node.since(before)).policies
        assert policy.body is not None
        assert (policy.body["pattern"], policy.revision) == ("three", node.revision)

    async def test_a_policy_that_was_created_comes_as_removed_first(self, node: Feed) -> None:
        """It may have been there before; then its place in the order is another one now."""
        node.put("a")
        node.put("b")
        before = node.revision
        node.put("b", pattern="foe")
        node.delete("a")
        node.put("a")
        node.put("a", pattern="foe")
        update = await node.since(before)
        assert ids(update) == ["b", "-a", "a"]
        body = update.policies[-1].body
        assert body is not None
        assert body["pattern"] == "foe"

    async def test_policies_come_in_the_order_of_their_last_creation(self, node: Feed) -> None:
        before = node.revision
        for each in "abc":
            node.put(each)
        node.put("b", pattern="foe")
        node.delete("a")
        node.put("a")
        update = await node.since(before)
        assert [each for each in ids(update) if each[0] != "-"] == ["b", "c", "a"]

    async def test_changes_are_read_over_many_pages(
        self, node: Feed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = node.revision
        for number in range(20):
            node.put(f"p{number}", ("acme", "rival", PLATFORM)[number % 3])
        expected = await node.since(before)
        monkeypatch.setattr(policy_feed, "_PAGE", 1)
        assert await node.since(before) == expected
        assert len(ids(expected)) == 2 * (7 + 6)

    async def test_entities_that_are_no_policies_are_not_sent(self, node: Feed) -> None:
        before = node.revision
        node.put_body("acme", "note", "n", {"text": "a note"})
        node.put_body(PLATFORM, "note", "n", {"text": "a note"})
        for revision in (0, before):
            update = await node.since(revision)
            assert (update.revision, ids(update)) == (node.revision, [])


class TestStore:
    async def test_the_feed_waits_for_no_write(self, node: Feed) -> None:
        node.put("a")
        revision = node.revision
        writing, end = threading.Event(), threading.Event()

        def work(_: Transaction) -> None:
            writing.set()
            assert end.wait(TIMEOUT_S)

        write = asyncio.create_task(node.workspace.write("acme", work))
        await asyncio.to_thread(writing.wait, TIMEOUT_S)
        try:
            async with asyncio.timeout(TIMEOUT_S / 2):
                update = await node.since(0)
            assert (update.revision, ids(update)) == (revision, ["a"])
            assert not write.done()
        finally:
            end.set()
            await write

    async def test_a_store_that_cannot_be_read_is_an_error(self, node: Feed) -> None:
        node.store.close()
        with pytest.raises(StoreUnavailable):
            await node.since(0, installation="any")
        with pytest.raises(StoreUnavailable):
            await node.feed.identity()
