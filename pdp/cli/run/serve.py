"""Runs `pdp serve`: reads the settings, starts the logs, then serves in one process or several."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pdp.cli.output.structlog_without_rich  # noqa: F401 # isort: skip - must be the first import
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import print_error
from pdp.cli.output.banner import announce
from pdp.config import check_auth, check_limits, load
from pdp.environment import check_variables
from pdp.errors import ConfigError, StoreUnavailable
from pdp.server import garbage
from pdp.server.supervisor import supervise
from pdp.server.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path

    from pdp.config import Settings


def run_server(flags: Mapping[str, Any], file: Path | None) -> None:
    """Serves until a signal ends the process, and exits with a code that --help lists.

    Args:
        flags: settings from the command line, by name; None for a flag that was not used.
        file: the TOML file of settings.
    """
    try:
        check_variables(os.environ)
        code = _serve(load(dict(flags), file))
    except (ConfigError, StoreUnavailable) as error:
        print_error(error.message)
        code = Exit.CONFIG
    except KeyboardInterrupt:  # before the event loop handles signals
        code = 128 + signal.SIGINT
    sys.exit(code)


def _serve(settings: Settings) -> int:
    from pdp.logs import logging_to_stderr  # noqa: PLC0415 - only if the settings are valid

    worker = Worker.from_environment()
    if worker is None:
        check_auth(settings)
        check_limits(settings)
    _allow_many_connections()
    with logging_to_stderr(settings.log_level):
        if worker is not None:
            _run(_work(settings, worker))
        elif settings.workers > 1:
            return supervise(settings, lambda up: announce(settings, up))
        else:
            _run(_serve_alone(settings))
    return Exit.OK


def _allow_many_connections() -> None:
    """Raises the limit of open files to the hard limit: each connection is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve_alone(settings: Settings) -> None:
    garbage.pause()
    from pdp.server.app import serve  # noqa: PLC0415 - the supervisor does not need it

    await serve(settings, lambda up: announce(settings, asdict(up)))


async def _work(settings: Settings, worker: Worker) -> None:
    garbage.pause()
    from pdp.server.app import serve  # noqa: PLC0415 - as above

    stop = asyncio.Event()
    await worker.open(stop)
    await serve(settings, lambda up: worker.announce(asdict(up)), stop, worker)


def _run(main: Coroutine[Any, Any, None]) -> None:
    # Without this, gRPC adds its own message to ours if a port is in use.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import uvloop  # noqa: PLC0415 - not available on every platform
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)
