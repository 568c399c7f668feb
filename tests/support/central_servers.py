"""A server that followers follow: it can be stopped and started again at the same address."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pdp_client as pdp

from tests.support import servers
from tests.support.authenticated_servers import AuthenticatedServer, create_key, first_admin_key
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TENANT: Final = "acme"


class CentralServer:
    """The server and its database.

    Attributes:
        address: the address of its gRPC, at which it always starts.
        follower_key: a key with the role `follower` for the tenant `acme`.
        policy_id: the policy that `block` has created last.
    """

    def __init__(self, data_dir: Path, **settings: str) -> None:
        """Starts the server.

        Args:
            data_dir: the directory of its database.
            **settings: environment variables.
        """
        self._data_dir = data_dir
        self._admin = first_admin_key(data_dir)
        self._settings = settings
        self.policy_id = ""
        self.address, _ = servers.free_addresses()
        self._running: AuthenticatedServer | None = None
        self.follower_key = create_key(data_dir, "follower", TENANT)
        self.start()

    @property
    def running(self) -> AuthenticatedServer:
        """The running server, to administer it."""
        assert self._running is not None, "the server is not running"
        return self._running

    def start(self) -> None:
        """Starts the server."""
        settings = {"PDP_AUTH": "required", "PDP_GRPC_LISTEN": self.address, **self._settings}
        server = servers.start(self._data_dir, **settings)
        self._running = AuthenticatedServer(server, self._admin)

    def stop(self) -> None:
        """Ends the server at once, as a crash would."""
        running, self._running = self.running, None
        running.close()
        running.server.process.kill()
        running.server.__exit__(None, None, None)

    def close(self) -> None:
        """Ends the server, if it runs."""
        if self._running is not None:
            self.stop()

    def client(self, directory: Path, **settings: Any) -> pdp.Client:
        """Returns a client that decides by itself.

        Args:
            directory: the directory of policies and records.
            **settings: fields of `pdp.Local`.
        """
        local = pdp.Local(directory=directory, **settings)
        return pdp.Client(
            self.address,
            api_key=self.follower_key,
            tenant=TENANT,
            timeout=servers.TIMEOUT_S,
            local=local,
        )

    def block(self, word: str) -> int:
        """Creates a policy that blocks a word; returns the revision in which it is in force."""
        body = {
            "name": f"No {word}",
            "category": "security",
            "pattern": word,
            "severity": "high",
            "action": "block",
        }
        answer = self.running.request(
            "POST", "/api/v1/static-policies", self.running.admin, TENANT, json=body
        )
        assert answer.status_code == 201, answer.text
        self.policy_id = answer.json()["policy"]["id"]
        return int(answer.headers["x-pdp-revision"])

    def records(self) -> list[dict[str, Any]]:
        """Returns the decision records of the tenant, newest first."""
        path = "/api/admin/audit/records"
        answer = self.running.request("GET", path, self.running.admin, TENANT)
        assert answer.status_code == 200, answer.text
        records: list[dict[str, Any]] = answer.json()["records"]
        return records


@contextmanager
def central_server(data_dir: Path, **settings: str) -> Iterator[CentralServer]:
    """Starts a server for followers; see `CentralServer`."""
    server = CentralServer(data_dir, **settings)
    try:
        yield server
    finally:
        server.close()


def wait_for_revision(client: pdp.Client, revision: int) -> None:
    """Waits until a client that decides by itself has the policies of a revision."""
    wait_until(lambda: _state(client).revision >= revision, f"revision {revision} is here")


def _state(client: pdp.Client) -> pdp.LocalState:
    state = client.local_state
    assert state is not None
    return state
