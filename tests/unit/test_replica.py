"""The policies of a follower are those of its server, in the same order, after any changes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import fields, replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp import catalog
from pdp.admin.install.keys import install_keys, read_keys
from pdp.admin.policy_feed import _update
from pdp.admin.snapshots import compile_snapshot
from pdp.auth.signatures import Signer
from pdp.bootstrap.policies import open_policies
from pdp.decisions.policy_hash import PolicyHasher
from pdp.detect.validators import VALIDATORS
from pdp.domain import (
    api_key,
    customer_policy,
    dlp_rule,
    limits,
    model_catalog,
    org_policy,
    policy_pack,
    static_policy,
    user_group,
)
from pdp.domain.api_key import ApiKey
from pdp.domain.customer_policy import CustomerPolicy
from pdp.domain.dlp_rule import DlpCustomisation, DlpRule
from pdp.domain.followed_policies import FOLLOWED_KINDS, FollowedPolicy, PolicyUpdate
from pdp.domain.kinds import ENTITY_CLASSES, read_policies
from pdp.domain.limits import Limit
from pdp.domain.model_catalog import ModelConfig
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_pack import PolicyRule
from pdp.domain.redaction_kind import HASH, MASK, PLACEHOLDER, REPLACE
from pdp.domain.request import Request, Subject
from pdp.domain.risk import DEFAULT_RISK_TABLE, risk_points
from pdp.domain.static_policy import StaticOverride, StaticPolicy
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.domain.user_group import UserGroup
from pdp.engine.compiler import compile_platform, update_platform
from pdp.engine.evaluate import evaluate
from pdp.errors import InvalidPattern
from pdp.follower import replica as replicas
from pdp.follower.replica import PlatformCache, Replica, apply
from pdp.follower.updates import ReadUpdate, UpdateReader, UpdateRefused
from pdp.messages.policy_updates import signed_parts
from pdp.store import open_store
from tests.support.dlp import DETECTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pdp.domain.policy_set import PolicySet
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.store.port import Store

SIGNER: Final = Signer(b"s" * 32)
POINTS: Final = risk_points(DEFAULT_RISK_TABLE)
CONTENT: Final = "content-of-a-policy"
WORDS: Final = ("alpha", "beta", "gamma")
TEXT: Final = "alpha beta gamma"


class Server:
    """The policies of a server, in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        install_keys(store)

    def put(self, tenant_id: str, kind: str, entity_id: str, body: Mapping[str, Any]) -> None:
        entity = StoredEntity(kind, tenant_id, entity_id, body)
        with self.store.write() as transaction:
            transaction.put(entity, actor="me", summary="Put")

    def delete(self, tenant_id: str, kind: str, entity_id: str) -> None:
        with self.store.write() as transaction:
            if transaction.get(kind, tenant_id, entity_id) is not None:
                transaction.delete(kind, tenant_id, entity_id, actor="me", summary="Deleted")

    def update(self, tenant_id: str, installation: str, since: int) -> PolicyUpdate:
        with self.store.view() as reader:
            return _update(reader, tenant_id, installation, since)

    def platform(self) -> Platform:
        """Returns the platform as a server compiles it."""
        with self.store.view() as reader:
            return compile_platform(
                read_policies(reader.list_tenant(PLATFORM)),
                VALIDATORS,
                DEFAULT_RISK_TABLE,
                detectors=catalog.detectors(),
                keys=read_keys(reader),
            )

    def snapshot(self, tenant_id: str) -> Snapshot:
        """Returns the policies of a tenant as a server compiles them."""
        platform = self.platform()
        with self.store.view() as reader:
            return compile_snapshot(reader, tenant_id, platform, None)


class Follower:
    """The policies of a tenant that were read from a server, message by message."""

    def __init__(self, platforms: PlatformCache | None = None, tenant_id: str = "acme") -> None:
        self._tenant_id = tenant_id
        self._platforms = platforms or PlatformCache()
        self._reader = UpdateReader(tenant_id, SIGNER.public_key)
        self._replica: Replica | None = None

    @property
    def replica(self) -> Replica:
        assert self._replica is not None
        return self._replica

    @property
    def snapshot(self) -> Snapshot:
        return self.replica.snapshot

    def read(self, server: Server) -> Replica:
        """Reads what has changed; the first time, all policies."""
        before = self._replica
        installation, revision = (before.installation, before.revision) if before else ("", 0)
        update = server.update(self._tenant_id, installation, revision)
        assert update.since == revision
        for part in signed_parts(update, POINTS, 0.0, SIGNER):
            read = self._reader.feed(part)
        assert read is not None
        self._replica = apply(before, read, self._platforms)
        return self._replica


