"""`make lint` compares the contracts with `proto/baseline.binpb`, and fails if a change breaks."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]
BUF: Final = ROOT / ".ci/buf/node_modules/.bin/buf"
BASELINE: Final = ROOT / "proto/baseline.binpb"

pytestmark = pytest.mark.skipif(not BUF.exists(), reason="buf is not installed: run 'make lint'")


def breaking(change: Callable[[DescriptorProto], object], folder: Path) -> str:
    """Returns what buf reports if DecideRequest is changed."""
    contracts = FileDescriptorSet.FromString(BASELINE.read_bytes())
    file = next(each for each in contracts.file if each.name == "pdp/v1/decide.proto")
    change(next(each for each in file.message_type if each.name == "DecideRequest"))
    changed = folder / "changed.binpb"
    changed.write_bytes(contracts.SerializeToString())
    completed = subprocess.run(
        [BUF, "breaking", changed, "--against", BASELINE, "--config", ROOT / "buf.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    return completed.stdout + completed.stderr


def test_an_added_field_is_compatible(tmp_path: Path) -> None:
    new = {"name": "new", "number": 999, "type": "TYPE_BOOL", "label": "LABEL_OPTIONAL"}
    assert breaking(lambda message: message.field.add(**new), tmp_path) == ""


def test_a_removed_field_breaks(tmp_path: Path) -> None:
    report = breaking(lambda message: message.field.pop(0), tmp_path)
    assert 'field "1" with name "request_id" on message "DecideRequest" was deleted' in report


def test_a_renamed_field_breaks(tmp_path: Path) -> None:
    """JSON names the fields."""
    report = breaking(lambda message: setattr(message.field[0], "name", "id"), tmp_path)
    assert 'changed name from "request_id" to "id"' in report
