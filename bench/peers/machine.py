"""What the machine is, and how busy it is."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path
from typing import Final

BUSY_SHARE: Final = 0.1
"""If others use more of the machine than this before a run, its report says so."""


def description() -> dict[str, str]:
    """Returns what a reader needs to judge the figures; no paths and no host names."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.MULTILINE)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))
    return {
        "CPU": model[1].strip() if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def busy_share(seconds: float = 3.0) -> float:
    """Returns the share of the machine's time that is in use now, from 0 to 1."""
    used, total = _times()
    time.sleep(seconds)
    used_later, total_later = _times()
    return (used_later - used) / max(1, total_later - total)


def _times() -> tuple[int, int]:
    line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system, idle, waiting, *others = (int(each) for each in line.split()[1:9])
    used = user + nice + system + sum(others)
    return used, used + idle + waiting
