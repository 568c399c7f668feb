"""docs/parquet.md: its columns are those of the files, and its queries run on a real export."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from pdp.record_files.locations import open_files
from pdp.record_files.schema import RECORDS
from tests.support.doc_blocks import ROOT, blocks_of
from tests.support.record_files import export
from tests.support.recorded_databases import record_decisions

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "parquet.md"
NAMES = {
    pa.string(): "string",
    pa.int64(): "int64",
    pa.float64(): "double",
    pa.bool_(): "bool",
    pa.binary(32): "binary(32)",
    pa.timestamp("us", tz="UTC"): "timestamp(us, UTC)",
    pa.list_(pa.string()): "list(string)",
}


def test_the_page_has_all_columns_in_their_order() -> None:
    text = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    table = text[text.index("| column |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in table]
    documented = [(name, kind) for names, kind, _ in rows for name in re.findall(r"`(\w+)`", names)]
    assert documented == [(field.name, NAMES.get(field.type, "list(struct)")) for field in RECORDS]
    parts = {names.strip("`"): re.findall(r"`(\w+)`", text) for names, _, text in rows}
    for name in ("matches", "entities"):
        struct = RECORDS.field(name).type.value_type
        assert parts[name] == [struct.field(n).name for n in range(struct.num_fields)]


@pytest.mark.spark
def test_the_queries_run_on_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb  # noqa: PLC0415 - only this target has it

    record_decisions(tmp_path)
    export(tmp_path / "audit.db", open_files(f"{tmp_path}/records", "--output"), file_rows=20)
    monkeypatch.chdir(tmp_path)
    policies, users, hours = ([*_query(duckdb, sql)] for sql in blocks_of(PAGE, "sql"))
    [stopped] = policies
    assert (stopped["decisions"], stopped["users"]) == (10, 1)
    cards = [each for each in users if each["entity_type"] == "CREDIT_CARD"]
    assert [(each["user_id"], each["decisions"]) for each in cards] == [("ada", 10)]
    assert sum(each["decisions"] for each in hours) == 40
    assert all(each["p50_us"] <= each["p99_us"] for each in hours)


def _query(duckdb: Any, sql: str) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        cursor = connection.execute(sql)
        names = [each[0] for each in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
