"""What any process needs before it can decide: a store, a risk table and the platform compiled.

The server, the in-process engine and the command line begin here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from pdp import catalog
from pdp.admin.install.catalog import install_catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain.kinds import read_policies
from pdp.domain.risk import DEFAULT_RISK_TABLE, RiskTable
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform
from pdp.errors import ConfigError
from pdp.publisher import Publisher
from pdp.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.store.port import Store

MAX_POINTS: Final = 100
"""What anything may add to a risk."""


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
        policies = read_policies(reader.list_tenant(PLATFORM))
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
    except OSError as error:
        raise ConfigError(f"PDP_RISK_FILE: {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"PDP_RISK_FILE: {file} cannot be read: {error}") from None
    known = {each.name: getattr(DEFAULT_RISK_TABLE, each.name) for each in fields(RiskTable)}
    del known["bands"]
    return replace(DEFAULT_RISK_TABLE, **_laid_over(known, given, f"PDP_RISK_FILE: {file}"))


def _laid_over(known: Mapping[str, Any], given: Any, place: str) -> dict[str, Any]:
    """Returns points, and tables of them, with those that are given in place of those known."""
    if not isinstance(given, dict):
        raise ConfigError(f"{place} must be a table")
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ConfigError(f"{place} sets {unknown[0]}; it may set {', '.join(sorted(known))}")
    table = dict(known)
    for name, value in given.items():
        if isinstance(known[name], Mapping):
            table[name] = _laid_over(known[name], value, f"{place}: {name}")
        elif type(value) is int and 0 <= value <= MAX_POINTS:
            table[name] = value
        else:
            raise ConfigError(f"{place}: {name} must be a whole number from 0 to {MAX_POINTS}")
    return table