@contextmanager
def new_server() -> Iterator[Server]:
    """Yields a server without the catalog, whose platform has few detectors."""
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "detectors", lambda: DETECTORS)
        store = open_store(f"sqlite:///{directory}/pdp.db")
        try:
            yield Server(store)
        finally:
            store.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with new_server() as opened:
        yield opened


def static(policy_id: str, number: int = 0, **values: Any) -> dict[str, Any]:
    policy = StaticPolicy(policy_id, policy_id, "custom", WORDS[number], "warn")
    return static_policy.body_of(replace(policy, **values))


def rule(rule_id: str, number: int = 0, **values: Any) -> dict[str, Any]:
    policy = DlpRule(rule_id, rule_id, dlp_rule.REGEX, "WORD", "redact")
    config = {"pattern": WORDS[number]}
    return dlp_rule.body_of(replace(policy, **{"config_json": config, **values}))


def model(name: str, number: int = 0) -> dict[str, Any]:
    return model_catalog.body_of(ModelConfig(name, "lab", name, WORDS[number]))


def group(group_id: str, number: int = 0) -> dict[str, Any]:
    return user_group.body_of(UserGroup(group_id, group_id, members=["ann", WORDS[number]]))


def limit(limit_id: str, number: int = 0) -> dict[str, Any]:
    value = Limit(limit_id, "user", limit_id, daily_request_limit=number + 1)
    return limits.body_of(value)


def customer(customer_id: str, number: int = 0) -> dict[str, Any]:
    policy = CustomerPolicy(customer_id, {"escalate_tools": [WORDS[number]]})
    return customer_policy.body_of(policy)


def override(policy_id: str, number: int = 0) -> dict[str, Any]:
    return static_policy.body_of(StaticOverride(policy_id, ("log", "warn", "block")[number]))


def org(_: str, number: int = 0) -> dict[str, Any]:
    rules = [{"name": "All", "notify": {"email": WORDS[number]}}] * number
    policy = OrgPolicy(soc2=number > 1, alert_rules=rules)
    return org_policy.body_of(policy)


def key(key_id: str, number: int = 0) -> dict[str, Any]:
    return api_key.body_of(ApiKey(key_id, WORDS[number], "pep", ("acme",), ()))


MAKERS: Final[Mapping[str, Callable[[str, int], dict[str, Any]]]] = {
    static_policy.KIND: static,
    static_policy.OVERRIDE_KIND: override,
    dlp_rule.KIND: rule,
    user_group.KIND: group,
    limits.KIND: limit,
    customer_policy.KIND: customer,
    org_policy.KIND: org,
    model_catalog.KIND: model,
    api_key.KIND: key,
}
"""Makes the body of a policy of a kind from its id and a number below three."""

PLATFORM_KINDS: Final = (static_policy.KIND, dlp_rule.KIND, model_catalog.KIND, api_key.KIND)
OWN_KINDS: Final = tuple(MAKERS.keys() - {model_catalog.KIND, api_key.KIND})


class Step(NamedTuple):
    """A change of one policy.

    Attributes:
        number: makes the new body; None to delete the policy.
        reads: whether the follower reads the changes after it.
    """

    owner: str
    kind: str
    id: str
    number: int | None
    reads: bool

    def run(self, server: Server) -> None:
        entity_id = org_policy.ID if self.kind == org_policy.KIND else self.id
        if self.number is None:
            server.delete(self.owner, self.kind, entity_id)
        else:
            body = MAKERS[self.kind](entity_id, self.number)
            server.put(self.owner, self.kind, entity_id, body)


def _steps(owners: tuple[str, ...], kinds: tuple[str, ...]) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        st.sampled_from(owners),
        st.sampled_from(sorted(kinds)),
        st.sampled_from("abc"),
        st.none() | st.integers(0, 2),
        st.booleans(),
    )


