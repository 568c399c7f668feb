"""Runs `pdp serve`: settings, logs, the event loop, one process or several."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.output.structlog_without_rich import structlog  # isort: skip - first: see there
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import print_error
from pdp.cli.output.banner import announce
from pdp.config import Settings, check_auth, load
from pdp.errors import ConfigError, StoreUnavailable
from pdp.server.supervisor import supervise
from pdp.server.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path


_OF_CLIENTS: Final = {
    "PDP_API_KEY",
    "PDP_SERVER",
    "PDP_TLS",
    "PDP_TLS_CA_FILE",
    "PDP_TLS_CLIENT_CERT_FILE",
    "PDP_TLS_CLIENT_KEY_FILE",
    "PDP_TLS_SERVER_NAME",
    "PDP_TOKEN",
}
"""Variables of commands that ask a server; in a container they are there for its health check."""

_NEAR: Final = 0.85
"""How alike two names are that are taken for one misspelt."""


def run_server(flags: Mapping[str, Any], file: Path | None) -> None:
    """Serves until a signal ends it, then exits with one of the codes that --help lists.

    Args:
        flags: settings from the command line, by name; None for options that are not given.
        file: the TOML file of settings.
    """
    try:
        code = _serve(load(dict(flags), file))
    except (ConfigError, StoreUnavailable) as error:
        print_error(error.message)
        code = Exit.CONFIG
    except KeyboardInterrupt:  # before the event loop handles signals
        code = 128 + signal.SIGINT
    sys.exit(code)


def _serve(settings: Settings) -> int:
    from pdp.logs import logging_to_stderr  # noqa: PLC0415 - only with valid settings

    worker = Worker.of_environment()
    if worker is None:
        check_auth(settings)
    _allow_many_connections()
    with logging_to_stderr(settings.log_level):
        if worker is None:
            _warn_of_misspelt_variables()
        if worker is not None:
            _run(_work(settings, worker))
        elif settings.workers > 1:
            return supervise(settings, lambda up: announce(settings, up))
        else:
            _run(_serve_alone(settings))
    return Exit.OK


def _allow_many_connections() -> None:
    """Raises the limit of open files to the maximum: each connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _warn_of_misspelt_variables() -> None:
    """A variable that is almost a setting is one that its owner believes to be in force.

    Others are left alone: orchestrators make up `PDP_…` names for a service called pdp.
    """
    known = {f"PDP_{name.upper()}" for name in Settings.model_fields} | _OF_CLIENTS
    for name in sorted(name for name in os.environ if name.startswith("PDP_")):
        near = get_close_matches(name, known, n=1, cutoff=_NEAR)
        if name not in known and near:
            structlog.get_logger("pdp.serve").warning(
                "this variable is no setting", variable=name, did_you_mean=near[0]
            )


async def _serve_alone(settings: Settings) -> None:
    from pdp.server.app import serve  # noqa: PLC0415 - a supervisor does not need it

    await serve(settings, lambda up: announce(settings, asdict(up)))


async def _work(settings: Settings, worker: Worker) -> None:
    from pdp.server.app import serve  # noqa: PLC0415 - as above

    stop = asyncio.Event()
    await worker.open(stop)
    await serve(settings, lambda up: worker.announce(asdict(up)), stop, worker)


def _run(main: Coroutine[Any, Any, None]) -> None:
    # Otherwise gRPC prints its own message, next to ours, if a port is in use.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)
