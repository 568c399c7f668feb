"""Followers of real servers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pdp.client.remote import open_channel
from pdp.follower.central import Central
from pdp.follower.engine import FollowerEngine
from pdp.follower.options import FollowOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def follower_engine(
    address: str, key: str, directory: Path, **options: Any
) -> Iterator[FollowerEngine]:
    """Returns an engine that follows the server at an address.

    Args:
        address: of the server's gRPC.
        key: an API key with the role `follower`.
        directory: the directory of policies and records.
        **options: fields of `FollowOptions`.
    """
    with open_channel(address) as channel:
        central = Central([channel], lambda: (("x-api-key", key),))
        engine = FollowerEngine(central, FollowOptions(directory, **options))
        try:
            yield engine
        finally:
            engine.close()
