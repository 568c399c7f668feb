"""The principals of client certificates: each name is a `pep` for its tenants (docs/access.md)."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from pdp.auth.principal import Principal, principal_for
from pdp.domain.access import ALL_TENANTS, INCLUDED_ROLES, PEP
from pdp.domain.tenant import is_tenant_id
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEYS: Final = frozenset({"identity", "tenants"})


class ClientTable:
    """The principal of each name in client certificates.

    The TLS handshake has proved that the client has the certificate's key, and that an authority in
    `PDP_TLS_CLIENT_CA_FILE` signed the certificate. This table says what the name may do.
    """

    def __init__(self, clients: Mapping[str, Principal]) -> None:
        self._clients = clients

    def __len__(self) -> int:
        return len(self._clients)

    def principal_of(self, names: tuple[str, ...]) -> Principal | None:
        """Returns the principal of a certificate's names; None if no name is known."""
        for name in names:
            principal = self._clients.get(name)
            if principal is not None:
                return principal
        return None


def read_clients(file: Path | None) -> ClientTable:
    """Reads the table from TOML: `[[client]]` with `identity` and `tenants`.

    Raises:
        ConfigError: the file cannot be read, or has another structure.
    """
    if file is None:
        return ClientTable({})
    place = f"PDP_CLIENTS_FILE: {file}"
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{place} cannot be read: {error.strerror}. Name a file that this process can read."
        ) from None
    except ValueError as error:
        position = re.search(r"\(at .*\)", str(error))
        at = f" {position.group()}" if position else ""
        raise ConfigError(f"{place} is not valid TOML{at}. Correct it.") from None
    entries = document.pop("client", [])
    if document or not isinstance(entries, list):
        raise ConfigError(f"{place} has other content. Write [[client]] tables only.")
    clients: dict[str, Principal] = {}
    for index, entry in enumerate(entries, 1):
        name, principal = _client(entry, f"{place}: client {index}")
        if name in clients:
            raise ConfigError(f"{place}: {name} occurs twice. Remove one of the two clients.")
        clients[name] = principal
    return ClientTable(clients)


def _client(entry: Any, place: str) -> tuple[str, Principal]:
    if not isinstance(entry, dict) or entry.keys() != _KEYS:
        raise ConfigError(f"{place} has missing or other keys. Write identity and tenants only.")
    name, tenants = entry["identity"], entry["tenants"]
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{place}: identity is not a name. Write a name in the certificate.")
    if tenants == [ALL_TENANTS]:
        return name, principal_for(f"mtls:{name}", INCLUDED_ROLES[PEP], None, "certificate")
    if not isinstance(tenants, list) or not tenants or not all(map(_is_tenant, tenants)):
        raise ConfigError(
            f'{place}: tenants is not a list of tenants. Write a list of tenant ids, or ["*"].'
        )
    bound_to = frozenset(tenants)
    return name, principal_for(f"mtls:{name}", INCLUDED_ROLES[PEP], bound_to, "certificate")


def _is_tenant(value: Any) -> bool:
    return isinstance(value, str) and is_tenant_id(value)
