"""uvicorn's protocol, which also tells who the client is by its certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pdp.transport.http.exchange import PEER

if TYPE_CHECKING:
    import asyncio


class CertifiedProtocol(HttpToolsProtocol):
    """Puts the names in the client's certificate into the scope of each request."""

    _names: tuple[str, ...] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Reads the certificate that the handshake has verified."""
        super().connection_made(transport)
        self._names = names_in(transport.get_extra_info("peercert") or {})

    def on_message_begin(self) -> None:
        """Begins a request."""
        super().on_message_begin()
        if self._names:
            self.scope["extensions"] = {PEER: self._names}  # type: ignore[dict-item] # ours


def names_in(certificate: dict[str, Any]) -> tuple[str, ...]:
    """Returns the names in a certificate, in the form that `SSLSocket.getpeercert` gives it.

    These are its alternative names; the common name counts where there are none (RFC 6125, 6.4.4).
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
