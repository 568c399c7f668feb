"""Measures exports and replays of many records: `make bench-replay`.

Each command runs in a process of its own, as people run it. Its processor time is that of all its
processes, so other programs on the machine change it little. Two sizes of log give the fixed cost
of a command and the cost of a record; the cost of larger logs follows from these on paper.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from itertools import product
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from pdp.bootstrap.recording import RecordingOptions
from pdp.cli.request import to_message
from pdp.client.local import LocalClient
from pdp.domain.request import Subject
from pdp.embedded import Engine

WORDS_PER_TEXT: Final = 30
SAMPLE_S: Final = 0.1
TEXTS: Final = (
    "Write a summary of the meeting of the sales team on Tuesday, order {n}.",
    "our RIVAL is cheaper, see offer {n}",
    "my card: 4111111111111111, order {n}",
    "SELECT name FROM users WHERE id = {n} UNION SELECT password FROM users",
    "Translate the following paragraph to French. It is about the weather in {n} cities.",
)
OVERLAY: Final = {
    "static_policies": [
        {"name": "No rivals", "category": "custom", "pattern": "(?i)rival", "action": "block"}
    ]
}
_SYLLABLES: Final = ("ba", "ko", "li", "mer", "nu", "po", "ra", "sen", "ti", "vo")
_WORDS: Final = ["".join(each) for each in product(_SYLLABLES, repeat=3)]
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a command took.

    Attributes:
        elapsed: in seconds.
        cpu: processor time of all its processes, in seconds.
        peak: the memory of its largest Python process, in MB.
    """

    elapsed: float
    cpu: float
    peak: float


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--no-spark", action="store_true")
    options = parser.parse_args()
    small = options.records // 10
    with TemporaryDirectory() as directory:
        costs = {
            size: measure(Path(directory) / str(size), size, spark=not options.no_spark)
            for size in (small, options.records)
        }
    times = f"{'s elapsed':>12}{'s CPU':>9}{'fixed s':>9}"
    print(f"{'':28}{times}{'peak MB':>9}{'records/s per core':>20}")
    for name, cost in costs[options.records].items():
        per_record = (cost.cpu - costs[small][name].cpu) / (options.records - small)
        fixed = cost.cpu - per_record * options.records
        times = f"{cost.elapsed:12.1f}{cost.cpu:9.1f}{max(fixed, 0):9.1f}{cost.peak:9.0f}"
        print(f"{name:28}{times}{1 / per_record:20.0f}")


def measure(home: Path, records: int, *, spark: bool) -> dict[str, Cost]:
    """Returns the cost of each command on a log with so many records."""
    home.mkdir()
    fill(home, records)
    cores = len(os.sched_getaffinity(0))
    replay = ("replay", "--records", "out", "--overlay", "overlay.json", "--tenant", "acme")
    commands = {
        "export": ("audit", "export", "--format", "parquet", "--output", "out"),
        "verify": ("audit", "verify", "--records", "out"),
        "replay, 1 process": (*replay, "--workers", "1"),
        f"replay, {cores} processes": (*replay, "--results", "local"),
    }
    if spark:
        master = f"local[{cores}]"
        commands[f"replay, Spark {master}"] = (
            *replay, "--results", "spark", "--engine", "spark", "--spark-master", master,
        )  # fmt: skip
    costs = {name: run(home, arguments) for name, arguments in commands.items()}
    size = sum(path.stat().st_size for path in (home / "out").rglob("*.parquet"))
    log = (home / "audit.db").stat().st_size
    sizes = f"{log / records:.0f} bytes each in the log, {size / records:.0f} in files"
    print(f"{records} records: {sizes}", flush=True)
    return costs


def fill(home: Path, records: int) -> None:
    """Makes a database and a log with so many records."""
    url = f"sqlite:///{home}/pdp.db"
    (home / "overlay.json").write_text(json.dumps(OVERLAY))
    with LocalClient(url) as client:
        message = to_message("UpdateOrgPolicy", {"logging_level": "full"})
        client.call("UpdateOrgPolicy", message, "acme")
    recording = RecordingOptions(f"sqlite:///{home}/audit.db", durable=False, bound=records)
    words = Random(records)  # noqa: S311 - the same texts in every run
    with Engine.open(url, records=recording) as engine:
        for number in range(records):
            prose = " ".join(words.choices(_WORDS, k=WORDS_PER_TEXT))
            text = f"{TEXTS[number % len(TEXTS)].format(n=number)} {prose}"
            engine.decide(text=text, tenant_id="acme", subject=Subject(f"u{number % 500}"))


def run(home: Path, arguments: tuple[str, ...]) -> Cost:
    """Runs a command, and returns the cost of all its processes."""
    environment = {**os.environ, "PDP_DATABASE_URL": f"sqlite:///{home}/pdp.db"}
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "pdp", *arguments],
        cwd=home,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        watch = _Watch(process.pid)
        watch.start()
        _, error = process.communicate()
        elapsed = time.perf_counter() - start
        watch.stop()
    if process.returncode not in {0, 1}:
        raise SystemExit(f"{arguments}: {error.decode()}")
    return Cost(elapsed, watch.cpu, watch.peak)


class _Watch(threading.Thread):
    """Watches all processes of a session, as long as they run."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self._session = session
        self._ended = threading.Event()
        self._seen: dict[int, float] = {}
        self.peak = 0.0

    @property
    def cpu(self) -> float:
        """The processor time, in seconds."""
        return sum(self._seen.values())

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            for path in Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = path.read_text().rpartition(")")[2].split()
                except OSError:
                    continue  # the process has ended
                if int(fields[3]) == self._session:
                    seconds = (int(fields[11]) + int(fields[12])) / _TICKS
                    self._seen[int(path.parent.name)] = seconds
                    self.peak = max(self.peak, _peak(path.parent))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _peak(process: Path) -> float:
    """Returns the most memory of a process, in MB; 0 for the JVM and for a process that ended."""
    try:
        if (process / "comm").read_text().strip() == "java":
            return 0.0
        [line] = [each for each in (process / "status").read_text().splitlines() if "VmHWM" in each]
    except (OSError, ValueError):
        return 0.0
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