_platform_steps: Final = _steps((PLATFORM,), PLATFORM_KINDS)
_tenant_steps: Final = _steps(("acme", "acme", "rival"), OWN_KINDS)


def put(policy_id: str, number: int = 0, *, reads: bool = False) -> Step:
    return Step("acme", static_policy.KIND, policy_id, number, reads)


def delete(policy_id: str, *, reads: bool = False) -> Step:
    return Step("acme", static_policy.KIND, policy_id, None, reads)


def order_of(policies: PolicySet) -> dict[str, list[str]]:
    """Returns the ids of the policies of each followed kind, in their order."""
    return {kind: list(policies.of_kind(kind)) for kind in FOLLOWED_KINDS}


def contents_of(policies: PolicySet) -> dict[str, list[tuple[str, Any]]]:
    return {kind: list(policies.of_kind(kind).items()) for kind in ENTITY_CLASSES}


def decision_of(snapshot: Snapshot) -> tuple[Any, ...]:
    """Returns what a snapshot decides on a text that all patterns match."""
    request = Request(text=TEXT, tenant_id="acme", subject=Subject("ann"), model="lab/a")
    decision = evaluate(snapshot, request, "d")
    return decision.outcome, decision.risk, decision.matches, decision.redacted_text


def assert_same(follower: Follower, server: Server) -> None:
    """Checks a follower against the server, and against a follower that reads all policies."""
    replica, snapshot = follower.replica, server.snapshot("acme")
    assert replica.revision == replica.snapshot.revision == snapshot.revision
    assert order_of(replica.snapshot.policies) == order_of(snapshot.policies)
    assert order_of(replica.snapshot.platform.policies) == order_of(snapshot.platform.policies)
    assert PolicyHasher().of(replica.snapshot) == PolicyHasher().of(snapshot)
    assert decision_of(replica.snapshot) == decision_of(snapshot)
    late = Follower()
    late.read(server)
    assert contents_of(replica.snapshot.policies) == contents_of(late.snapshot.policies)
    platform, other = replica.snapshot.platform, late.snapshot.platform
    assert contents_of(platform.policies) == contents_of(other.policies)
    assert list(replica.shared.items()) == list(late.replica.shared.items())
    assert replica.keyed == late.replica.keyed


