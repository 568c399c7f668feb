"""The hash of the policies that a decision was made on: the same for the same, on any server."""

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

MAX_KEPT: Final = 64
"""Owners whose hash is kept; a server that decides for more of them at once works some out anew."""

_BESIDE: Final = frozenset({"created_at", "updated_at", "version"})
"""When and how often a policy was written, which is not what it says."""

_NO_POLICIES: Final = frozenset({api_key.KIND})


class PolicyHasher:
    """Hashes policies; those of an owner once for as long as they stay as they are."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[PolicySet, str]] = OrderedDict()

    def of(self, snapshot: Snapshot) -> str:
        """Returns the hash of the policies of a snapshot, in hex."""
        parts = (snapshot.platform.policies, snapshot.policies)
        return hashlib.sha256("".join(map(self._of_owner, parts)).encode()).hexdigest()

    def _of_owner(self, policies: PolicySet) -> str:
        # By identity: sets are immutable, and a set that is held here gives its id to no other.
        kept = self._kept.get(id(policies))
        if kept is not None:
            self._kept.move_to_end(id(policies))
            return kept[1]
        found = _digest(policies)
        self._kept[id(policies)] = (policies, found)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found


def _digest(policies: PolicySet) -> str:
    whole = hashlib.sha256()
    for kind in sorted(ENTITY_CLASSES.keys() - _NO_POLICIES):
        for entity_id, entity in sorted(policies.of_kind(kind).items()):
            body = {
                field.name: getattr(entity, field.name)
                for field in fields(entity)
                if field.name not in _BESIDE
            }
            line = json.dumps([kind, entity_id, body], sort_keys=True, default=_plain)
            whole.update(line.encode() + b"\n")
    return whole.hexdigest()


def _plain(value: Any) -> Any:
    """Returns what JSON has no form for in one that is the same everywhere."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(value)
