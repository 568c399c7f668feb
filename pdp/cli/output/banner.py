"""What the server prints once it serves: lines for people on a terminal, else lines of JSON."""

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
from pdp.store.files import is_open_to_others
from pdp.store.opening import find_database_file, public_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.config import Settings

DOCS_PATH: Final = "/docs"
CONSOLE_PATH: Final = "/console/"

_BEGIN: Final = time.monotonic()
_LOUD: Final = (
    "DEVELOPMENT MODE (PDP_AUTH=dev): everyone who can reach this address is an admin of every "
    "tenant, with any credential or none. Use it on loopback only, and not with real data."
)
_LOCKED: Final = (
    "NO CALLER HAS ACCESS YET: credentials are required, and none exist. Create the first admin's "
    "key, which is valid at once, with: "
    "pdp keys create --role admin --tenant '*' --database-url {url}"
)
_LOCKED_FOLLOWER: Final = (
    "NO CALLER HAS ACCESS: credentials are required, and the API keys of the server that is "
    "followed are not sent to this one. Set PDP_AUTH=local-pep, or accept tokens or client "
    "certificates"
)
_CLEAR: Final = (
    "credentials are sent unencrypted to {addresses}: set PDP_TLS_CERT_FILE and PDP_TLS_KEY_FILE, "
    "or make the address reachable only for a proxy that terminates TLS"
)
_READABLE: Final = (
    "other users of this host may read the data directory {directory}: run "
    "chmod 700 {argument}, or use a directory that the server creates"
)


def announce(settings: Settings, up: Mapping[str, Any]) -> None:
    """Prints to stderr the addresses of the server, and warnings about its security.

    The output does not depend on the log level. If stderr is not a terminal, it has the form of log
    entries: `{"event": "serving", …}`.

    Args:
        settings: the settings of the server.
        up: the fields of `pdp.server.state.ServerInfo`.
    """
    http = up["http_address"]
    scheme = "http" if settings.tls_cert_file is None else "https"
    url = http if http.startswith("unix:") else f"{scheme}://{http}"
    facts = {
        "grpc": up["grpc_address"],
        "http": url,
        **_pages(settings, url),
        **_policies(settings, up),
        "workers": settings.workers,
        "tls": settings.tls_cert_file is not None,
        "seconds": round(process_age(), 2),
    }
    warnings = list(_warnings(settings, up))
    write = _drawn if sys.stderr.isatty() else _logged
    lines = write(facts, settings.auth, warnings)
    # One write: the thread that writes logs must not write between two lines.
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def _pages(settings: Settings, url: str) -> dict[str, str]:
    """Returns the addresses of the pages for people."""
    if url.startswith("unix:"):
        return {"docs": url}
    # A follower has no policies of its own to show.
    has_console = settings.console == "on" and not settings.follow
    return {
        "docs": url + DOCS_PATH,
        **({"console": url + CONSOLE_PATH} if has_console else {}),
    }


def _policies(settings: Settings, up: Mapping[str, Any]) -> dict[str, Any]:
    """Returns where the policies come from."""
    if settings.follow:
        return {"follows": settings.follow}
    return {
        "database": public_url(settings.store_url),
        "revision": up["revision"],
        "system_policies": up["system_policies"],
    }


def installed_version() -> str:
    """Returns the version of the installed package."""
    try:
        return version("pdp")
    except PackageNotFoundError:  # a checkout that is not installed
        return "unknown"


def process_age() -> float:
    """Returns the seconds since this process started; off Linux, since this module was imported."""
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
        f"{bold}pdp {installed_version()} is SERVING{plain}, {facts['seconds']} s after the start",
        f"  gRPC      {facts['grpc']}",
        f"  HTTP      {facts['http']}",
        f"  Docs      {facts['docs']}",
    ]
    if "console" in facts:
        lines.append(f"  Console   {facts['console']}")
    if "follows" in facts:
        lines.append(f"  Policies  those of {facts['follows']}")
    else:
        lines += [
            f"  Database  {facts['database']}, revision {facts['revision']}",
            f"  Policies  {facts['system_policies']} system policies",
        ]
    if facts["workers"] > 1:
        lines.append(f"  Workers   {facts['workers']}")
    for each in warnings:
        lines += ["", f"{red}  !! {each}{plain}"]
    return [*lines, ""]


def _warnings(settings: Settings, up: Mapping[str, Any]) -> Iterator[str]:
    """Yields the security warnings for the operator."""
    for directory in _data_directories(settings):
        if is_open_to_others(directory):
            yield _READABLE.format(directory=directory, argument=shlex.quote(str(directory)))
    if settings.auth == "dev":
        yield _LOUD
        return
    if up["locked"] and settings.follow:
        yield _LOCKED_FOLLOWER
    elif up["locked"]:
        yield _LOCKED.format(url=shlex.quote(public_url(settings.store_url)))
    open_to = [
        address
        for address in (settings.grpc_listen, settings.http_listen)
        if settings.tls_cert_file is None and not is_loopback(address)
    ]
    if open_to:
        yield _CLEAR.format(addresses=" and ".join(open_to))


def _data_directories(settings: Settings) -> list[Path]:
    """Returns the directory of the spool and that of the database, each once."""
    file = find_database_file(settings.store_url)
    directories = [settings.data_dir.absolute(), *([file.parent] if file else [])]
    return list(dict.fromkeys(directories))


_COLOURS: Final = ("\x1b[1m", "\x1b[1;31m", "\x1b[0m")
