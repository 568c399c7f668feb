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
from pdp.engine.text.patterns import MAX_PATTERN_LENGTH, CompiledPattern
from pdp.errors import InvalidArgument, InvalidPattern
from pdp.policy_files.entries import read_entries
from pdp.policy_files.secrets import masked
from pdp.policy_files.shape import SECTIONS
from pdp.policy_files.text import format_text, read_text, write_text

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


def read(raw: bytes) -> None:
    """Reads a policy file as an import does."""
    read_entries(masked(read_text(raw).policies))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(InvalidArgument):
        read(raw)


@given(st.dictionaries(st.sampled_from([*SECTIONS]) | st.text(max_size=9), VALUES, max_size=3))
def test_any_document_is_read_or_refused(policies: dict[str, Any]) -> None:
    with suppress(InvalidArgument):
        read(yaml.safe_dump({"policies": policies}, allow_unicode=True).encode())


@given(st.sampled_from([*SECTIONS]), st.dictionaries(st.text(max_size=12), VALUES, max_size=4))
def test_any_entry_is_read_or_refused(section: str, entry: dict[str, Any]) -> None:
    with suppress(InvalidArgument):
        read(json.dumps({"policies": {section: [entry]}}).encode())


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
@example(name="a\n b", pattern="\n")
@example(name="a\n\n", pattern="# no comment")
def test_a_written_file_is_read_unchanged(name: str, pattern: str) -> None:
    policies = {"static_policies": [{"name": name, "pattern": pattern}]}
    text = write_text(policies, "t")
    assert read_text(text.encode()).policies == policies
    assert format_text(text.encode()) == text


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_any_value_survives_writing_and_formatting(value: Any) -> None:
    policies = {"customer_policies": [{"customer_id": "c", "policies": {"x": value}}]}
    raw = write_text(policies).encode()
    assert read_text(raw).policies == policies
    assert format_text(raw).encode() == raw


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
