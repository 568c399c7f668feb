"""Connects a command to what answers its calls: a server, or a database in this process."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pdp.cli.server_address import server_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.cli.options.target import TargetOptions
    from pdp.client import Client
    from pdp.config import Settings
    from pdp.detect.ner import NerEngine


@contextmanager
def connect(options: TargetOptions, *, create: bool = False) -> Iterator[Client]:
    """Yields a client.

    If no option names the server, it prints to stderr which one has answered.

    Args:
        options: the server or the database.
        create: whether to create the database if it does not exist; only for `--embedded`.

    Raises:
        ConfigError: the database or a file for TLS cannot be used, or the settings have counters
            that only a server uses.
        StoreUnavailable: the database cannot be read or written now.
    """
    if options.embedded:
        from pdp.bootstrap.recording import RecordingOptions  # noqa: PLC0415 - loads the engine
        from pdp.cli.local_database import load_settings  # noqa: PLC0415 - as above
        from pdp.client.local import LocalClient  # noqa: PLC0415 - as above
        from pdp.config import check_own_counters  # noqa: PLC0415 - as above
        from pdp.logs import logging_to_stderr  # noqa: PLC0415 - as above

        settings = load_settings(options.database_url, create=create)
        check_own_counters(settings)
        with (
            logging_to_stderr("warning"),
            LocalClient(
                settings.store_url,
                risk_file=settings.risk_file,
                records=RecordingOptions.of(settings),
                ner=load_models(settings),
            ) as local,
        ):
            yield local
    else:
        from pdp.client.remote import RemoteClient  # noqa: PLC0415 - loads gRPC

        address = server_address(options.server)
        with RemoteClient(
            address,
            timeout_s=options.timeout,
            tls=options.client_tls(),
            credential=options.credential(),
        ) as remote:
            yield remote
        if not options.server:
            print(f"pdp: the server at {address} answered", file=sys.stderr)


def load_models(settings: Settings) -> NerEngine | None:
    """Loads the models of the settings; None if the settings name no model."""
    if settings.ner_model_dir is settings.gliner_model_dir is None:
        return None
    from pdp.detect.ner import open_engine  # noqa: PLC0415 - most databases have no models

    models = open_engine(
        settings.ner_model_dir, settings.gliner_model_dir, settings.ner_budget_ms / 1000
    )
    models.wait()
    return models
