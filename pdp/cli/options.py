"""Options that several commands share, as dataclasses whose fields are typer's options."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.client.remote import Credential
    from pdp.client.tls import ClientTls

DEFAULT_SERVER: Final = "127.0.0.1:50051"


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Returns `command` as typer reads it, each parameter that is a dataclass spread out.

    The fields of the dataclass become options; the command gets them put together again.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if not is_dataclass(hints[name]):
            parameters.append(parameter.replace(annotation=hints[name], kind=_KEYWORD))
            continue
        groups[name] = hints[name]
        field_hints = get_type_hints(hints[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, _KEYWORD, default=field.default, annotation=field_hints[field.name]
            )
            for field in fields(hints[name])
        ]

    @wraps(command)
    def together(**given: Any) -> None:
        packed = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**packed, **given)

    together.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # inspect's own protocol
    return together


_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class RequestOptions:
    """What is to be judged."""

    request: Annotated[
        str | None,
        typer.Option(
            "--request",
            "-r",
            metavar="FILE",
            help="Read the request as JSON from FILE; - reads standard input. Options below "
            "replace its fields.",
        ),
    ] = None
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="The text to judge.")] = None
    action: Annotated[
        str | None,
        typer.Option(metavar="DOMAIN:SCOPE:VERB", help="What an agent is about to do."),
    ] = None
    tool: Annotated[
        str | None, typer.Option(metavar="NAME", help="The tool an agent is about to call.")
    ] = None
    arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="One argument of the tool; may be repeated. NAME=VALUE is a text, NAME:=VALUE is "
            "JSON.",
        ),
    ] = None
    arguments: Annotated[
        str | None, typer.Option(metavar="JSON", help="All arguments of the tool.")
    ] = None
    tenant: Annotated[
        str | None, typer.Option(metavar="TENANT", help="Whose policies apply.  [default: default]")
    ] = None
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="The customer whose policy applies too.")
    ] = None
    user: Annotated[str | None, typer.Option(metavar="ID", help="The user who asks.")] = None
    group: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A group of the user; may be repeated.")
    ] = None
    agent: Annotated[
        str | None, typer.Option(metavar="ID", help="The agent or client that asks.")
    ] = None
    model: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER/MODEL", help="The model the request is for."),
    ] = None
    direction: Annotated[
        str | None,
        typer.Option(metavar="input|output", help="To a model, or back from it."),
    ] = None
    channel: Annotated[
        str | None, typer.Option(metavar="interactive|api", help="How the user asks.")
    ] = None
    classification: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL", help="A label of the resource, for instance PII; may be repeated."
        ),
    ] = None
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A field of the resource; may be repeated."),
    ] = None
    context: Annotated[
        str | None, typer.Option(metavar="JSON", help="What else conditions may ask for.")
    ] = None
    min_revision: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="The policy revision that must be in force at least."),
    ] = None
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how the decision came about.")
    ] = False


@dataclass(frozen=True)
class TlsOptions:
    """How the server is reached."""

    tls: Annotated[
        bool,
        typer.Option("--tls", envvar="PDP_TLS", help="The server speaks TLS; the others imply it."),
    ] = False
    tls_ca_file: Annotated[
        str,
        typer.Option(
            envvar="PDP_TLS_CA_FILE",
            metavar="FILE",
            help="Authorities to trust, PEM, in place of the public ones.",
        ),
    ] = ""
    tls_client_cert_file: Annotated[
        str,
        typer.Option(
            envvar="PDP_TLS_CLIENT_CERT_FILE",
            metavar="FILE",
            help="A certificate of this client's own, PEM.",
        ),
    ] = ""
    tls_client_key_file: Annotated[
        str, typer.Option(envvar="PDP_TLS_CLIENT_KEY_FILE", metavar="FILE", help="Its key, PEM.")
    ] = ""
    tls_server_name: Annotated[
        str,
        typer.Option(
            envvar="PDP_TLS_SERVER_NAME",
            metavar="NAME",
            help="The name in the server's certificate, where the address is another.",
        ),
    ] = ""

    def client_tls(self) -> ClientTls | None:
        """Returns what these options ask for; None for no TLS.

        Raises:
            ConfigError: a certificate without its key, or a key without its certificate.
        """
        from pdp.client.tls import ClientTls  # noqa: PLC0415 - gRPC, where it is needed

        return ClientTls.of(
            wanted=self.tls,
            ca_file=self.tls_ca_file,
            cert_file=self.tls_client_cert_file,
            key_file=self.tls_client_key_file,
            server_name=self.tls_server_name,
        )


@dataclass(frozen=True)
class CredentialOptions:
    """Who asks. The environment is the better place: others may see a command's options."""

    key: Annotated[
        str,
        typer.Option(envvar="PDP_API_KEY", metavar="KEY", help="The API key to call with."),
    ] = ""
    token: Annotated[
        str,
        typer.Option(envvar="PDP_TOKEN", metavar="JWT", help="The token to call with."),
    ] = ""

    def credential(self) -> Credential:
        """Returns the metadata that says who asks.

        Raises:
            ConfigError: both are given, or one is not text that can be sent.
        """
        from pdp.errors import ConfigError  # noqa: PLC0415 - as light as this file is

        if self.key and self.token:
            raise ConfigError("give --key (PDP_API_KEY) or --token (PDP_TOKEN), not both")
        given = self.key or self.token
        if not (given.isascii() and given.isprintable()):
            raise ConfigError("--key and --token are printable ASCII")
        if self.key:
            return (("x-api-key", self.key),)
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()


@dataclass(frozen=True)
class TargetOptions(CredentialOptions, TlsOptions):
    """Who is to decide."""

    server: Annotated[
        str,
        typer.Option(
            envvar="PDP_SERVER",
            metavar="ADDRESS",
            help="Ask the server at host:port or unix:PATH.",
        ),
    ] = DEFAULT_SERVER
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, help="How long to wait for the server.")
    ] = 10.0
    embedded: Annotated[
        bool,
        typer.Option("--embedded", help="Ask no server: decide here, on the database itself."),
    ] = False
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="PDP_DATABASE_URL",
            metavar="URL",
            help="The database for --embedded, as sqlite:///PATH.  [default: the server's]",
        ),
    ] = None


Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, as the server's HTTP does.")]

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="PDP_DATABASE_URL",
        metavar="URL",
        help="The database, as sqlite:///PATH.  [default: the server's]",
    ),
]

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A file with the passphrase that the backup is encrypted by.",
    ),
]
