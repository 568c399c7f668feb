"""What any process needs before it can decide: a store, a risk table and the platform compiled.

The server, the in-process engine and the command line begin here.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pdp import catalog
from pdp.admin.install import install_catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain.kinds import PolicySet
from pdp.domain.risk import DEFAULT_RISK_TABLE, RiskTable
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform
from pdp.errors import ConfigError
from pdp.publisher import Publisher
from pdp.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.store.port import Store


def open_store(url: str) -> SqliteStore:
    """Opens the database, makes it where it is not there, and installs the catalog.

    Args:
        url: `sqlite:///PATH`.

    Raises:
        ConfigError: the database cannot be used.
        StoreUnavailable: it cannot be read or written now.

    """
    store = SqliteStore.open(url)
    try:
        install_catalog(store)
    except BaseException:
        store.close()
        raise
    return store


def first_publisher(store: Store, risk: RiskTable) -> Publisher:
    """Returns a publisher with the platform compiled; tenants are compiled at their first use."""
    with store.read() as reader:
        revision = reader.revision()
        policies = PolicySet.of(reader.list_tenant(PLATFORM))
        platform = compile_platform(policies, VALIDATORS, risk, detectors=catalog.detectors())
        changed = dict.fromkeys(reader.tenants() - {PLATFORM}, 0)
    return Publisher(platform, revision, changed)


def risk_table(file: Path | None) -> RiskTable:
    """Returns the risk table, with what `file` (TOML) sets in place of the defaults.

    Raises:
        ConfigError: the file cannot be read, or sets what is not in the table.

    """
    if file is None:
        return DEFAULT_RISK_TABLE
    try:
        given: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the risk file {file} cannot be read: {error}") from None
    known = {field.name for field in fields(RiskTable)} - {"bands"}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ConfigError(f"the risk file {file} sets {unknown[0]}; it may set {sorted(known)}")
    severity = {**DEFAULT_RISK_TABLE.severity, **given.pop("severity", {})}
    dlp = {**DEFAULT_RISK_TABLE.dlp, **given.pop("dlp", {})}
    table = replace(DEFAULT_RISK_TABLE, severity=severity, dlp=dlp, **given)
    points = [*severity.values(), *dlp.values(), *given.values()]
    if any(not isinstance(each, int) or not 0 <= each <= 100 for each in points):  # noqa: PLR2004
        raise ConfigError(f"the risk file {file}: points are whole numbers from 0 to 100")
    return table
