"""Opens the policies: the store with the catalog in it, the risk table and the compiled platform.

The server, the embedded engine and the command line start here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from pdp import catalog
from pdp.admin.install.catalog import install_catalog
from pdp.admin.install.keys import install_keys, read_keys
from pdp.detect.validators import VALIDATORS
from pdp.domain.kinds import read_policies
from pdp.domain.risk import DEFAULT_RISK_TABLE, RiskTable
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform
from pdp.errors import ConfigError
from pdp.publisher import DEFAULT_CACHE_MB, Publisher
from pdp.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.admin.saved_policies.policies import SavedStart
    from pdp.store.port import Store

MAX_POINTS: Final = 100
"""The most points that one factor may add to a risk score."""

_POSITION: Final = re.compile(r"line \d+, column \d+")


def open_policies(url: str) -> Store:
    """Opens the store of policies, and installs the catalog of this release and keys.

    Args:
        url: see `pdp.store.open_store`.

    Raises:
        ConfigError: the database cannot be used.
        StoreUnavailable: the database cannot be read or written now.

    """
    store = open_store(url)
    try:
        install_catalog(store)
        install_keys(store)
    except BaseException:
        store.close()
        raise
    return store


def create_publisher(
    store: Store, risk: RiskTable, cache_mb: float = DEFAULT_CACHE_MB
) -> Publisher:
    """Returns a publisher with the compiled platform. A tenant is compiled at its first use.

    Args:
        store: the store of policies.
        risk: the risk points.
        cache_mb: see `Publisher`.
    """
    with store.view() as reader:
        revision = reader.revision()
        policies = read_policies(reader.list_tenant(PLATFORM))
        platform = compile_platform(
            policies,
            VALIDATORS,
            risk,
            detectors=catalog.detectors(),
            keys=read_keys(reader),
        )
        changed = dict.fromkeys(reader.tenants() - {PLATFORM}, 0)
    return Publisher(platform, revision, changed, cache_mb)


def create_saved_publisher(
    start: SavedStart, risk: RiskTable, cache_mb: float = DEFAULT_CACHE_MB
) -> Publisher:
    """Returns a publisher with the platform of saved policies, for a store that is unavailable.

    Args:
        start: the saved policies.
        risk: the risk points.
        cache_mb: see `Publisher`.
    """
    platform = compile_platform(
        start.platform.policies,
        VALIDATORS,
        risk,
        detectors=catalog.detectors(),
        keys=start.platform.keys,
    )
    changed = dict.fromkeys(start.files, 0)
    return Publisher(platform, start.confirmation.revision, changed, cache_mb, from_files=True)


def load_risk_table(file: Path | None) -> RiskTable:
    """Returns the default risk table with the values in `file` (TOML) in place of its own.

    Raises:
        ConfigError: the file cannot be read, or sets an unknown or invalid value.

    """
    if file is None:
        return DEFAULT_RISK_TABLE
    try:
        values: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"PDP_RISK_FILE: {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        position = _POSITION.search(str(error))
        where = f" at {position.group()}" if position else ""
        raise ConfigError(
            f"PDP_RISK_FILE: {file} cannot be read: it is not valid TOML{where}"
        ) from None
    defaults = {each.name: getattr(DEFAULT_RISK_TABLE, each.name) for each in fields(RiskTable)}
    del defaults["bands"]
    return replace(DEFAULT_RISK_TABLE, **_override(defaults, values, f"PDP_RISK_FILE: {file}"))


def _override(defaults: Mapping[str, Any], values: Any, path: str) -> dict[str, Any]:
    """Returns `defaults`, a table of points and of such tables, with `values` in place of its own.

    Args:
        defaults: the table.
        values: the new values; untrusted.
        path: the position of the table in the file, for error messages.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must be a table")
    unknown = sorted(values.keys() - defaults.keys())
    if unknown:
        raise ConfigError(f"{path} sets {unknown[0]}; it may set {', '.join(sorted(defaults))}")
    table = dict(defaults)
    for name, value in values.items():
        if isinstance(defaults[name], Mapping):
            table[name] = _override(defaults[name], value, f"{path}: {name}")
        elif type(value) is int and 0 <= value <= MAX_POINTS:
            table[name] = value
        else:
            raise ConfigError(f"{path}: {name} must be a whole number from 0 to {MAX_POINTS}")
    return table
