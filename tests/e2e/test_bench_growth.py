"""The curves of `make bench-growth`, at very small sizes, and the page that shows them."""

from __future__ import annotations

import json
import math
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from bench.growth import CURVES, isolated, report
from bench.growth.__main__ import main
from bench.growth.row import Row

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"admin": 10, "texts": 100, "rules": 10, "tenants": 2, "workers": 20, "records": 300}
"""The largest x of each group here; 2 for a group that is not named."""

MAX_POINTS = 5


@pytest.mark.parametrize("name", CURVES)
def test_each_group_has_points_up_to_the_size_that_is_asked_for(name: str) -> None:
    most = SMALL.get(name, 2)
    # The first points of a group are enough: latencies beside writes depend on the machine.
    rows = list(islice(CURVES[name](most), MAX_POINTS))
    assert rows
    assert max(row.x for row in rows) <= max(most, 2)
    assert all(math.isfinite(row.y) and row.y >= 0 for row in rows)
    assert all(row.curve and row.unit for row in rows)
    assert len({(row.curve, row.x) for row in rows}) == len(rows)


def test_the_command_writes_what_it_has_measured(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    main(["texts", "--most", "100", "--no-page", "--out", str(tmp_path), "--json", str(file)])
    rows = json.loads(file.read_text())
    assert {row["curve"] for row in rows} >= {"Decide, plain text", "Decide, dense text"}
    assert not (tmp_path / report.PAGE).exists()


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["no-such-group", "--no-page"])


def test_the_page_has_a_plot_and_a_table_for_each_unit() -> None:
    rows = [
        Row("Decide, plain text", 100, 5.0, "µs CPU"),
        Row("Decide, plain text", 1_000, 12.0, "µs CPU"),
        Row("memory of a decision, plain text", 100, 0.5, "MB"),
    ]
    page = report.page(_results(texts=[row._asdict() for row in rows]))
    assert "## Texts" in page
    assert "![texts: µs CPU](plots/growth-texts-1.svg)" in page
    assert "![texts: MB](plots/growth-texts-2.svg)" in page
    assert "| µs CPU | 100 | 1,000 |" in page
    assert "| Decide, plain text | 5.00 | 12.0 |" in page
    assert "## Rules" not in page


def test_many_curves_of_a_unit_are_divided_over_plots() -> None:
    rows = [Row(f"curve {number}", 1, 1.0, "ms CPU")._asdict() for number in range(7)]
    found = list(report.plots("rules", rows))
    assert [len(curves) for _, _, curves in found] == [6, 1]
    assert len({file for file, _, _ in found}) == 2


@pytest.mark.parametrize(
    ("first", "last", "sizes"),
    [
        (10, 10, [10]),
        (10, 19, [19]),
        (10, 20, [10, 20]),
        (10, 199, [10, 199]),
        (10, 200, [10, 100, 200]),
    ],
)
def test_steps_end_at_the_last_size(first: int, last: int, sizes: list[int]) -> None:
    assert list(isolated.steps(first, last)) == sizes


def test_an_error_in_a_process_of_its_own_is_reported() -> None:
    with pytest.raises(RuntimeError, match="ended with 1"):
        list(isolated.run(_fail))


def _fail() -> list[Row]:
    raise ValueError


def _results(**groups: Any) -> dict[str, Any]:
    return {
        "busy_share": 0.0,
        "busy_share_after": 0.0,
        "machine": {"cores": "2"},
        "plan": {"sizes": "all"},
        "groups": groups,
    }
