"""`python -m bench.growth`: measures how cost grows, and prints each point of the curves."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.growth import CURVES


def main() -> None:
    """Measures the curves that are named, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CURVES)}")
    parser.add_argument("--most", type=int, default=0, help="the largest x; 0 for that of a curve")
    parser.add_argument("--json", type=Path, help="file for a list of rows: curve, x, y, unit")
    options = parser.parse_args()
    if unknown := set(options.names) - CURVES.keys():
        parser.error(f"no such curves: {', '.join(sorted(unknown))}")
    rows = []
    for name in options.names or CURVES:
        for row in CURVES[name](options.most):
            print(f"{row.curve:44}{row.x:>12,.0f}{row.y:>14,.3f} {row.unit}", flush=True)
            rows.append(row._asdict())
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
