"""`python -m bench.growth`: measures how cost grows, and writes docs/growth.md with its plots."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.growth import CURVES, QUICK, report
from bench.pages import quote
from bench.peers import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parent.parent.parent
QUICK_MOST: Final = 100


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the curves that are named, or all of them."""
    options = _options(arguments)
    results: dict[str, Any] = {
        "machine": machine.description(),
        "busy_share": round(machine.busy_share(), 3),
        "plan": {"sizes": "small ones only" if options.quick or options.most else "all"},
        "groups": {},
    }
    rows = []
    for name in options.names or CURVES:
        group = _measure(name, options)
        rows += group
        results["groups"][name] = group
    earlier = report.read(options.out).get("groups", {})
    results["groups"] = {**earlier, **results["groups"]}
    results["busy_share_after"] = round(machine.busy_share(), 3)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if not options.no_page:
        report.write(results, options.out)
        if options.out == ROOT / "docs" and (line := report.sentence(results)):
            quote(ROOT / "README.md", "growth", line)
        print(f"written: {options.out / report.PAGE}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CURVES)}")
    parser.add_argument("--most", type=int, default=0, help="the largest x; 0 for that of a curve")
    parser.add_argument("--quick", action="store_true", help="small sizes only, in three minutes")
    parser.add_argument("--json", type=Path, help="file for a list of rows: curve, x, y, unit")
    parser.add_argument("--no-page", action="store_true", help="write no page and no plots")
    parser.add_argument("--out", type=Path, help="the folder to write to")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - CURVES.keys():
        parser.error(f"no such curves: {', '.join(sorted(unknown))}")
    small = options.quick or options.most
    options.out = options.out or (ROOT / "build" / "growth" if small else ROOT / "docs")
    return options


def _measure(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    most = options.most or (QUICK.get(name, QUICK_MOST) if options.quick else 0)
    rows = []
    for row in CURVES[name](most):
        print(f"{row.curve:44}{row.x:>12,.0f}{row.y:>14,.3f} {row.unit}", flush=True)
        rows.append(row._asdict())
    return rows


if __name__ == "__main__":
    main()
