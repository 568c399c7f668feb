"""The hash of the policies that a decision is based on: equal policies have it on every server."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pdp.domain import api_key
from pdp.domain.kinds import ENTITY_CLASSES

if TYPE_CHECKING:
    from pdp.domain.policy_set import PolicySet
    from pdp.engine.snapshot import Snapshot

MAX_CACHED: Final = 64
"""Policy sets whose hash is cached. A server that decides for more tenants at once computes some
hashes again."""

_IGNORED_FIELDS: Final = frozenset({"created_at", "updated_at", "version"})
"""When and how often a policy was written: this does not change what it says."""

_IGNORED_KINDS: Final = frozenset({api_key.KIND})


class PolicyHasher:
    """Hashes policies; caches the hash of each policy set, and that of the last snapshot."""

    def __init__(self) -> None:
        self._cache: OrderedDict[int, tuple[PolicySet, str]] = OrderedDict()
        self._last: Snapshot | None = None
        self._last_hash = ""

    def of(self, snapshot: Snapshot) -> str:
        """Returns the hash of a snapshot's policies, in hex."""
        if snapshot is not self._last:
            parts = (snapshot.platform.policies, snapshot.policies)
            joined = "".join(map(self._of_set, parts)).encode()
            self._last, self._last_hash = snapshot, hashlib.sha256(joined).hexdigest()
        return self._last_hash

    def _of_set(self, policies: PolicySet) -> str:
        # By identity: sets are immutable, and a cached set keeps its id for as long as it is here.
        cached = self._cache.get(id(policies))
        if cached is not None:
            self._cache.move_to_end(id(policies))
            return cached[1]
        digest = _digest(policies)
        self._cache[id(policies)] = (policies, digest)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return digest


def _digest(policies: PolicySet) -> str:
    whole = hashlib.sha256()
    for kind in sorted(ENTITY_CLASSES.keys() - _IGNORED_KINDS):
        for entity_id, entity in sorted(policies.of_kind(kind).items()):
            body = {
                field.name: getattr(entity, field.name)
                for field in fields(entity)
                if field.name not in _IGNORED_FIELDS
            }
            line = json.dumps([kind, entity_id, body], sort_keys=True, default=_plain)
            whole.update(line.encode() + b"\n")
    return whole.hexdigest()


def _plain(value: Any) -> Any:
    """Converts a value that JSON does not know to one with the same form on every server."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(value)