class TestChanges:
    @given(st.lists(_platform_steps | _tenant_steps, max_size=12))
    @example([put("a"), put("b", reads=True), delete("a"), put("a", 1)])
    @example([put("a"), put("b", reads=True), delete("a"), put("a", 1), put("a", 2), put("b", 1)])
    @example([put("a", reads=True), put("b"), delete("b"), put("b", 1), put("c")])
    @example([put("a", reads=True), delete("a"), put("a", 1), delete("a")])
    @example([put("a", reads=True), delete("a", reads=True), put("a", 1)])
    def test_changes_one_by_one_give_the_policies_of_the_server(self, steps: list[Step]) -> None:
        with new_server() as server:
            follower = Follower()
            follower.read(server)
            for step in steps:
                step.run(server)
                if step.reads:
                    follower.read(server)
            follower.read(server)
            assert_same(follower, server)

    def test_the_policies_that_ship_with_the_product(self, tmp_path: Path) -> None:
        store = open_policies(f"sqlite:///{tmp_path}/pdp.db")
        try:
            server, follower = Server(store), Follower()
            server.put("acme", static_policy.KIND, "a", static("a"))
            follower.read(server)
            assert_same(follower, server)
            shipped = next(iter(follower.snapshot.platform.policies.of_kind(static_policy.KIND)))
            server.put("acme", static_policy.OVERRIDE_KIND, shipped, override(shipped))
            server.put(PLATFORM, model_catalog.KIND, "a", model("a"))
            follower.read(server)
            assert_same(follower, server)
        finally:
            store.close()

    @pytest.mark.parametrize("owner", ["acme", PLATFORM])
    def test_a_policy_that_is_created_again_is_the_last_one(
        self, server: Server, owner: str
    ) -> None:
        for each in "abc":
            server.put(owner, static_policy.KIND, each, static(each))
        follower = Follower()
        follower.read(server)
        server.delete(owner, static_policy.KIND, "a")
        server.put(owner, static_policy.KIND, "a", static("a", 1))
        server.put(owner, static_policy.KIND, "b", static("b", 1))
        follower.read(server)
        policies = follower.snapshot.policies if owner == "acme" else None
        policies = policies or follower.snapshot.platform.policies
        assert list(policies.of_kind(static_policy.KIND)) == ["b", "c", "a"]
        assert_same(follower, server)

    def test_a_policy_that_came_and_went_leaves_nothing(self, server: Server) -> None:
        follower = Follower()
        before = follower.read(server)
        server.put("acme", static_policy.KIND, "a", static("a"))
        server.delete("acme", static_policy.KIND, "a")
        after = follower.read(server)
        assert after.revision == before.revision + 2
        assert not after.snapshot.policies
        assert_same(follower, server)

    def test_a_change_that_is_not_followed_moves_the_revision_only(self, server: Server) -> None:
        server.put("acme", static_policy.KIND, "a", static("a"))
        follower = Follower()
        before = follower.read(server)
        server.put(PLATFORM, api_key.KIND, "a", key("a"))
        server.put("rival", static_policy.KIND, "a", static("a", 1))
        after = follower.read(server)
        assert after.revision == before.revision + 2
        assert after.snapshot.layers is before.snapshot.layers
        assert after.snapshot.platform is before.snapshot.platform
        assert_same(follower, server)

    def test_the_replica_from_before_an_update_is_unchanged(self, server: Server) -> None:
        server.put(PLATFORM, static_policy.KIND, "a", static("a"))
        follower = Follower()
        before = follower.read(server)
        shared, policies = dict(before.shared), contents_of(before.snapshot.platform.policies)
        server.put(PLATFORM, static_policy.KIND, "b", static("b", redaction=HASH))
        server.delete(PLATFORM, static_policy.KIND, "a")
        after = follower.read(server)
        assert (before.shared, before.keyed) == (shared, frozenset())
        assert contents_of(before.snapshot.platform.policies) == policies
        assert list(after.shared) == [(static_policy.KIND, "b")]


