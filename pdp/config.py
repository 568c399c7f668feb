"""Settings: a flag beats the environment (`PDP_*`) beats the file beats the default."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pdp.errors import ConfigError

LogLevel = Literal["debug", "info", "warning", "error"]


def _address(text: str) -> str:
    if not text.startswith("unix:"):
        try:
            split_address(text)
        except ConfigError as error:
            raise ValueError(error.message) from None
    return text


def _named(value: Any) -> Any:
    if value == "":  # else it would be the directory that the process happens to run in
        raise ValueError("is empty; name a path, or leave it unset")
    return value


Address = Annotated[str, AfterValidator(_address)]
NamedPath = Annotated[Path, BeforeValidator(_named)]


class Settings(BaseSettings):
    """All settings. Each is a flag of `pdp serve`, a variable `PDP_…` and a key of the file."""

    model_config = SettingsConfigDict(env_prefix="PDP_", extra="forbid", frozen=True)

    file: ClassVar[Path | None] = None

    grpc_listen: Address = Field(
        "127.0.0.1:50051", description="Where gRPC is served: host:port, or unix:PATH."
    )
    http_listen: Address = Field(
        "127.0.0.1:8080", description="Where the JSON shim is served: host:port, or unix:PATH."
    )
    data_dir: NamedPath = Field(Path("var"), description="Where the default database lies.")
    database_url: str = Field(
        "", description="sqlite:///PATH; pdp.db under the data directory where empty."
    )
    auth: Literal["dev", "required"] = Field(
        "required",
        description="dev: everyone is admin, on loopback only. required: credentials.",
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that share the ports.")
    log_level: LogLevel = Field("info", description="debug, info, warning or error.")
    drain_s: float = Field(
        10.0, ge=0, le=600, description="Seconds that calls under way get after SIGTERM."
    )
    risk_file: NamedPath | None = Field(None, description="TOML file that replaces risk points.")
    ner_model_dir: NamedPath | None = Field(
        None, description="Directory of a spaCy pipeline: answers DLP rules of type ner."
    )
    gliner_model_dir: NamedPath | None = Field(
        None, description="Directory of a GLiNER model in ONNX: answers DLP rules of type llm."
    )
    ner_budget_ms: int = Field(
        500, ge=1, le=60_000, description="Milliseconds that a request may wait for these models."
    )
    clients_file: NamedPath | None = Field(
        None, description="TOML file: which names in client certificates act for which tenants."
    )
    jwt_issuer: str = Field("", description="The iss of tokens; together with the audience.")
    jwt_audience: str = Field("", description="The aud of tokens: with it, tokens are taken.")
    jwt_jwks: str = Field(
        "", description="The keys of tokens, as a JWKS: a file, or an https address."
    )
    jwt_secret_file: NamedPath | None = Field(
        None, description="File with the secret of tokens (HS256), in place of a JWKS."
    )
    jwt_roles_claim: str = Field("roles", description="The claim that lists a token's roles.")
    jwt_tenants_claim: str = Field("tenants", description="The claim that lists its tenants.")
    rate_per_s: float = Field(
        0.0, ge=0, description="Calls a second that one credential may make; 0 for any number."
    )
    rate_burst: int = Field(
        0, ge=0, description="Calls that it may make at once; 0 for those of a second."
    )
    audit_mode: Literal["durable", "async"] = Field(
        "durable",
        description="durable: answer when the decision's record is on disk. async: do not wait.",
    )
    audit_url: str = Field(
        "", description="sqlite:///PATH of decision records; audit.db beside the database if empty."
    )
    audit_queue: int = Field(
        10_000, ge=1, le=1_000_000, description="Decisions that may wait for async recording."
    )
    audit_retention_days: float = Field(
        365.0, ge=0, description="Days that decision records are kept; 0 for ever."
    )
    audit_max_mb: int = Field(
        10_240, ge=0, description="MiB that decision records may take; 0 for any size."
    )
    audit_key_file: NamedPath | None = Field(
        None, description="File with a secret that makes the chain of records unforgeable."
    )
    tls_cert_file: NamedPath | None = Field(
        None, description="The server's certificate and those that sign it, PEM: serves TLS."
    )
    tls_key_file: NamedPath | None = Field(None, description="The certificate's private key, PEM.")
    tls_client_ca_file: NamedPath | None = Field(
        None, description="Authorities, PEM: only clients with a certificate of theirs are served."
    )

    otel_endpoint: str = Field(
        "", description="OpenTelemetry collector for traces, OTLP over HTTP; empty for no traces."
    )
    siem_flush_s: float = Field(
        5.0, gt=0, le=300, description="Seconds that a SIEM event waits for others to go with it."
    )
    siem_spool_mb: int = Field(
        1_000, ge=1, le=1_000_000, description="Megabytes of events that wait for SIEMs at most."
    )
    alert_window_s: float = Field(
        300.0, ge=0, le=86_400, description="Seconds in which alerts alike are sent once."
    )
    alert_hosts: str = Field(
        "", description="The only hosts that alert webhooks may be at; empty for any."
    )
    alert_networks: str = Field(
        "", description="Networks that are not public and that alert webhooks may be in."
    )

    @property
    def store_url(self) -> str:
        """The database that is used."""
        return self.database_url or f"sqlite:///{self.data_dir / 'pdp.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Sets the order: flags, environment, file."""
        file = TomlConfigSettingsSource(settings_cls, cls.file) if cls.file else None
        return (init_settings, env_settings, *((file,) if file else ()))


