"""Real servers that require credentials, with clients for them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pdp.client.remote import RemoteClient
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

KEYS = "/api/admin/api-keys"


@dataclass
class AuthenticatedServer:
    """A server that requires credentials, with the key of its first admin."""

    server: servers.Server
    admin: str
    _keys: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)

    def key(self, role: str, *tenants: str) -> str:
        """Returns a key with the role for these tenants; the same arguments return the same key."""
        if (role, tenants) not in self._keys:
            self._keys[role, tenants] = self.new_key(role, *tenants)["key"]
        return self._keys[role, tenants]

    def new_key(self, role: str, *tenants: str, **fields: Any) -> dict[str, Any]:
        """Creates a key; returns the response."""
        body = {"name": f"{role} of a test", "role": role, "tenants": tenants, **fields}
        answer = self.request("POST", KEYS, self.admin, json=body)
        assert answer.status_code == 201, answer.text
        key: dict[str, Any] = answer.json()
        return key

    def request(
        self, method: str, path: str, key: str = "", tenant: str = "", **more: Any
    ) -> httpx2.Response:
        """Sends an HTTP request, with the key and the tenant if these are set."""
        headers = {
            **({"X-API-Key": key} if key else {}),
            **({"X-Tenant-ID": tenant} if tenant else {}),
            **more.pop("headers", {}),
        }
        return self._client.request(method, path, headers=headers, **more)

    def start_stream(
        self, method: str, path: str, key: str = "", tenant: str = ""
    ) -> tuple[int, str]:
        """Starts a request whose response may never end; returns the status and the error code."""
        credentials = {"X-API-Key": key, "X-Tenant-ID": tenant}
        headers = {name: value for name, value in credentials.items() if value}
        with self._client.stream(method, path, headers=headers) as answer:
            if answer.is_success:
                return answer.status_code, "OK"
            return answer.status_code, json.loads(answer.read())["error"]["code"]

    def __post_init__(self) -> None:
        self._client = self.server.client()

    def remote(self, key: str = "") -> RemoteClient:
        """Returns a gRPC client with the key."""
        credential = (("x-api-key", key),) if key else ()
        return RemoteClient(
            self.server.grpc_address, timeout_s=servers.TIMEOUT_S, credential=credential
        )

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()


def first_admin_key(data_dir: Path) -> str:
    """Creates the first key of a database, as `pdp keys create` does; returns it."""
    return create_key(data_dir, "admin", "*")


def create_key(data_dir: Path, role: str, tenant: str, url: str = "") -> str:
    """Creates a key by `pdp keys create`; returns it.

    Args:
        data_dir: the directory of the database, if it is SQLite.
        role: of the key.
        tenant: of the key.
        url: of another database.
    """
    url = url or f"sqlite:///{data_dir}/pdp.db"
    creation = servers.run_pdp(
        "keys", "create", "--role", role, "--tenant", tenant, PDP_DATABASE_URL=url
    )
    assert creation.returncode == 0, creation.stderr
    return creation.stdout.splitlines()[-1]


@contextmanager
def authenticated_server(data_dir: Path, **settings: str) -> Iterator[AuthenticatedServer]:
    """Starts a server whose first key `pdp keys create` created before."""
    key = first_admin_key(data_dir)
    with servers.start(data_dir, PDP_AUTH="required", **settings) as server:
        opened = AuthenticatedServer(server, key)
        try:
            yield opened
        finally:
            opened.close()
