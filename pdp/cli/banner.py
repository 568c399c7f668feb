"""What the server says when it serves: lines for people on a terminal, else one line of JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.config import Settings

DOCS_PATH: Final = "/docs"

_BEGIN: Final = time.monotonic()
_LOUD: Final = (
    "DEVELOPMENT MODE (PDP_AUTH=dev): everyone who can reach this address is an admin of every "
    "tenant, with any credential or none. Loopback only; not for real data."
)


def announce(settings: Settings, up: Mapping[str, Any]) -> None:
    """Says on stderr where the server serves, and loudly that development mode is on.

    It is no log entry and does not depend on the log level, but looks like one where stderr is no
    terminal: `{"event": "serving", …}`.

    Args:
        settings: what it serves with.
        up: the fields of `pdp.app.Running`.

    """
    http = up["http_address"]
    scheme = "http" if settings.tls_cert_file is None else "https"
    url = http if http.startswith("unix:") else f"{scheme}://{http}"
    facts = {
        "grpc": up["grpc_address"],
        "http": url,
        "docs": url if http.startswith("unix:") else url + DOCS_PATH,
        "database": settings.store_url,
        "revision": up["revision"],
        "system_policies": up["system_policies"],
        "workers": settings.workers,
        "tls": settings.tls_cert_file is not None,
        "seconds": round(process_age(), 2),
    }
    lines = _drawn(facts, settings.auth) if sys.stderr.isatty() else _logged(facts, settings.auth)
    # In one piece: the thread that writes logs would get in between a line and its end.
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def installed_version() -> str:
    """Returns the version of the installed package."""
    try:
        return version("pdp")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


def process_age() -> float:
    """Returns the seconds since this process was started; since this module was, off Linux."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, AttributeError):
        return time.monotonic() - _BEGIN


def _logged(facts: Mapping[str, Any], auth: str) -> list[str]:
    stamp = {
        "logger": "pdp.serve",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    events: list[dict[str, Any]] = [{**facts, "auth": auth, "event": "serving", "level": "info"}]
    if auth == "dev":
        events.insert(0, {"event": _LOUD, "level": "warning"})
    return [json.dumps({**event, **stamp}) for event in events]


def _drawn(facts: Mapping[str, Any], auth: str) -> list[str]:
    bold, red, plain = ("", "", "") if os.environ.get("NO_COLOR") else _COLOURS
    lines = [
        "",
        f"{bold}pdp {installed_version()} is SERVING{plain}, {facts['seconds']} s after its start",
        f"  gRPC      {facts['grpc']}",
        f"  HTTP      {facts['http']}",
        f"  Docs      {facts['docs']}",
        f"  Database  {facts['database']}, revision {facts['revision']}",
        f"  Policies  {facts['system_policies']} of the system's",
    ]
    if facts["workers"] > 1:
        lines.append(f"  Workers   {facts['workers']}")
    if auth == "dev":
        lines += ["", f"{red}  !! {_LOUD}{plain}"]
    return [*lines, ""]


_COLOURS: Final = ("\x1b[1m", "\x1b[1;31m", "\x1b[0m")
