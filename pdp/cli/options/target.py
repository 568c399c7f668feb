"""The options that say which server or database answers, and with which credential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pdp.client.remote import Credential
    from pdp.client.tls import ClientTls

SERVER_HELP: Final = (
    "as host:port or unix:PATH.  [default: the address in PDP_GRPC_LISTEN, or 127.0.0.1:50051]"
)


@dataclass(frozen=True)
class TlsOptions:
    """How to connect to the server by TLS."""

    tls: Annotated[
        bool,
        typer.Option(
            "--tls", envvar="PDP_TLS", help="Connect by TLS. The other --tls options imply it."
        ),
    ] = False
    tls_ca_file: Annotated[
        str,
        typer.Option(
            envvar="PDP_TLS_CA_FILE",
            metavar="FILE",
            help="Certificate authorities to trust, in PEM, instead of the public ones.",
        ),
    ] = ""
    tls_client_cert_file: Annotated[
        str,
        typer.Option(
            envvar="PDP_TLS_CLIENT_CERT_FILE",
            metavar="FILE",
            help="The certificate of this client, in PEM.",
        ),
    ] = ""
    tls_client_key_file: Annotated[
        str,
        typer.Option(
            envvar="PDP_TLS_CLIENT_KEY_FILE",
            metavar="FILE",
            help="The private key of this client, in PEM.",
        ),
    ] = ""
    tls_server_name: Annotated[
        str,
        typer.Option(
            envvar="PDP_TLS_SERVER_NAME",
            metavar="NAME",
            help="The name in the server's certificate, if it differs from the address.",
        ),
    ] = ""

    def client_tls(self) -> ClientTls | None:
        """Returns the TLS settings of the client; None for no TLS.

        Raises:
            ConfigError: a certificate without its key, or a key without its certificate.
        """
        from pdp.client.tls import ClientTls  # noqa: PLC0415 - imports gRPC

        return ClientTls.of(
            enabled=self.tls,
            ca_file=self.tls_ca_file,
            cert_file=self.tls_client_cert_file,
            key_file=self.tls_client_key_file,
            server_name=self.tls_server_name,
        )


@dataclass(frozen=True)
class CredentialOptions:
    """Who calls. Prefer the environment variables: other users can see a command's options."""

    key: Annotated[
        str,
        typer.Option(envvar="PDP_API_KEY", metavar="KEY", help="The API key to call with."),
    ] = ""
    token: Annotated[
        str,
        typer.Option(envvar="PDP_TOKEN", metavar="JWT", help="The token to call with."),
    ] = ""

    def credential(self) -> Credential:
        """Returns the call metadata with the credential.

        Raises:
            ConfigError: both options are given, or a value has characters that cannot be sent.
        """
        from pdp.errors import ConfigError  # noqa: PLC0415 - keeps --help fast

        if self.key and self.token:
            raise ConfigError("give --key (PDP_API_KEY) or --token (PDP_TOKEN), not both")
        value = self.key or self.token
        if not (value.isascii() and value.isprintable()):
            option = "--key (PDP_API_KEY)" if self.key else "--token (PDP_TOKEN)"
            raise ConfigError(f"{option} has characters that are not printable ASCII")
        if self.key:
            return (("x-api-key", self.key),)
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()


@dataclass(frozen=True)
class TargetOptions(CredentialOptions, TlsOptions):
    """The server that answers, or the database to open without a server."""

    server: Annotated[
        str,
        typer.Option(
            envvar="PDP_SERVER",
            metavar="ADDRESS",
            help=f"The server to call, {SERVER_HELP}",
            show_default=False,
        ),
    ] = ""
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, help="How long to wait for the server.")
    ] = 10.0
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded", help="Call no server: open the database in this process instead."
        ),
    ] = False
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="PDP_DATABASE_URL",
            metavar="URL",
            help="The database for --embedded: sqlite:///PATH or postgresql://HOST/NAME.  "
            "[default: the database of the server's settings]",
        ),
    ] = None
