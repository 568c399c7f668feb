"""API keys: creation, rotation and revocation (docs/access.md). Keys belong to the platform."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, replace
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Final

from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.access import ALL_TENANTS
from pdp.domain.api_key import (
    KEY_LENGTH,
    KIND,
    MARK,
    MAX_KEYS,
    MAX_SECRETS,
    PREFIX_LENGTH,
    ApiKey,
    KeySecret,
    body_of,
    digest,
)
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import AccessDenied, InvalidArgument, KeyNotFound, TenantMismatch, Violation
from pdp.store.codec import check_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction

DEFAULT_OVERLAP_S: Final = 86_400
"""How long an old secret stays valid after a rotation that does not say."""

MAX_LIFE_S: Final = 100 * 365 * 86_400

_ALPHABET: Final = ascii_letters + digits

CallerTenants = frozenset[str] | None
"""The tenants that the caller may act for; None for all tenants."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. `text` is the key itself, which is shown only once."""

    text: str
    key: ApiKey

    def __repr__(self) -> str:
        """Leaves out the key itself, because this text may end up in logs and tracebacks."""
        return f"IssuedKey({self.key.secrets[-1].prefix}…)"


class ApiKeys:
    """Administers API keys.

    Each method takes the tenants that its caller may act for. For this caller, keys of other
    tenants do not exist.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, caller_tenants: CallerTenants) -> Sequence[ApiKey]:
        """Returns the keys in order of creation."""

        def work(reader: Reader) -> list[ApiKey]:
            keys = (ApiKey(**entity.body) for entity in reader.list(KIND, PLATFORM))
            return [key for key in keys if _may_act_for(caller_tenants, key.tenants)]

        return await self._workspace.read(work)

    async def get(self, caller_tenants: CallerTenants, key_id: str) -> Versioned[ApiKey]:
        """Returns one key.

        Raises:
            KeyNotFound: the caller has no such key.
        """
        return await self._workspace.read(lambda reader: _find(reader, caller_tenants, key_id))

    async def create(
        self, actor: str, caller_tenants: CallerTenants, draft: ApiKey
    ) -> WriteResult[Versioned[IssuedKey]]:
        """Creates a key from `draft`; its id, secrets, times and creator are set here.

        Raises:
            AccessDenied: the key would act for all tenants, and its creator may not.
            TenantMismatch: the key would act for a tenant that its creator may not act for.
            InvalidArgument: a field is out of bounds, or there are too many keys.
        """
        _check(draft, caller_tenants)

        def work(transaction: Transaction) -> Versioned[IssuedKey]:
            if transaction.count(KIND, PLATFORM) >= MAX_KEYS:
                reason = f"there may be at most {MAX_KEYS} keys; revoke one first"
                raise InvalidArgument.of(Violation("name", reason))
            now = transaction.now
            if draft.expires_at is not None and not now < draft.expires_at < now + MAX_LIFE_S:
                reason = "must be in the future, and within 100 years"
                raise InvalidArgument.of(Violation("expires_at", reason))
            text, secret = _new_secret(transaction, now)
            key = replace(
                draft,
                id=str(uuid.uuid4()),
                secrets=(secret,),
                created_by=actor,
                created_at=now,
                updated_at=now,
            )
            summary = f"Created {key.role} key {key.name} for {', '.join(key.tenants)}"
            return Versioned(IssuedKey(text, key), _put(transaction, actor, key, summary))

        return await self._workspace.write(PLATFORM, work)

    async def rotate(
        self,
        actor: str,
        caller_tenants: CallerTenants,
        key_id: str,
        overlap_s: float = DEFAULT_OVERLAP_S,
    ) -> WriteResult[Versioned[IssuedKey]]:
        """Gives a key a new secret; the old secrets stay valid for at most `overlap_s` more.

        Raises:
            KeyNotFound: the caller has no such key.
            InvalidArgument: the key has expired, or has too many valid secrets.
        """

        def work(transaction: Transaction) -> Versioned[IssuedKey]:
            key = _find(transaction, caller_tenants, key_id).value
            now = transaction.now
            if key.expires_at is not None and key.expires_at <= now:
                raise InvalidArgument.of(Violation("key_id", "has expired; create another key"))
            end = now + overlap_s
            valid = [
                replace(each, expires_at=min(end, each.expires_at or end))
                for each in key.secrets
                if overlap_s and key.expiry_of(each) > now
            ]
            if len(valid) >= MAX_SECRETS:
                reason = f"has {MAX_SECRETS} valid secrets; wait, or set overlap_s to 0"
                raise InvalidArgument.of(Violation("key_id", reason))
            text, secret = _new_secret(transaction, now)
            rotated = replace(key, secrets=(*valid, secret), updated_at=now)
            summary = f"Rotated key {key.name}, with {overlap_s:g} s of overlap"
            return Versioned(IssuedKey(text, rotated), _put(transaction, actor, rotated, summary))

        return await self._workspace.write(PLATFORM, work)

    async def revoke(
        self,
        actor: str,
        caller_tenants: CallerTenants,
        key_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Revokes a key: from now on it is not accepted.

        Raises:
            KeyNotFound: the caller has no such key.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            current = _find(transaction, caller_tenants, key_id)
            precondition.check(current.revision)
            summary = f"Revoked key {current.value.name}"
            transaction.delete(KIND, PLATFORM, key_id, actor=actor, summary=summary)

        return await self._workspace.write(PLATFORM, work)


def _check(draft: ApiKey, caller_tenants: CallerTenants) -> None:
    check_texts(name=draft.name, owner=draft.owner)
    if draft.owner and (not draft.owner.isprintable() or draft.owner != draft.owner.strip()):
        reason = "must be printable, without spaces around it"
        raise InvalidArgument.of(Violation("owner", reason))
    if not draft.name.strip() or not draft.name.isprintable():
        raise InvalidArgument.of(Violation("name", "must be printable, and not empty"))
    if ALL_TENANTS in draft.tenants and len(draft.tenants) > 1:
        raise InvalidArgument.of(Violation("tenants", "* must be the only entry"))
    if ALL_TENANTS in draft.tenants and caller_tenants is not None:
        raise AccessDenied("only a credential for all tenants can create a key for all tenants")
    if not _may_act_for(caller_tenants, draft.tenants):
        raise TenantMismatch(
            "the credential may not act for all of these tenants",
            Violation("tenants", "not all are tenants of the credential"),
        )


def _may_act_for(caller_tenants: CallerTenants, tenants: tuple[str, ...]) -> bool:
    return caller_tenants is None or caller_tenants.issuperset(tenants)


def _find(reader: Reader, caller_tenants: CallerTenants, key_id: str) -> Versioned[ApiKey]:
    entity = reader.get(KIND, PLATFORM, key_id)
    if entity is not None:
        key = ApiKey(**entity.body)
        if _may_act_for(caller_tenants, key.tenants):
            return Versioned(key, entity.revision)
    raise KeyNotFound(f"there is no API key {key_id}")


def _put(transaction: Transaction, actor: str, key: ApiKey, summary: str) -> int:
    entity = StoredEntity(KIND, PLATFORM, key.id, body_of(key))
    return transaction.put(entity, actor=actor, summary=summary).revision


def _new_secret(reader: Reader, now: float) -> tuple[str, KeySecret]:
    """Returns the text of a new key, and the secret to store for it."""
    used_prefixes = {
        secret["prefix"]
        for entity in reader.list(KIND, PLATFORM)
        for secret in entity.body["secrets"]
    }
    while (prefix := MARK + secrets.token_hex(6)) in used_prefixes:
        continue
    # 43 characters out of 62 letters and digits have 256 bits.
    rest = (secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH - PREFIX_LENGTH - 1))
    text = f"{prefix}_{''.join(rest)}"
    return text, KeySecret(prefix, digest(text).hex(), now)
