"""An older release leaves the catalog of a newer one alone, if both are of one minor release."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pdp import catalog
from pdp.admin.install import catalog as installation
from pdp.admin.install.release import is_newer
from pdp.domain.static_policy import KIND
from pdp.domain.tenant import PLATFORM
from pdp.store import open_store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("other", "own", "newer"),
    [
        ("0.1.2", "0.1.1", True),
        ("0.1.10", "0.1.9", True),
        ("0.1.1", "0.1.1", False),
        ("0.1.0", "0.1.1", False),
        ("0.2.0", "0.1.9", False),
        ("1.1.2", "0.1.1", False),
        ("", "0.1.1", False),
        ("0.1.2", "", False),
        ("0.1.2rc1", "0.1.1", False),
    ],
)
def test_newer_is_compared_within_a_minor_release(other: str, own: str, newer: bool) -> None:
    assert is_newer(other, own) is newer


@pytest.mark.parametrize(
    ("second", "stays"), [("0.1.1", True), ("0.1.3", False), ("0.2.0", False), ("0.0.9", False)]
)
def test_the_catalog_of_a_newer_release_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    second: str,
    stays: bool,
) -> None:
    shipped = catalog.static_policies()
    releases = {"0.1.2": shipped[:3], second: shipped[:2]}
    monkeypatch.setattr(installation, "PARTS", installation.PARTS[:1])
    with closing(open_store(f"sqlite:///{tmp_path}/pdp.db")) as store:
        for name, policies in releases.items():
            monkeypatch.setattr(installation, "release", lambda name=name: name)
            monkeypatch.setattr(catalog, "digest", lambda _part, name=name: f"of {name}")
            monkeypatch.setattr(catalog, "static_policies", lambda policies=policies: policies)
            installation.install_catalog(store)
        with store.view() as reader:
            assert reader.count(KIND, PLATFORM) == (3 if stays else 2)
