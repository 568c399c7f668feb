"""API keys: made, rotated and revoked (docs/access.md). They are the platform's records."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, replace
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Final

from pdp.admin.versioned import ANYTHING, Expectation, Versioned
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

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction

DEFAULT_OVERLAP_S: Final = 86_400
"""How long an old secret counts where nobody says."""

MAX_LIFE_S: Final = 100 * 365 * 86_400

_ALPHABET: Final = ascii_letters + digits

Reach = frozenset[str] | None
"""The tenants that a caller may act for; None for all of them."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A key that was just made: `text` is the key itself, which nobody will see again."""

    text: str
    key: ApiKey

    def __repr__(self) -> str:
        """Leaves the key out, for logs and tracebacks."""
        return f"Shown({self.key.secrets[-1].prefix}…)"


class ApiKeys:
    """The use cases. Each takes how far its caller reaches: other keys do not exist for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, reach: Reach) -> Sequence[ApiKey]:
        """Returns the keys in order of creation."""

        def work(reader: Reader) -> list[ApiKey]:
            keys = (ApiKey(**record.body) for record in reader.list(KIND, PLATFORM))
            return [key for key in keys if _within(key.tenants, reach)]

        return await self._workspace.read(work)

    async def get(self, reach: Reach, key_id: str) -> Versioned[ApiKey]:
        """Returns one key.

        Raises:
            KeyNotFound: there is none within reach.
        """
        return await self._workspace.read(lambda reader: _find(reader, reach, key_id))

    async def create(self, actor: str, reach: Reach, draft: ApiKey) -> Written[Versioned[Shown]]:
        """Makes a key; id, secrets, times and maker are those of `draft` no longer.

        Raises:
            AccessDenied: it would act for all tenants, and its maker may not.
            TenantMismatch: it would act for a tenant that its maker may not act for.
            InvalidArgument: a field is out of its bounds, or there are too many keys.
        """
        _check(draft, reach)

        def work(transaction: Transaction) -> Versioned[Shown]:
            if transaction.count(KIND, PLATFORM) >= MAX_KEYS:
                raise InvalidArgument.of(Violation("name", f"there may be {MAX_KEYS} keys at most"))
            now = transaction.now
            if draft.expires_at is not None and not now < draft.expires_at < now + MAX_LIFE_S:
                reason = "must lie in the future, and within 100 years"
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
            return Versioned(Shown(text, key), _put(transaction, actor, key, summary))

        return await self._workspace.write(PLATFORM, work)

    async def rotate(
        self, actor: str, reach: Reach, key_id: str, overlap_s: float = DEFAULT_OVERLAP_S
    ) -> Written[Versioned[Shown]]:
        """Gives a key a new secret; the old ones count for `overlap_s` more at most.

        Raises:
            KeyNotFound: there is no such key within reach.
            InvalidArgument: it has expired, or has been rotated too often of late.
        """

        def work(transaction: Transaction) -> Versioned[Shown]:
            key = _find(transaction, reach, key_id).value
            now = transaction.now
            if key.expires_at is not None and key.expires_at <= now:
                raise InvalidArgument.of(Violation("key_id", "has expired; make another key"))
            ends = now + overlap_s
            kept = [
                replace(each, expires_at=min(ends, each.expires_at or ends))
                for each in key.secrets
                if overlap_s and key.expiry_of(each) > now
            ]
            if len(kept) >= MAX_SECRETS:
                reason = f"has {MAX_SECRETS} secrets that count; wait, or set overlap_s to 0"
                raise InvalidArgument.of(Violation("key_id", reason))
            text, secret = _new_secret(transaction, now)
            rotated = replace(key, secrets=(*kept, secret), updated_at=now)
            summary = f"Rotated key {key.name}, with {overlap_s:g} s of overlap"
            return Versioned(Shown(text, rotated), _put(transaction, actor, rotated, summary))

        return await self._workspace.write(PLATFORM, work)

    async def revoke(
        self, actor: str, reach: Reach, key_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Makes a key count no more.

        Raises:
            KeyNotFound: there is no such key within reach.
            PreconditionFailed: it is not as expected.
        """

        def work(transaction: Transaction) -> None:
            present = _find(transaction, reach, key_id)
            expected.check(present.revision)
            summary = f"Revoked key {present.value.name}"
            transaction.delete(KIND, PLATFORM, key_id, actor=actor, summary=summary)

        return await self._workspace.write(PLATFORM, work)


def _check(draft: ApiKey, reach: Reach) -> None:
    check_texts(name=draft.name)
    if not draft.name.strip() or not draft.name.isprintable():
        raise InvalidArgument.of(Violation("name", "must be printable, and not empty"))
    if ALL_TENANTS in draft.tenants and len(draft.tenants) > 1:
        raise InvalidArgument.of(Violation("tenants", "* stands alone"))
    if ALL_TENANTS in draft.tenants and reach is not None:
        raise AccessDenied("only a credential for all tenants can make one for all tenants")
    if not _within(draft.tenants, reach):
        raise TenantMismatch(
            "the credential may not act for all of these tenants",
            Violation("tenants", "not all are tenants of the credential"),
        )


def _within(tenants: tuple[str, ...], reach: Reach) -> bool:
    return reach is None or reach.issuperset(tenants)


def _find(reader: Reader, reach: Reach, key_id: str) -> Versioned[ApiKey]:
    record = reader.get(KIND, PLATFORM, key_id)
    if record is not None:
        key = ApiKey(**record.body)
        if _within(key.tenants, reach):
            return Versioned(key, record.revision)
    raise KeyNotFound(f"there is no API key {key_id}")


def _put(transaction: Transaction, actor: str, key: ApiKey, summary: str) -> int:
    record = StoredEntity(KIND, PLATFORM, key.id, body_of(key))
    return transaction.put(record, actor=actor, summary=summary).revision


def _new_secret(reader: Reader, now: float) -> tuple[str, KeySecret]:
    """Returns a new key, and what is kept of it."""
    taken = {
        secret["prefix"]
        for record in reader.list(KIND, PLATFORM)
        for secret in record.body["secrets"]
    }
    while (prefix := MARK + secrets.token_hex(6)) in taken:
        continue
    # 43 of 62 letters and digits are 256 bits.
    rest = (secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH - PREFIX_LENGTH - 1))
    text = f"{prefix}_{''.join(rest)}"
    return text, KeySecret(prefix, digest(text).hex(), now)
