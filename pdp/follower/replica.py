"""The policies that a follower has of one tenant, compiled. Pure functions on immutable values."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain.kinds import apply_changes
from pdp.domain.policy_set import PolicySet
from pdp.domain.redaction_kind import HASH, PLACEHOLDER
from pdp.domain.risk import risk_table
from pdp.domain.stored_entity import Change
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant, update_platform
from pdp.follower.updates import UpdateRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.followed_policies import FollowedPolicy
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.follower.updates import ReadUpdate

Key = tuple[str, str]
"""The kind and the id of a policy."""

_KEYED: Final = frozenset({HASH, PLACEHOLDER})
"""The kinds of redaction that need a key, which followers do not get."""

_REDACTION_FIELD: Final = "redaction"


@dataclass(frozen=True, slots=True)
class Replica:
    """The policies of a tenant, at a revision of the server.

    Attributes:
        tenant_id: the tenant.
        installation: see `PolicyUpdate`.
        revision: the revision.
        snapshot: the compiled policies.
        shared: the revision of each policy that all tenants share.
        risk_points: the risk points of findings, as JSON.
        keyed: the policies that redact with a key; while there are any, the server decides.
    """

    tenant_id: str
    installation: str
    revision: int
    snapshot: Snapshot
    shared: Mapping[Key, int]
    risk_points: str
    keyed: frozenset[tuple[bool, Key]] = frozenset()


@dataclass(slots=True)
class PlatformCache:
    """The compiled policies that tenants share, so that each is compiled once."""

    size: int = 4
    _platforms: OrderedDict[str, Platform] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str) -> Platform | None:
        """Returns the platform of a key."""
        with self._lock:
            platform = self._platforms.get(key)
            if platform is not None:
                self._platforms.move_to_end(key)
            return platform

    def put(self, key: str, platform: Platform) -> Platform:
        """Keeps a platform; returns the one that another thread has kept meanwhile."""
        with self._lock:
            kept = self._platforms.setdefault(key, platform)
            self._platforms.move_to_end(key)
            while len(self._platforms) > self.size:
                self._platforms.popitem(last=False)
            return kept


def apply(previous: Replica | None, read: ReadUpdate, platforms: PlatformCache) -> Replica:
    """Returns the policies after an update.

    Args:
        previous: the policies before it; None if there are none.
        read: the update.
        platforms: the platforms of all tenants.

    Raises:
        UpdateRefused: the update does not build on these policies, or is not understood.
        InvalidPattern: some patterns do not compile here.
    """
    update = read.update
    if not update.since:
        previous = None
    elif previous is None or _is_other(previous, read):
        raise UpdateRefused("an update does not build on the policies that are here")
    try:
        return _applied(previous, read, platforms)
    except (KeyError, TypeError, ValueError) as error:
        # Only the type: the message may hold parts of a policy.
        kind = type(error).__name__
        raise UpdateRefused(f"a policy is not understood ({kind}); update this program") from None


def _is_other(previous: Replica, read: ReadUpdate) -> bool:
    update = read.update
    return (
        update.since != previous.revision
        or update.installation != previous.installation
        or read.risk_points != previous.risk_points
    )


def _applied(previous: Replica | None, read: ReadUpdate, platforms: PlatformCache) -> Replica:
    update = read.update
    shared_changes = _changes(each for each in update.policies if each.platform)
    own_changes = _changes(each for each in update.policies if not each.platform)
    shared = dict(previous.shared) if previous else {}
    _note_revisions(shared, update.policies)
    platform = previous.snapshot.platform if previous else None
    if platform is None or shared_changes:
        key = _platform_key(update.installation, shared, read.risk_points)
        known = platforms.get(key)
        platform = known or platforms.put(key, _platform(platform, shared_changes, read))
    policies = previous.snapshot.policies if previous else PolicySet()
    if previous is not None and not own_changes and platform is previous.snapshot.platform:
        snapshot = previous.snapshot.rebase(platform, update.revision)
    else:
        snapshot = compile_tenant(
            platform,
            update.tenant_id,
            apply_changes(policies, own_changes),
            update.revision,
            previous.snapshot if previous else None,
        )
    return Replica(
        update.tenant_id,
        update.installation,
        update.revision,
        snapshot,
        shared,
        read.risk_points,
        _keyed_after(previous.keyed if previous else frozenset(), update.policies),
    )


def _platform(previous: Platform | None, changes: Sequence[Change], read: ReadUpdate) -> Platform:
    if previous is not None:
        return update_platform(previous, changes)
    return compile_platform(
        apply_changes(PolicySet(), changes),
        VALIDATORS,
        risk_table(json.loads(read.risk_points)),
        detectors=catalog.detectors(),
    )


def _changes(policies: Iterable[FollowedPolicy]) -> list[Change]:
    return [
        Change(
            each.revision,
            PLATFORM if each.platform else "",
            each.kind,
            each.id,
            "update" if each.body is not None else "delete",
            None,
            each.body,
            "",
            0.0,
            "",
        )
        for each in policies
    ]


def _note_revisions(shared: dict[Key, int], policies: Iterable[FollowedPolicy]) -> None:
    for each in policies:
        if each.platform:
            if each.body is None:
                shared.pop((each.kind, each.id), None)
            else:
                shared[each.kind, each.id] = each.revision


def _platform_key(installation: str, shared: Mapping[Key, int], risk_points: str) -> str:
    """Returns a key that is the same for the same policies only."""
    content = json.dumps([installation, risk_points, [[*key, at] for key, at in shared.items()]])
    return hashlib.sha256(content.encode()).hexdigest()


def _keyed_after(
    before: frozenset[tuple[bool, Key]], policies: Iterable[FollowedPolicy]
) -> frozenset[tuple[bool, Key]]:
    keyed = set(before)
    for each in policies:
        key = (each.platform, (each.kind, each.id))
        if each.body is not None and _redacts_with_key(each.body):
            keyed.add(key)
        else:
            keyed.discard(key)
    return frozenset(keyed)


def _redacts_with_key(value: Any) -> bool:
    """Returns whether a policy names a kind of redaction that needs a key, at any depth."""
    if isinstance(value, dict):
        kind = value.get(_REDACTION_FIELD)
        return (isinstance(kind, str) and kind in _KEYED) or any(
            map(_redacts_with_key, value.values())
        )
    return isinstance(value, list) and any(map(_redacts_with_key, value))
