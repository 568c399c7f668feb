"""uvicorn's HTTP protocol, which also passes on the names in the client's certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pdp.transport.http.requests import PEER

if TYPE_CHECKING:
    import asyncio


class ClientCertificateProtocol(HttpToolsProtocol):
    """Puts the names in the client's certificate into the scope of each request."""

    _names: tuple[str, ...] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Reads the certificate that the handshake has verified."""
        super().connection_made(transport)
        self._names = certificate_names(transport.get_extra_info("peercert") or {})

    def on_message_begin(self) -> None:
        """Starts a request."""
        super().on_message_begin()
        if self._names:
            self.scope["extensions"] = {PEER: self._names}  # type: ignore[dict-item] # our own extension


def certificate_names(certificate: dict[str, Any]) -> tuple[str, ...]:
    """Returns the names in a certificate.

    These are its subject alternative names. The common name counts only if there are none
    (RFC 6125, 6.4.4).

    Args:
        certificate: the certificate in the form of `SSLSocket.getpeercert`.
    """
    names = tuple(value for _, value in certificate.get("subjectAltName", ()))
    if names:
        return names
    return tuple(
        value
        for attributes in certificate.get("subject", ())
        for name, value in attributes
        if name == "commonName"
    )
