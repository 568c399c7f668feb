"""Loads the policies of a replay from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.admin.point_in_time import snapshot_at
from pdp.admin.snapshots import compile_snapshot
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
from pdp.replay_runs.bundle import ReplayPolicies
from pdp.transport.servicers.simulate import with_candidates

if TYPE_CHECKING:
    from pathlib import Path

    from pdp._gen.pdp.v1.simulate_pb2 import Overlay


def load_policies(
    database_url: str,
    tenant_id: str,
    *,
    risk_file: Path | None = None,
    revision: int = 0,
    overlay: Overlay | None = None,
) -> ReplayPolicies:
    """Returns a tenant's policies in force and those in question, as `SimulateService.Replay` does.

    Args:
        database_url: see `pdp.store.open_store`.
        tenant_id: the tenant.
        risk_file: a TOML file that replaces risk points.
        revision: use the policies of this revision instead of those in force; 0 for those.
        overlay: candidates that are laid over them; None for none.

    Raises:
        ConfigError: the database cannot be used.
        InvalidArgument: the store has no such revision, or the overlay has faults.
        InvalidPattern: a pattern is not RE2.
        StoreUnavailable: the database cannot be read now.
    """
    risk = load_risk_table(risk_file)
    store = open_policies(database_url)
    try:
        platform = create_publisher(store, risk).platform
        with store.view() as reader:
            before = compile_snapshot(reader, tenant_id, platform, None)
            after = snapshot_at(reader, platform, tenant_id, revision) if revision else before
    finally:
        store.close()
    return ReplayPolicies(before, after if overlay is None else with_candidates(after, overlay))
