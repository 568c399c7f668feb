"""Fuzz tests of input files: policy files, patterns, backups."""

from __future__ import annotations

import json
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pdp.backup.archive import MAGIC, unpack
from pdp.domain.customer_policy import KIND as CUSTOMER
from pdp.domain.static_policy import KIND as STATIC
from pdp.engine.text.patterns import MAX_PATTERN_LENGTH, CompiledPattern
from pdp.errors import InvalidArgument, InvalidPattern
from pdp.policy_files.document import dump, load
from pdp.policy_files.state import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=12,
)
WORDS = r"a . * + ? {2,9} ( ) [ ] | \b \d (?i) (?= \1 (?P<v> é \x{10FFFF} [^a-z] {1000} \pL ^ $"
PARTS = st.sampled_from([*WORDS.split(), r"\Q", r"\C", r"\\C", r"\E", "\0", " "])


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(InvalidArgument):
        load(raw)


@given(st.dictionaries(st.sampled_from(KINDS) | st.text(max_size=9), VALUES, max_size=3))
def test_any_document_is_read_or_refused(policies: dict[str, Any]) -> None:
    document = {"format": "pdp-policies/1", "tenant": "t", "policies": policies}
    with suppress(InvalidArgument):
        load(yaml.safe_dump(document, allow_unicode=True).encode())


@given(st.sampled_from(KINDS), st.dictionaries(st.text(max_size=12), VALUES, max_size=4))
def test_any_body_is_read_or_refused(kind: str, body: dict[str, Any]) -> None:
    document = {"format": "pdp-policies/1", "tenant": "t", "policies": {kind: {"x": body}}}
    with suppress(InvalidArgument):
        load(json.dumps(document).encode())


@given(st.lists(PARTS, max_size=40).map("".join))
def test_any_pattern_compiles_or_is_refused(source: str) -> None:
    try:
        compiled = CompiledPattern(source)
    except InvalidPattern:
        return
    assert len(source) <= MAX_PATTERN_LENGTH
    text = "a é 12 [x]"
    for start, end in compiled.spans(text, text.encode()):
        assert 0 <= start <= end <= len(text)


@given(name=st.text(min_size=1, max_size=30), pattern=st.lists(PARTS, max_size=9).map("".join))
@example(name="0\x85", pattern="a")
@example(name="a\u2028b\x85 c\u2029", pattern="a")
def test_a_dumped_file_is_read_unchanged(name: str, pattern: str) -> None:
    body = {"id": "p", "name": name, "category": "custom", "pattern": pattern, "action": "log"}
    text = dump({STATIC: {"p": body}, CUSTOMER: {}}, "t", 7)
    with suppress(InvalidArgument):
        assert load(text.encode()) == ("t", {STATIC: {"p": body}})


@given(raw=st.binary(max_size=200), manifest=VALUES)
def test_any_backup_is_unpacked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, manifest: Any
) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "fuzz.backup"
    for contents in (raw, MAGIC + raw, MAGIC + json.dumps(manifest).encode() + b"\n" + raw):
        file.write_bytes(contents)
        for passphrase in (None, b"correct horse battery"):
            with suppress(InvalidArgument):
                unpack(file, BytesIO(), passphrase)
