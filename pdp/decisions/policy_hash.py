"""The hash of the policies that a decision is based on: equal policies have it on every server."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pdp.domain import api_key, org_policy
from pdp.domain.kinds import ENTITY_CLASSES

if TYPE_CHECKING:
    from pdp.domain.policy_set import PolicySet
    from pdp.engine.snapshot import Snapshot

_IGNORED_FIELDS: Final = frozenset({"created_at", "updated_at", "version"})
"""When and how often a policy was written: this does not change what it says."""

_IGNORED_KINDS: Final = frozenset({api_key.KIND})


class PolicyHasher:
    """Hashes policies. Each policy set keeps its hash, and the hasher keeps that of a snapshot."""

    def __init__(self) -> None:
        self._last: Snapshot | None = None
        self._last_hash = ""

    def of(self, snapshot: Snapshot) -> str:
        """Returns the hash of a snapshot's policies, in hex."""
        if snapshot is not self._last:
            parts = (snapshot.platform.policies, snapshot.policies)
            joined = "".join(map(_hash_of, parts)).encode()
            self._last, self._last_hash = snapshot, hashlib.sha256(joined).hexdigest()
        return self._last_hash


def _hash_of(policies: PolicySet) -> str:
    if not policies.hash_cache:
        policies.hash_cache = _digest(policies)
    return policies.hash_cache


def _digest(policies: PolicySet) -> str:
    whole = hashlib.sha256()
    for kind in sorted(ENTITY_CLASSES.keys() - _IGNORED_KINDS):
        for entity_id, entity in sorted(policies.of_kind(kind).items()):
            body = {
                field.name: getattr(entity, field.name)
                for field in fields(entity)
                if field.name not in _IGNORED_FIELDS
            }
            if kind == org_policy.KIND:  # whom an alert notifies changes no decision
                body["alert_rules"] = org_policy.without_addresses(body["alert_rules"])
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
