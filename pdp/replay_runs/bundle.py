"""The policies of a replay as one text, for processes that have no database.

The text has what decisions depend on, and no credential, no key and no address of a webhook. Equal
policies give equal texts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp import catalog
from pdp.decisions.policy_hash import PolicyHasher
from pdp.detect.validators import VALIDATORS
from pdp.domain.followed_policies import FOLLOWED_KINDS, of_entity
from pdp.domain.installation_keys import InstallationKeys
from pdp.domain.kinds import read_policies
from pdp.domain.risk import risk_points, risk_table
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.errors import ConfigError
from pdp.policy_files.builder import as_json

if TYPE_CHECKING:
    from pdp.domain.policy_set import PolicySet
    from pdp.engine.snapshot import Platform, Snapshot

FORMAT: Final = 1

_STAND_IN_KEYS: Final = InstallationKeys(redaction=bytes(32))
"""Replacements of redacted values depend on the keys of an installation. A replay drops them."""


class ReplayPolicies(NamedTuple):
    """The two sides of a replay, compiled.

    Attributes:
        before: the tenant's policies as they are.
        after: the policies in question.
    """

    before: Snapshot
    after: Snapshot


def write_bundle(policies: ReplayPolicies) -> str:
    """Returns the text of policies."""
    before, after = policies
    platforms = [before.platform]
    if after.platform is not before.platform:
        platforms.append(after.platform)
    return json.dumps(
        {
            "format": FORMAT,
            "tenant_id": before.tenant_id,
            "risk": risk_points(before.platform.risk),
            "platforms": [_entities(each.policies) for each in platforms],
            "sides": [
                {
                    "platform": platforms.index(each.platform),
                    "revision": each.revision,
                    "policies": _entities(each.policies),
                    "hash": PolicyHasher().of(each),
                }
                for each in policies
            ],
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def compile_bundle(text: str) -> ReplayPolicies:
    """Compiles the policies of a text.

    Raises:
        ConfigError: the text is of another release, or the result is not what was written.
    """
    value = json.loads(text)
    if value["format"] != FORMAT:
        raise ConfigError("the policies of this replay are of another release: update this host")
    platforms: list[Platform] = []
    for entities in value["platforms"]:
        platforms.append(
            compile_platform(
                _policies(entities),
                VALIDATORS,
                risk_table(value["risk"]),
                platforms[0].patterns if platforms else None,
                catalog.detectors(),
                keys=_STAND_IN_KEYS,
            )
        )
    sides: list[Snapshot] = []
    for side in value["sides"]:
        platform, own = platforms[side["platform"]], _policies(side["policies"])
        previous = sides[0] if sides else None
        snapshot = compile_tenant(platform, value["tenant_id"], own, side["revision"], previous)
        if PolicyHasher().of(snapshot) != side["hash"]:
            raise ConfigError(
                "this host reads the policies in another way. Install the same release everywhere."
            )
        sides.append(snapshot)
    return ReplayPolicies(*sides)


def _entities(policies: PolicySet) -> list[tuple[str, str, Any]]:
    return [
        (kind, entity_id, _body(kind, entity_id, policy))
        for kind in sorted(FOLLOWED_KINDS)
        for entity_id, policy in policies.of_kind(kind).items()
    ]


def _body(kind: str, entity_id: str, policy: Any) -> Any:
    entity = StoredEntity(kind, PLATFORM, entity_id, as_json(policy))
    return of_entity(entity).body


def _policies(entities: list[tuple[str, str, Any]]) -> PolicySet:
    return read_policies(StoredEntity(kind, PLATFORM, each, body) for kind, each, body in entities)