class TestPlatforms:
    """What tenants share is compiled once, whichever tenant is followed first."""

    @pytest.fixture
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The compilations of platforms."""
        calls: list[str] = []

        def count(name: str, work: Callable[..., Any]) -> None:
            def counted(*args: Any, **kwargs: Any) -> Any:
                calls.append(name)
                return work(*args, **kwargs)

            monkeypatch.setattr(replicas, name, counted)

        count("compile_platform", compile_platform)
        count("update_platform", update_platform)
        return calls

    def test_two_tenants_have_the_same_object(self, server: Server, compiled: list[str]) -> None:
        server.put(PLATFORM, static_policy.KIND, "a", static("a"))
        server.put("acme", static_policy.KIND, "b", static("b"))
        platforms = PlatformCache()
        acme, rival = Follower(platforms), Follower(platforms, "rival")
        acme.read(server)
        rival.read(server)
        assert acme.snapshot.platform is rival.snapshot.platform
        assert compiled == ["compile_platform"]
        server.put(PLATFORM, static_policy.KIND, "c", static("c"))
        acme.read(server)
        rival.read(server)
        assert acme.snapshot.platform is rival.snapshot.platform
        assert compiled == ["compile_platform", "update_platform"]
        late = Follower(platforms, "late")
        late.read(server)
        assert late.snapshot.platform is acme.snapshot.platform
        assert len(compiled) == 2

    def test_tenants_at_different_revisions_have_different_platforms(self, server: Server) -> None:
        server.put(PLATFORM, static_policy.KIND, "a", static("a"))
        platforms = PlatformCache()
        acme, rival = Follower(platforms), Follower(platforms, "rival")
        acme.read(server)
        server.put(PLATFORM, static_policy.KIND, "a", static("a", 1))
        rival.read(server)
        assert acme.snapshot.platform is not rival.snapshot.platform
        acme.read(server)
        assert acme.snapshot.platform is rival.snapshot.platform

    def test_other_risk_points_or_another_installation_make_another_platform(self) -> None:
        platforms = PlatformCache()
        body = static("a")
        first, *others = (
            apply(None, update_of(policy(body, platform=True), **values), platforms)
            for values in (
                {},
                {"installation": "restored"},
                {"points": {**POINTS, "limit": 41}},
                {"tenant_id": "rival"},
            )
        )
        same = [each.snapshot.platform is first.snapshot.platform for each in others]
        assert same == [False, False, True]
        assert [each.snapshot.platform.risk.limit for each in others] == [40, 41, 40]

    def test_few_platforms_are_kept(self) -> None:
        platforms = PlatformCache(size=2)
        replica = apply(None, update_of(), platforms)
        for name in "ab":
            platforms.put(name, replica.snapshot.platform)
        assert platforms.get("a") is not None
        platforms.put("c", replica.snapshot.platform)
        assert [platforms.get(name) is not None for name in "abc"] == [True, False, True]

    def test_the_platform_that_was_kept_first_stays(self) -> None:
        first, second = (
            apply(None, update_of(), PlatformCache()).snapshot.platform for _ in range(2)
        )
        platforms = PlatformCache()
        assert first is not second
        assert platforms.put("a", first) is first
        assert platforms.put("a", second) is first
        assert platforms.get("a") is first


def policy(
    body: Mapping[str, Any] | None,
    kind: str = static_policy.KIND,
    policy_id: str = "a",
    *,
    platform: bool = False,
) -> FollowedPolicy:
    return FollowedPolicy(platform, kind, policy_id, 5, body)


def update_of(
    *policies: FollowedPolicy, points: Mapping[str, Any] = POINTS, **values: Any
) -> ReadUpdate:
    """Returns a verified update, by default with all policies."""
    defaults = {"installation": "i", "tenant_id": "acme", "since": 0, "revision": 5}
    update = PolicyUpdate(policies=policies, **{**defaults, **values})
    return ReadUpdate(update, 0.0, json.dumps(points), ())


def refusal(previous: Replica | None, read: ReadUpdate) -> str:
    """Returns why an update is refused; no policy is in the text of the error."""
    with pytest.raises(UpdateRefused) as caught:
        apply(previous, read, PlatformCache())
    assert CONTENT not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


class TestRefusals:
    @pytest.mark.parametrize(
        "values",
        [
            {"since": 4},
            {"since": 6},
            {"installation": "restored"},
            {"points": {**POINTS, "limit": 41}},
        ],
        ids=str,
    )
    def test_an_update_that_builds_on_other_policies(self, values: dict[str, Any]) -> None:
        previous = apply(None, update_of(policy(static("a"))), PlatformCache())
        read = update_of(policy(None), **{"since": 5, "revision": 9, **values})
        assert "does not build" in refusal(previous, read)
        whole = update_of(**{**values, "since": 0, "revision": 9})
        assert apply(previous, whole, PlatformCache()).revision == 9

    def test_an_update_that_builds_on_policies_that_are_not_here(self) -> None:
        assert "does not build" in refusal(None, update_of(since=5, revision=9))

    @pytest.mark.parametrize("platform", [False, True])
    @pytest.mark.parametrize(
        "body",
        [
            {**static("a"), CONTENT: 1},
            {"id": CONTENT},
            {},
        ],
        ids=["unknown field", "missing fields", "empty"],
    )
    def test_a_policy_with_other_fields(self, body: dict[str, Any], platform: bool) -> None:
        text = refusal(None, update_of(policy(body, platform=platform)))
        assert "update this program" in text

    def test_a_shipped_policy_with_an_unknown_validator(self) -> None:
        body = static("a", validator=CONTENT)
        assert "update this program" in refusal(None, update_of(policy(body, platform=True)))

    @pytest.mark.parametrize("points", [{}, {"bands": 1}, {**POINTS, CONTENT: 1}, [CONTENT]])
    def test_risk_points_that_are_not_understood(self, points: Any) -> None:
        refusal(None, update_of(points=points))

    def test_a_pattern_that_does_not_compile_here(self) -> None:
        read = update_of(policy(static("a", pattern="(")), policy(static("b"), policy_id="b"))
        with pytest.raises(InvalidPattern) as caught:
            apply(None, read, PlatformCache())
        assert [each.field for each in caught.value.violations] == ["static policy a"]


KEYED: Final[Mapping[str, Callable[[str], Mapping[str, Any]]]] = {
    static_policy.KIND: lambda kind: static("a", redaction=kind),
    static_policy.OVERRIDE_KIND: lambda kind: static_policy.body_of(
        StaticOverride("a", "warn", redaction=kind)
    ),
    dlp_rule.KIND: lambda kind: rule("a", redaction=kind),
    dlp_rule.CUSTOMISATION_KIND: lambda kind: dlp_rule.body_of(
        DlpCustomisation("a", redaction=kind)
    ),
    policy_pack.RULE_KIND: lambda kind: policy_pack.body_of(
        PolicyRule("a", "p", 1, "A", {"type": "REDACT"}, {}, redaction=kind)
    ),
}
"""Makes the body of a policy with a kind of redaction."""


class TestKeyedRedaction:
    """Followers have no key, so the server decides while a policy redacts with one."""

    def test_every_kind_of_policy_with_a_redaction_is_tested(self) -> None:
        kinds = {
            kind
            for kind, entity_class in ENTITY_CLASSES.items()
            if "redaction" in {each.name for each in fields(entity_class)}
        }
        assert kinds == set(KEYED)

    @pytest.mark.parametrize("platform", [False, True])
    @pytest.mark.parametrize("kind", KEYED)
    def test_a_policy_that_redacts_with_a_key(self, kind: str, platform: bool) -> None:
        platforms, make = PlatformCache(), KEYED[kind]
        replica: Replica | None = None
        keyed = []
        kinds = (HASH, MASK, PLACEHOLDER, REPLACE, HASH, None, HASH, "")
        for number, redaction in enumerate(kinds):
            body = None if redaction is None else make(redaction)
            changed = policy(body, kind, platform=platform)
            read = update_of(changed, since=number, revision=number + 1)
            replica = apply(replica, read, platforms)
            keyed.append(bool(replica.keyed))
        assert keyed == [True, False, True, False, True, False, True, False]

    def test_a_redaction_deep_in_a_policy(self) -> None:
        rules = [{"rule_id": "r", "nested": [{"redaction": HASH}]}]
        body = {**group("a"), "dlp_rules": rules}
        replica = apply(None, update_of(policy(body, user_group.KIND)), PlatformCache())
        assert replica.keyed == {(False, (user_group.KIND, "a"))}

    def test_a_word_of_that_name_elsewhere_does_not_count(self) -> None:
        body = static("a", description=HASH, message="redaction", scope=[PLACEHOLDER])
        assert not apply(None, update_of(policy(body)), PlatformCache()).keyed

    def test_each_of_two_policies_counts(self) -> None:
        """Policies of the platform and of the tenant may have the same id."""
        platforms = PlatformCache()
        body = static("a", redaction=HASH)
        both = update_of(policy(body), policy(body, platform=True))
        replica = apply(None, both, platforms)
        removed = update_of(policy(None), since=5, revision=6)
        replica = apply(replica, removed, platforms)
        assert replica.keyed == {(True, (static_policy.KIND, "a"))}
        removed = update_of(policy(None, platform=True), since=6, revision=7)
        assert not apply(replica, removed, platforms).keyed

    def test_all_policies_replace_what_was_known_before(self) -> None:
        platforms = PlatformCache()
        replica = apply(None, update_of(policy(static("a", redaction=HASH))), platforms)
        assert replica.keyed
        assert not apply(replica, update_of(policy(static("b"))), platforms).keyed

    def test_a_policy_that_is_created_again_counts(self, server: Server) -> None:
        """Its update says first that it was removed."""
        server.put("acme", dlp_rule.KIND, "a", rule("a"))
        follower = Follower()
        assert not follower.read(server).keyed
        server.delete("acme", dlp_rule.KIND, "a")
        server.put("acme", dlp_rule.KIND, "a", rule("a", redaction=HASH))
        assert follower.read(server).keyed
        server.delete("acme", dlp_rule.KIND, "a")
        server.put("acme", dlp_rule.KIND, "a", rule("a"))
        assert not follower.read(server).keyed
