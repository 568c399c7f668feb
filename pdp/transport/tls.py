"""TLS for both transports: one certificate, read again when its files change.

What is read is checked as a whole before it is used, and replaces what was there by one
assignment: a connection is made either with the old certificate, key and client authorities or
with the new ones. Connections that are open stay as they are.
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
"""How often the files are looked at. They are read once they have kept still for as long."""

_log: Final = structlog.get_logger("pdp.tls")


class Tls:
    """The identity in force, and the watch over its files.

    Attributes:
        reloads: how often another identity came into force.
        failures: how often files changed into what cannot be used.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Reads the files.

        Raises:
            ConfigError: they cannot be used; it says what to do.
        """
        self._files = files
        self._stamp = files.stamp()
        self._identity = Identity.read(files)
        self._context = self._identity.context()
        self._given = self._identity
        self.reloads = 0
        self.failures = 0
        self._warn_of_expiry()

    @property
    def expires_at(self) -> float:
        """When the certificate in force expires, in seconds since the epoch."""
        return self._identity.expires_at

    def measure(self, metrics: Metrics) -> None:
        """Adds what is worth an alert to the metrics."""
        metrics.gauge(
            "pdp_tls_certificate_expires_at_seconds",
            "When the certificate in force expires, since the epoch.",
            lambda: self.expires_at,
        )
        metrics.counter(
            "pdp_tls_reloads", "Certificates that came into force.", lambda: self.reloads
        )
        metrics.counter(
            "pdp_tls_reload_failures",
            "Changes of the certificate's files that could not be used.",
            lambda: self.failures,
        )

    def for_http(self) -> ssl.SSLContext:
        """Returns a context that makes each connection with the identity in force then."""
        context = self._identity.context()

        def choose(connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
            connection.context = self._context

        context.sni_callback = choose
        return context

    def for_grpc(self) -> grpc.ServerCredentials:
        """Returns credentials that make each connection with the identity in force then."""
        return grpc.dynamic_ssl_server_credentials(
            self._identity.for_grpc(),
            self._changed,  # type: ignore[arg-type] # the stubs forget that None keeps what it has
            require_client_authentication=self._files.client_ca is not None,
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        # Asked by gRPC at every handshake, in a thread of its own; None keeps what it has.
        identity = self._identity
        if identity is self._given:
            return None
        self._given = identity
        return identity.for_grpc()

    async def watch(self) -> None:
        """Reads the files again whenever they have changed, until cancelled.

        What cannot be used leaves in force what is: that is logged and counted.
        """
        seen = self._stamp
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            stamp = self._files.stamp()
            # Files are replaced one after the other: what still changes is not complete.
            if stamp == seen and stamp != self._stamp:
                self._stamp = stamp
                await asyncio.to_thread(self.reload)
            seen = stamp

    def reload(self) -> bool:
        """Reads the files; returns whether what is in force is now what they hold."""
        try:
            identity = Identity.read(self._files)
            context = identity.context()
        except Exception as error:
            # Whatever it is, nothing else would ever bring another certificate here.
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
