"""Starts the programs that are measured, and reads what they use from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_TICKS: Final = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S: Final = 600
"""Some products take minutes to load 8,000 policies on one core of a busy machine."""


class Tree:
    """A process and all its descendants."""

    def __init__(self, pid: int) -> None:
        """Takes the id of the process at the top."""
        self.pid = pid

    def pids(self) -> list[int]:
        """Returns the ids of the processes that live now, the top one first."""
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and (fields := _stat(int(folder.name))):
                children.setdefault(int(fields[1]), []).append(int(folder.name))
        result = [self.pid]
        for pid in result:
            result.extend(children.get(pid, ()))
        return result

    def cpu_s(self) -> float:
        """Returns the CPU seconds so far: of all threads, and of children that have ended."""
        spent = 0
        for pid in self.pids():
            if fields := _stat(pid):
                spent += sum(int(each) for each in fields[11:15])
        return spent / _TICKS

    def memory_mib(self) -> float:
        """Returns the resident memory."""
        pages = 0
        for pid in self.pids():
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            except OSError:
                continue  # it has ended
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def pin(self, cores: set[int]) -> None:
        """Lets all threads run on these cores only."""
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cores)


def _stat(pid: int) -> list[str] | None:
    """Returns the fields of /proc/PID/stat after the name, which may have spaces."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


@contextmanager
def running(
    command: Sequence[str],
    is_ready: Callable[[], bool],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    core: int | None = None,
) -> Iterator[Tree]:
    """Runs a server until the block ends; enters the block when it is ready.

    Args:
        command: the program and its arguments.
        is_ready: returns whether the server answers; called until it does.
        log: the file that gets what the program prints.
        environment: variables in addition to those of this process.
        core: the only core that it may run on; None for all. It is set before the program starts,
            because Go counts its cores then.

    Raises:
        RuntimeError: the server has ended, or is not ready in time.
    """
    if core is not None:
        command = ("taskset", "-c", str(core), *command)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PDP_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
                raise RuntimeError(f"{command[0]} does not answer:\n" + "\n".join(lines[-10:]))
            time.sleep(0.05)
        yield Tree(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def command_output(*command: str) -> str:
    """Returns what a program prints; exits with its message if it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{' '.join(command)}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout.strip()
