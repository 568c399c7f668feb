"""Adds the contracts and their imports to the package, as `pdp_client/protos`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGED: Final = "pdp_client/protos"


class ProtosHook(BuildHookInterface[Any]):
    """Adds the tree that `make protos` writes."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the tree, if the build is not editable.

        A source distribution already holds it.

        Raises:
            FileNotFoundError: the tree is missing or differs from the contracts.
        """
        if version == "editable" or Path(self.root, PACKAGED).is_dir():
            return
        repository = Path(self.root).parents[1]
        tree = repository / "dist/protos"
        if _is_stale(tree, repository / "proto"):
            raise FileNotFoundError(
                f"{tree} is missing or stale: run 'make protos' in the root of the repository, "
                "then build the package again. To use the client without a build, set "
                "PYTHONPATH=clients/python."
            )
        build_data["force_include"][str(tree)] = PACKAGED


def _is_stale(tree: Path, contracts: Path) -> bool:
    for path in contracts.glob("pdp/**/*.proto"):
        copy = tree / path.relative_to(contracts)
        if not copy.is_file() or copy.read_bytes() != path.read_bytes():
            return True
    return False
