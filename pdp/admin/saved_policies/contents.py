"""What is in the files of saved policies: JSON, by role.

    confirmed → the list of tenants → the policies of each tenant
              → the platform

`Confirmation` is the root: it says of which revision everything below it is, and when the store
last said so. Each file is named by its hash in the one above it, so no older file can be taken for
a newer one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pdp.admin.saved_policies.seal import SavedPoliciesUnusable
from pdp.admin.snapshots import ChangeMark
from pdp.domain.installation_keys import InstallationKeys
from pdp.domain.kinds import ENTITY_CLASSES, read_policies
from pdp.domain.stored_entity import StoredEntity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.domain.policy_set import PolicySet

T = TypeVar("T")

CONFIRMED: Final = b"confirmed"
TENANTS: Final = b"tenants"
TENANT: Final = b"tenant"
PLATFORM_FILE: Final = b"platform"


class Confirmation(NamedTuple):
    """What the files are true of.

    Attributes:
        revision: the files are the policies at this revision of the store.
        at: when the store last had no newer one, in seconds since the epoch.
        installation: identifies the installation (`installation_of`).
        database: the URL of the database, without credentials.
        mark: of the change at the revision; None if there is none.
        tenants: the name of the file with the list of tenants.
        platform: the name of the file with the platform; empty if it is not saved.
    """

    revision: int
    at: float
    installation: str
    database: str
    mark: ChangeMark | None
    tenants: str
    platform: str

    def encode(self) -> bytes:
        """Returns the content of its file."""
        return _dump(self._asdict())

    @classmethod
    def decode(cls, content: bytes) -> Confirmation:
        """Returns the confirmation in a file.

        Raises:
            SavedPoliciesUnusable: the content is none.
        """

        def read(value: Any) -> Confirmation:
            mark = value["mark"]
            return cls(**{**value, "mark": None if mark is None else ChangeMark(*mark)})

        return _parsed(content, read)


class SavedPlatform(NamedTuple):
    """What all tenants share.

    Attributes:
        policies: the policies, with the API keys.
        keys: the keys of the installation.
    """

    policies: PolicySet
    keys: InstallationKeys


def encode_tenants(files: Mapping[str, str]) -> bytes:
    """Returns the content of the list of tenants.

    Args:
        files: the name of each tenant's file; empty if it has none.
    """
    return _dump(files)


def decode_tenants(content: bytes) -> dict[str, str]:
    """Returns what `encode_tenants` encoded.

    Raises:
        SavedPoliciesUnusable: the content is not such a list.
    """
    return _parsed(content, lambda value: {str(key): str(name) for key, name in value.items()})


def encode_tenant(tenant_id: str, entities: Iterable[StoredEntity]) -> bytes:
    """Returns the content of a tenant's file."""
    return _dump({"tenant": tenant_id, "entities": _entities(entities)})


def decode_tenant(tenant_id: str, content: bytes) -> PolicySet:
    """Returns the policies in a tenant's file.

    Raises:
        SavedPoliciesUnusable: the content is not of that tenant, or this release cannot read it.
    """
    return _parsed(content, lambda value: _policies(tenant_id, value))


def encode_platform(
    tenant_id: str, entities: Iterable[StoredEntity], keys: InstallationKeys
) -> bytes:
    """Returns the content of the platform's file."""
    return _dump(
        {
            "tenant": tenant_id,
            "entities": _entities(entities),
            "keys": [keys.redaction.hex(), keys.approval.hex()],
        }
    )


def decode_platform(tenant_id: str, content: bytes) -> SavedPlatform:
    """Returns what is in the platform's file.

    Raises:
        SavedPoliciesUnusable: this release cannot read the content.
    """

    def read(value: Any) -> SavedPlatform:
        redaction, approval = map(bytes.fromhex, value["keys"])
        policies = _policies(tenant_id, value)
        return SavedPlatform(policies, InstallationKeys(redaction, approval))

    return _parsed(content, read)


def _entities(entities: Iterable[StoredEntity]) -> list[list[Any]]:
    return [
        [each.kind, each.id, dict(each.body)] for each in entities if each.kind in ENTITY_CLASSES
    ]


def _policies(tenant_id: str, value: Any) -> PolicySet:
    if value["tenant"] != tenant_id:
        raise ValueError("another tenant")
    rows = value["entities"]
    return read_policies(StoredEntity(kind, tenant_id, id_, body) for kind, id_, body in rows)


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _parsed(content: bytes, read: Callable[[Any], T]) -> T:
    try:
        return read(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SavedPoliciesUnusable("this release cannot read a file of saved policies") from error
