"""Replicas: servers on one PostgreSQL database, each with a data directory of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support import servers
from tests.support.faults import Tenant, wait_for_revision

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.support.servers import Server


@contextmanager
def start_replicas(
    directory: Path, url: str, count: int = 3, **settings: str
) -> Iterator[list[Server]]:
    """Starts replicas, one after the other, and stops them at the end.

    Args:
        directory: gets a data directory for each.
        url: of the database.
        count: how many.
        **settings: their further settings.
    """
    replicas: list[Server] = []
    try:
        for number in range(count):
            data = directory / f"replica{number}"
            data.mkdir(parents=True, exist_ok=True)
            replicas.append(servers.start(data, PDP_DATABASE_URL=url, **settings))
        yield replicas
    finally:
        for each in replicas:
            each.__exit__(None, None, None)


def restart(replica: Server, url: str, **settings: str) -> Server:
    """Ends a replica, if it runs, and starts it on its addresses and with its files.

    Args:
        replica: the replica.
        url: of the database.
        **settings: its further settings.
    """
    replica.__exit__(None, None, None)
    host = replica.http_url.removeprefix("http://")
    addresses = {"PDP_GRPC_LISTEN": replica.grpc_address, "PDP_HTTP_LISTEN": host}
    return servers.start(replica.data_dir, PDP_DATABASE_URL=url, **addresses, **settings)


def views_of(name: str, replicas: Sequence[Server]) -> list[Tenant]:
    """Returns a tenant as each replica has it; what one acknowledges counts for all."""
    tenants = [Tenant(each.http_url, name) for each in replicas]
    for each in tenants[1:]:
        each.written = tenants[0].written
    return tenants


def wait_for_all(replicas: Sequence[Server], revision: int) -> None:
    """Waits until a revision is in force in all replicas."""
    for each in replicas:
        wait_for_revision(each, revision)