def load(flags: dict[str, Any], file: Path | None = None) -> Settings:
    """Returns the settings.

    Args:
        flags: what was given on the command line, by field name; None for what was not.
        file: a TOML file; it must exist.

    Raises:
        ConfigError: a setting is unknown or out of its bounds, or the file cannot be read.
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"the configuration file {file} does not exist")
    reader = type("FileSettings", (Settings,), {"file": file})
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings: Settings = reader(**given)
    except ValidationError as error:
        lines = [_explain(each["loc"], each["msg"]) for each in error.errors()]
        raise ConfigError("; ".join(lines)) from None
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None
    return settings


def _explain(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else "settings"
    return f"{name} (PDP_{name.upper()}): {message.removeprefix('Value error, ')}"


def split_address(address: str) -> tuple[str, int]:
    """Returns host and port of `host:port` or `[host]:port`.

    Raises:
        ConfigError: it is neither.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - ports end there
        raise ConfigError(f'"{address}" is no address; write host:port or unix:PATH')
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach `address`."""
    if address.startswith("unix:"):
        return True
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_auth(settings: Settings) -> None:
    """Refuses settings that would take anyone, or anyone's credentials, for ours.

    Raises:
        ConfigError: it says what to do.
    """
    if settings.auth == "required":
        _check_credentials(settings)
        return
    for name, address in (
        ("PDP_GRPC_LISTEN", settings.grpc_listen),
        ("PDP_HTTP_LISTEN", settings.http_listen),
    ):
        if not is_loopback(address):
            raise ConfigError(
                f"PDP_AUTH=dev takes everyone for an admin, so it serves on loopback only; "
                f"{name} is {address}. Set it to 127.0.0.1:PORT or unix:PATH"
            )


def _check_credentials(settings: Settings) -> None:
    """Refuses what would leave open whose tokens or certificates count."""
    keys = [settings.jwt_jwks, settings.jwt_secret_file]
    if any([settings.jwt_issuer, settings.jwt_audience, *keys]):
        if not (settings.jwt_issuer and settings.jwt_audience):
            raise ConfigError(
                "tokens need both PDP_JWT_ISSUER and PDP_JWT_AUDIENCE: without them those that "
                "were made by others, or for others, would count here"
            )
        if len([key for key in keys if key]) != 1:
            raise ConfigError(
                "tokens need one of PDP_JWT_JWKS (public keys) and PDP_JWT_SECRET_FILE (HS256), "
                "and not both"
            )
    if settings.clients_file is not None and settings.tls_client_ca_file is None:
        raise ConfigError(
            "PDP_CLIENTS_FILE names client certificates, which are asked for only with "
            "PDP_TLS_CLIENT_CA_FILE: set that, too"
        )
