"""TLS for both transports: one certificate, reloaded when its files change.

The certificate, key and client authorities are checked together before they are used, and replaced
by one assignment: each new connection uses either all the old ones or all the new ones. Open
connections do not change.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from pdp.errors import ConfigError
from pdp.transport.tls_files import Identity

if TYPE_CHECKING:
    import ssl

    from pdp.transport.metrics import Metrics
    from pdp.transport.tls_files import TlsFiles

POLL_INTERVAL_S: Final = 1.0
"""How often the files are checked. They are read once they have not changed for this long."""

_log: Final = structlog.get_logger("pdp.tls")


class Tls:
    """The current identity of the server, and the watch over its files.

    Attributes:
        reloads: how often a new identity came into force.
        failures: how often changed files could not be used.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Reads the files.

        Raises:
            ConfigError: a file cannot be used; the message says what to do.
        """
        self._files = files
        self._stamp = files.stamp()
        self._identity = Identity.read(files)
        self._context = self._identity.context()
        self._grpc_identity = self._identity
        self.reloads = 0
        self.failures = 0
        self._warn_of_expiry()

    @property
    def expires_at(self) -> float:
        """When the current certificate expires, in seconds since the epoch."""
        return self._identity.expires_at

    def measure(self, metrics: Metrics) -> None:
        """Adds the metrics of TLS to `metrics`."""
        metrics.gauge(
            "pdp_tls_certificate_expires_at_seconds",
            "When the current certificate expires, in seconds since the epoch.",
            lambda: self.expires_at,
        )
        metrics.counter(
            "pdp_tls_reloads", "Changed certificates that came into force.", lambda: self.reloads
        )
        metrics.counter(
            "pdp_tls_reload_failures",
            "Changed certificates that could not be used.",
            lambda: self.failures,
        )

    def for_http(self) -> ssl.SSLContext:
        """Returns a context that gives each new connection the current identity."""
        context = self._identity.context()

        def use_current(connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
            connection.context = self._context

        context.sni_callback = use_current
        return context

    def for_grpc(self) -> grpc.ServerCredentials:
        """Returns credentials that give each new connection the current identity."""
        return grpc.dynamic_ssl_server_credentials(
            self._identity.for_grpc(),
            self._new_configuration,  # type: ignore[arg-type] # the stubs omit None
            require_client_authentication=self._files.client_ca is not None,
        )

    def _new_configuration(self) -> grpc.ServerCertificateConfiguration | None:
        # gRPC calls this at every handshake, in one of its threads. None keeps the configuration.
        identity = self._identity
        if identity is self._grpc_identity:
            return None
        self._grpc_identity = identity
        return identity.for_grpc()

    async def watch(self) -> None:
        """Reloads the files whenever they have changed, until cancelled.

        If the changed files cannot be used, the current identity stays in force. The failure is
        logged and counted.
        """
        previous = self._stamp
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            stamp = self._files.stamp()
            # Files are replaced one after the other, so wait until they no longer change.
            if stamp == previous and stamp != self._stamp:
                self._stamp = stamp
                await asyncio.to_thread(self.reload)
            previous = stamp

    def reload(self) -> bool:
        """Reads the files; returns whether the current identity now matches them."""
        try:
            identity = Identity.read(self._files)
            context = identity.context()
        except Exception as error:
            # Never give up: without the watch, a later certificate would not come into force.
            self.failures += 1
            reason = error.message if isinstance(error, ConfigError) else repr(error)
            _log.error("the TLS certificate was not replaced", reason=reason)
            return False
        if identity != self._identity:
            self._identity, self._context = identity, context
            self.reloads += 1
            _log.info("the TLS certificate was replaced", expires_at=identity.expires_at)
            self._warn_of_expiry()
        return True

    def _warn_of_expiry(self) -> None:
        if self.expires_at <= time.time():
            _log.error("the TLS certificate has expired", expires_at=self.expires_at)
