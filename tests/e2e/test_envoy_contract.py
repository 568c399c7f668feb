"""Our messages of Envoy's contracts are those of Envoy: names, numbers and types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

import pytest

from demo.programs import Unavailable, xds_protos
from pdp.adapters.envoy.contract import (
    CheckRequest,
    CheckResponse,
    ProcessingRequest,
    ProcessingResponse,
)
from tests.support.program_environments import unavailable

ROOTS: Final = {
    "envoy.service.auth.v3.CheckRequest": CheckRequest,
    "envoy.service.auth.v3.CheckResponse": CheckResponse,
    "envoy.service.ext_proc.v3.ProcessingRequest": ProcessingRequest,
    "envoy.service.ext_proc.v3.ProcessingResponse": ProcessingResponse,
}

PROGRAM: Final = """
import json
from envoy.service.auth.v3 import external_auth_pb2 as auth
from envoy.service.ext_proc.v3 import external_processor_pb2 as proc
found = {}
def walk(d, depth=0):
    if d.full_name in found or depth > 6: return
    found[d.full_name] = {
        f.name: [f.number, f.type, f.is_repeated, f.message_type.full_name if f.message_type else
                 "", f.containing_oneof.name if f.containing_oneof else ""]
        for f in d.fields}
    for f in d.fields:
        if f.message_type: walk(f.message_type, depth + 1)
for m in (auth.CheckRequest, auth.CheckResponse, proc.ProcessingRequest, proc.ProcessingResponse):
    walk(m.DESCRIPTOR)
print(json.dumps(found))
"""
"""Runs where the stubs of Envoy are; here they would replace files of other packages."""

ENUM: Final = 14
INT32: Final = 5


@pytest.fixture(scope="module")
def theirs() -> dict[str, dict[str, Any]]:
    """The fields of all messages of Envoy that those of `ROOTS` have, by message."""
    try:
        folder = xds_protos()
    except Unavailable as error:
        unavailable(f"xds-protos cannot be installed: {error}")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.programs
@pytest.mark.parametrize("name", ROOTS)
def test_every_field_is_one_of_envoys(name: str, theirs: dict[str, dict[str, Any]]) -> None:
    compared = compare(ROOTS[name].DESCRIPTOR, name, theirs, set())
    assert compared > 10


def compare(ours: Any, name: str, theirs: dict[str, dict[str, Any]], seen: set[str]) -> int:
    """Compares a message with Envoy's, and those in it; returns how many fields it has compared."""
    if name in seen:
        return 0
    seen.add(name)
    compared = 0
    for field in ours.fields:
        number, kind, is_repeated, message, oneof = theirs[name][field.name]
        place = f"{name}.{field.name}"
        assert field.number == number, place
        assert field.type in {kind, INT32 if kind == ENUM else kind}, place
        assert field.is_repeated == is_repeated, place
        assert bool(field.containing_oneof) == bool(oneof), place
        compared += 1
        if field.message_type is not None and not message.startswith("google.protobuf."):
            compared += compare(field.message_type, message, theirs, seen)
    return compared
