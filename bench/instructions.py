"""`python -m bench.instructions`: counts the instructions of fixed work and compares the counts.

Counts do not depend on the load of the machine, so that they can be compared in CI. The program
runs under callgrind, which counts the instructions of a simulated processor. Each work runs for N
and for 2N rounds; the difference is the count of N rounds without what happens once.

`instructions.json` has the counts that were recorded last, and the interpreter that they hold for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

RECORDED: Final = Path(__file__).with_name("instructions.json")
MARKS: Final = Path(__file__).with_name("callgrind_marks.c")

TOLERANCE: Final = 0.05
"""How much a count may rise. Two runs differ by less than 1 %."""

OTHER_TOLERANCE: Final = 0.40
"""The same with another interpreter or C library than those of the recorded counts."""

TIMEOUT_S: Final = 600

TUNABLES: Final = "glibc.cpu.hwcaps=-AVX_Usable,-AVX2_Usable,-AVX2,-AVX512F,-AVX512VL,-ERMS,-RTM"
"""Makes the C library use the same code for memory and strings on every processor."""

_TOTALS: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)
_PART: Final = re.compile(r"^desc: Trigger: Client Request: (\d+) (\d+)", re.MULTILINE)


class CountChange(NamedTuple):
    """A count beside the recorded one.

    Attributes:
        name: the work.
        recorded: the instructions of one round, as recorded; None if the work is new.
        counted: the instructions of one round now.
    """

    name: str
    recorded: int | None
    counted: int

    @property
    def change(self) -> float:
        """The change, as a share of the recorded count."""
        return self.counted / self.recorded - 1 if self.recorded else 0.0


def main() -> int:
    """Compares the counts with those recorded, or records them."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--record", action="store_true", help=f"write {RECORDED.name}")
    options = parser.parse_args()
    counts = count()
    if options.record:
        document = {"environment": environment(), "instructions": counts}
        RECORDED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"recorded {len(counts)} counts in {RECORDED}")
        return 0
    document = json.loads(RECORDED.read_text(encoding="utf-8"))
    report, failed = compare(document, counts, environment())
    print(report)
    return int(failed)


def compare(
    document: dict[str, Any], counts: dict[str, int], now: dict[str, str]
) -> tuple[str, bool]:
    """Returns a table of counts and whether one has risen too much.

    Args:
        document: what was recorded.
        counts: the instructions of one round of each work now.
        now: the environment of `counts`.
    """
    recorded: dict[str, int] = document["instructions"]
    same = document["environment"] == now
    tolerance = TOLERANCE if same else OTHER_TOLERANCE
    rows = [CountChange(name, recorded.get(name), counted) for name, counted in counts.items()]
    lines = [f"{'instructions of one round':44}{'recorded':>14}{'now':>14}{'change':>9}"]
    lines += [_row(row, tolerance) for row in rows]
    if not same:
        lines.append(f"recorded with {document['environment']}, counted with {now}:")
        lines.append(f"counts may rise by {tolerance:.0%}, not by {TOLERANCE:.0%}")
    missing = recorded.keys() - counts.keys()
    unknown = [row.name for row in rows if row.recorded is None]
    if missing or unknown:
        names = ", ".join(sorted({*missing, *unknown}))
        lines.append(f"recorded and counted work differ: {names}")
    worse = [row for row in rows if row.change > tolerance]
    failed = bool(worse or missing or unknown)
    if failed:
        lines.append("FAILED. If the rise is intended, record the counts: make record-instructions")
    elif any(row.change < -tolerance for row in rows):
        lines.append("Some work takes less. Record the counts: make record-instructions")
    return "\n".join(lines), failed


def _row(row: CountChange, tolerance: float) -> str:
    if row.recorded is None:
        return f"{row.name:44}{'':>14}{row.counted:>14,}{'new':>9}"
    mark = "  too many" if row.change > tolerance else ""
    return f"{row.name:44}{row.recorded:>14,}{row.counted:>14,}{row.change:>+9.1%}{mark}"


def environment() -> dict[str, str]:
    """Returns what counts depend on besides the code: the interpreter and the C library."""
    return {
        "python": f"{platform.python_version()}, {platform.python_compiler()}",
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
    }


def count() -> dict[str, int]:
    """Returns the instructions of one round of each work."""
    for program in ("valgrind", "cc"):
        if shutil.which(program) is None:
            raise SystemExit(
                f"{program} is missing: install it "
                "(on Debian, apt-get install valgrind gcc libc6-dev)"
            )
    # The names and rounds of the work are those of the counted program, which imports the engine.
    from bench.instruction_work import all_work  # noqa: PLC0415 - only if it can be counted

    with tempfile.TemporaryDirectory() as folder:
        parts = _run(Path(folder))
    return {
        work.name: round((parts[index, 2] - parts[index, 1]) / work.rounds)
        for index, work in enumerate(all_work())
    }


def _run(folder: Path) -> dict[tuple[int, int], int]:
    """Runs the work under callgrind; returns the instructions by work and factor."""
    marks = folder / "marks.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", marks, MARKS], check=True)
    command = [
        "valgrind",
        "--quiet",
        "--tool=callgrind",
        "--instr-atstart=no",
        f"--callgrind-out-file={folder}/out",
        sys.executable,
        "-m",
        "bench.instruction_work",
        str(marks),
    ]
    variables = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONHASHSEED": "0",
        "GLIBC_TUNABLES": TUNABLES,
    }
    done = subprocess.run(
        command, env=variables, timeout=TIMEOUT_S, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"the counted program failed:\n{done.stdout}{done.stderr}")
    parts: dict[tuple[int, int], int] = {}
    for path in folder.glob("out*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        part, totals = _PART.search(text), _TOTALS.search(text)
        if part and totals:
            parts[int(part[1]), int(part[2])] = int(totals[1])
    return parts


if __name__ == "__main__":
    sys.exit(main())
