"""A server loads the tenants that were used most recently when it starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import structlog.testing

from pdp.errors import StoreUnavailable
from pdp.server import recent_tenants
from pdp.server.recent_tenants import FILE_NAME, RecentTenants
from tests.support.nodes import DRAFT, Policies, node, node_class, other

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.engine.snapshot import Snapshot

__all__ = ["node", "node_class", "other"]

TENANTS = ("first", "second", "third")


def recent(of: Policies, directory: Path, count: int = 10) -> RecentTenants:
    return RecentTenants(of.publisher, of.workspace, directory, count)


async def fill(node: Policies) -> None:
    for tenant_id in TENANTS:
        await node.policies.create(tenant_id, "me", DRAFT)
    for tenant_id in reversed(TENANTS):
        node.publisher.current(tenant_id)
    node.publisher.current("made-up")


@pytest.mark.parametrize("count", [1, 2, 10])
async def test_the_most_recently_used_tenants_are_loaded(
    node: Policies, path: Path, tmp_path: Path, count: int
) -> None:
    await fill(node)
    recent(node, tmp_path, count).write()
    late = Policies(path)
    await recent(late, tmp_path, count).load()
    assert late.publisher.cache.recent(10) == list(TENANTS[:count])
    assert all(late.publisher.current(each) for each in TENANTS[:count])
    late.close()


async def test_only_its_owner_can_read_the_file(node: Policies, tmp_path: Path) -> None:
    await fill(node)
    recent(node, tmp_path / "new").write()
    (file,) = (tmp_path / "new").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text(encoding="utf-8")) == list(TENANTS)


async def test_nothing_is_written_if_nothing_has_changed(node: Policies, tmp_path: Path) -> None:
    written = recent(node, tmp_path)
    written.write()
    assert not (tmp_path / FILE_NAME).exists()
    await fill(node)
    written.write()
    (tmp_path / FILE_NAME).unlink()
    written.write()
    assert not (tmp_path / FILE_NAME).exists()
    node.publisher.current("third")
    written.write()
    assert (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("content", ["", "{", "{}", '[1, null, "unknown", {}]', "[" * 100_000])
async def test_a_file_that_cannot_be_used_loads_nothing(
    node: Policies, tmp_path: Path, content: str
) -> None:
    (tmp_path / FILE_NAME).write_text(content, encoding="utf-8")
    await recent(node, tmp_path).load()
    assert len(node.publisher.cache) == 0


async def test_a_file_that_is_too_large_is_not_read(
    node: Policies, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(node)
    recent(node, tmp_path).write()
    size = (tmp_path / FILE_NAME).stat().st_size
    for limit, loaded in ((size - 1, 0), (size, len(TENANTS))):
        monkeypatch.setattr(recent_tenants, "MAX_FILE_BYTES", limit)
        late = Policies(path)
        await recent(late, tmp_path).load()
        assert len(late.publisher.cache) == loaded
        late.close()


async def test_a_tenant_that_cannot_be_loaded_does_not_stop_the_others(
    node: Policies, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(node)
    recent(node, tmp_path).write()
    late = Policies(path)
    load = late.workspace.load

    async def failing(tenant_id: str) -> Snapshot:
        if tenant_id == "second":
            raise StoreUnavailable("gone")
        return await load(tenant_id)

    monkeypatch.setattr(late.workspace, "load", failing)
    with structlog.testing.capture_logs() as logs:
        await recent(late, tmp_path).load()
    assert late.publisher.cache.recent(10) == ["first", "third"]
    assert [each["log_level"] for each in logs] == ["warning", "info"]
    late.close()


async def test_nothing_is_loaded_or_written_without_the_setting(
    node: Policies, tmp_path: Path
) -> None:
    await fill(node)
    none = recent(node, tmp_path, 0)
    await none.run()
    none.write()
    assert recent(node, tmp_path)._read() == []


async def test_a_directory_that_cannot_be_written_is_logged(node: Policies, tmp_path: Path) -> None:
    await fill(node)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with structlog.testing.capture_logs() as logs:
        recent(node, tmp_path / "file").write()
    assert [each["log_level"] for each in logs] == ["warning"]
