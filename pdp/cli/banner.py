"""What the server says when it serves: lines for people on a terminal, else one line of JSON."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.config import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.config import Settings

DOCS_PATH: Final = "/docs"

_BEGIN: Final = time.monotonic()
_LOUD: Final = (
    "DEVELOPMENT MODE (PDP_AUTH=dev): everyone who can reach this address is an admin of every "
    "tenant, with any credential or none. Loopback only; not for real data."
)
_LOCKED: Final = (
    "NOBODY CAN CALL YET: credentials are required, and there are none. Make the first admin's "
    "key, which counts at once, by: "
    "pdp keys create --role admin --tenant '*' --database-url {url}"
)
_CLEAR: Final = (
    "credentials travel in the clear to {addresses}: set PDP_TLS_CERT_FILE and PDP_TLS_KEY_FILE, "
    "or let only a proxy that speaks TLS reach it"
)


def announce(settings: Settings, up: Mapping[str, Any]) -> None:
    """Says on stderr where the server serves, and loudly what must not be overlooked.

    It is no log entry and does not depend on the log level, but looks like one where stderr is no
    terminal: `{"event": "serving", …}`.

    Args:
        settings: what it serves with.
        up: the fields of `pdp.server.app.ServerInfo`.

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
    warnings = list(_warnings(settings, up))
    write = _drawn if sys.stderr.isatty() else _logged
    lines = write(facts, settings.auth, warnings)
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


def _logged(facts: Mapping[str, Any], auth: str, warnings: Sequence[str]) -> list[str]:
    stamp = {
        "logger": "pdp.serve",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    events: list[dict[str, Any]] = [{"event": each, "level": "warning"} for each in warnings]
    events.append({**facts, "auth": auth, "event": "serving", "level": "info"})
    return [json.dumps({**event, **stamp}) for event in events]


def _drawn(facts: Mapping[str, Any], _auth: str, warnings: Sequence[str]) -> list[str]:
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
    for each in warnings:
        lines += ["", f"{red}  !! {each}{plain}"]
    return [*lines, ""]


def _warnings(settings: Settings, up: Mapping[str, Any]) -> Iterator[str]:
    """Yields what must not be overlooked."""
    if settings.auth == "dev":
        yield _LOUD
        return
    if up["locked"]:
        yield _LOCKED.format(url=shlex.quote(settings.store_url))
    open_to = [
        address
        for address in (settings.grpc_listen, settings.http_listen)
        if settings.tls_cert_file is None and not is_loopback(address)
    ]
    if open_to:
        yield _CLEAR.format(addresses=" and ".join(open_to))


_COLOURS: Final = ("\x1b[1m", "\x1b[1;31m", "\x1b[0m")
