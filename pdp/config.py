"""Settings. Precedence: a flag, the environment (`PDP_*`), the file, the default."""

from __future__ import annotations

import ipaddress
import os
import re
from base64 import b64decode
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pdp.domain.tenant import is_tenant_id
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

LogLevel = Literal["debug", "info", "warning", "error"]


def _check_address(text: str) -> str:
    if not text.startswith("unix:"):
        try:
            split_address(text)
        except ConfigError as error:
            raise ValueError(error.message) from None
    return text


def _check_path(value: Any) -> Any:
    if value == "":  # an empty path would be the working directory
        raise ValueError("the path is empty. Name a path, or leave the setting out.")
    return value


def _check_url(text: str) -> str:
    if text and not _URL.match(text):
        named = "the text" if "@" in text else repr(text)  # it may hold a password
        raise ValueError(f"{named} is not a URL. Use sqlite:///PATH.")
    return text


def _check_public_url(text: str) -> str:
    if text and not _is_public_url(text):
        raise ValueError(
            f"{text!r} cannot be used. Use https://HOST[:PORT][/PATH] without a slash at the end, "
            "a query or a user; http only for a loopback address."
        )
    return text


def _is_public_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError:
        return False
    plain = url.scheme == "http" and (host == "localhost" or _is_loopback_ip(host))
    return _PUBLIC_URL.fullmatch(text) is not None and bool(host) and (text[:5] == "https" or plain)


def _is_loopback_ip(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_follow_url(text: str) -> str:
    if text and not _is_follow_url(text):
        raise ValueError(
            f"{text!r} cannot be used. Use https://HOST:PORT, http only for a loopback address, or "
            "unix:PATH."
        )
    return text


def _is_follow_url(text: str) -> bool:
    if text.startswith("unix:"):
        return len(text) > len("unix:")
    if not _is_public_url(text):
        return False
    url = urlsplit(text)
    return url.port is not None and not url.path


_LIMITS_SCHEMES: Final = ("valkey", "valkeys", "redis", "rediss")


def _check_limits_url(text: str) -> str:
    try:
        is_url = not text or urlsplit(text).scheme in _LIMITS_SCHEMES
    except ValueError:
        is_url = False
    if not is_url:  # the message has no part of it: it may hold a password
        raise ValueError(
            "the value is not the URL of a server. Use valkey://HOST:PORT or redis://HOST:PORT, "
            "with an s after the scheme for TLS."
        )
    return text


_SIGNING_KEY_BYTES: Final = 32


def _check_signing_key(text: str) -> str:
    try:
        is_key = not text or len(b64decode(text, validate=True)) == _SIGNING_KEY_BYTES
    except ValueError:
        is_key = False
    if not is_key:
        raise ValueError(
            f"{text!r} is no signing key. Use what `pdp policies signing-key` prints: 32 bytes in "
            "base64."
        )
    return text


def _check_tenants(text: str) -> str:
    for tenant_id in filter(None, text.split(",")):
        if not is_tenant_id(tenant_id):
            raise ValueError(
                f"{tenant_id!r} is not the id of a tenant. Use ids of A-Z a-z 0-9 . _ - and commas."
            )
    return text


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


_LITELLM_FIELDS: Final = (
    "user_api_key_alias",
    "user_api_key_end_user_id",
    "user_api_key_org_id",
    "user_api_key_team_alias",
    "user_api_key_team_id",
    "user_api_key_user_email",
    "user_api_key_user_id",
)
"""The fields of LiteLLM that can say who asks."""


def _check_litellm_field(text: str) -> str:
    if text and text not in _LITELLM_FIELDS:
        raise ValueError(f"{text!r} is no such field. Use one of {', '.join(_LITELLM_FIELDS)}.")
    return text


_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PUBLIC_URL: Final = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(?:/[A-Za-z0-9._~%-]+)*")

Address = Annotated[str, AfterValidator(_check_address)]
LiteLLMField = Annotated[str, AfterValidator(_check_litellm_field)]
StoreUrl = Annotated[str, AfterValidator(_check_url)]
PublicUrl = Annotated[str, AfterValidator(_check_public_url)]
FollowUrl = Annotated[str, AfterValidator(_check_follow_url)]
LimitsUrl = Annotated[str, AfterValidator(_check_limits_url)]
SigningKey = Annotated[str, AfterValidator(_check_signing_key)]
TenantList = Annotated[str, AfterValidator(_check_tenants)]
NamedPath = Annotated[Path, BeforeValidator(_check_path)]


class Settings(BaseSettings):
    """All settings. Each is a flag of `pdp serve`, a variable `PDP_…` and a key of the file."""

    model_config = SettingsConfigDict(env_prefix="PDP_", extra="forbid", frozen=True)

    file: ClassVar[Path | None] = None

    grpc_listen: Address = Field(
        "127.0.0.1:50051", description="Address of the gRPC server: host:port, or unix:PATH."
    )
    grpc_server: Annotated[Literal["grpcio", "native", "auto"], BeforeValidator(_lower)] = Field(
        "grpcio",
        description="grpcio; native: pygrpc-native, faster; auto: native if possible.",
    )
    http_listen: Address = Field(
        "127.0.0.1:8080", description="Address of the HTTP server: host:port, or unix:PATH."
    )
    public_url: PublicUrl = Field(
        "",
        description="URL at which clients reach HTTP, for AuthZEN metadata, which has the address "
        "without it, and for links in alerts.",
    )
    authzen_access_request: Annotated[Literal["off", "on"], BeforeValidator(_lower)] = Field(
        "off", description="on: AuthZEN denials that need an approval offer an access request."
    )
    data_dir: NamedPath = Field(Path("var"), description="Directory of the default database.")
    database_url: StoreUrl = Field(
        "",
        repr=False,  # it may hold a password
        description="sqlite:///PATH, or postgresql://HOST/DATABASE; if empty, pdp.db in the data "
        "directory.",
    )
    auth: Annotated[Literal["dev", "local-pep", "required"], BeforeValidator(_lower)] = Field(
        "required",
        description="required: credentials. local-pep: callers on loopback may decide without. "
        "dev: every caller is an admin, on loopback only.",
    )
    local_tenant: str = Field(
        "", description="With local-pep: the tenant of calls without a credential."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that share the ports.")
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        "info", description="debug, info, warning or error."
    )
    drain_s: float = Field(
        10.0, ge=0, le=600, description="Seconds that calls in progress get after SIGTERM."
    )
    tenant_cache_mb: int = Field(
        512, ge=1, le=1_000_000, description="Memory of compiled tenants in each process, in MB."
    )
    prewarm_tenants: int = Field(
        0, ge=0, le=100_000, description="Most recently used tenants that are loaded at the start."
    )
    risk_file: NamedPath | None = Field(None, description="TOML file that replaces risk points.")
    ner_model_dir: NamedPath | None = Field(
        None, description="Directory of a spaCy pipeline, for DLP rules of type ner."
    )
    gliner_model_dir: NamedPath | None = Field(
        None, description="Directory of a GLiNER model in ONNX, for DLP rules of type llm."
    )
    ner_budget_ms: int = Field(
        500, ge=1, le=60_000, description="Milliseconds that a request may wait for these models."
    )
    adapters_file: NamedPath | None = Field(
        None, description="YAML file: what adapters read from the traffic; see pdp adapters check."
    )
    clients_file: NamedPath | None = Field(
        None, description="TOML file: the role and tenants of each client certificate's name."
    )
    jwt_issuer: str = Field("", description="The iss of tokens; needs the audience, too.")
    jwt_audience: str = Field("", description="The aud of tokens; needs the issuer, too.")
    jwt_jwks: str = Field(
        "", description="Public keys of tokens, as a JWKS: a file, or an https URL."
    )
    jwt_secret_file: NamedPath | None = Field(
        None, description="File with the secret of tokens (HS256), instead of a JWKS."
    )
    jwt_roles_claim: str = Field("roles", description="The claim that lists a token's roles.")
    jwt_tenants_claim: str = Field("tenants", description="The claim that lists its tenants.")
    jwt_groups_claim: str = Field(
        "groups", description="The claim that lists the groups of the person, for approvals."
    )
    rate_per_s: float = Field(
        0.0, ge=0, description="Calls per second of one credential; 0 for no limit."
    )
    rate_burst: int = Field(
        0, ge=0, description="Calls of one credential at once; 0 for the calls of a second."
    )
    limits_url: LimitsUrl = Field(
        "",
        repr=False,  # it may hold a password
        description="valkey://HOST:PORT of counters of limits that all replicas share; if empty, "
        "those of the database.",
    )
    limits_budget_ms: int = Field(
        5, ge=1, le=1000, description="Milliseconds that a decision may wait for these counters."
    )
    litellm_user: LiteLLMField = Field(
        "user_api_key_user_id", description="The field of LiteLLM's request_data that is the user."
    )
    litellm_tenant: LiteLLMField = Field(
        "", description="The field that is the tenant; if empty, the credential names it."
    )
    litellm_customer: LiteLLMField = Field(
        "", description="The field that is the customer; if empty, there is none."
    )
    audit_mode: Annotated[Literal["durable", "async"], BeforeValidator(_lower)] = Field(
        "durable",
        description="durable: answer when the decision's record is on disk. async: do not wait.",
    )
    audit_url: StoreUrl = Field(
        "", description="sqlite:///PATH of decision records; if empty, audit.db by the database."
    )
    audit_queue: int = Field(
        10_000, ge=1, le=1_000_000, description="Decisions that may wait for async recording."
    )
    audit_retention_days: float = Field(
        365.0, ge=0, description="Days that decision records are kept; 0 for no limit."
    )
    audit_max_mb: int = Field(
        10_240, ge=0, description="Size limit of the decision records in MiB; 0 for no limit."
    )
    change_log_days: float = Field(
        0.0,
        ge=0,
        description="Days that changes without a version history are kept; 0 for no limit.",
    )
    snapshot_dir: NamedPath | None = Field(
        None, description="Directory for saved policies, used while the database cannot be read."
    )
    snapshot_key_file: NamedPath | None = Field(
        None, description="File with the key that encrypts them: 32 bytes in base64."
    )
    snapshot_max_age_s: float = Field(
        3600.0, gt=0, le=31_536_000, description="Seconds after which they decide nothing any more."
    )
    audit_key_file: NamedPath | None = Field(
        None, description="File with a secret that makes the log's hash chain unforgeable."
    )
    follow: FollowUrl = Field(
        "",
        description="Decide by the policies of another server: https://HOST:PORT or unix:PATH of "
        "its gRPC.",
    )
    follow_tenants: TenantList = Field(
        "", description="Tenants to follow from the start, by commas; others at their first call."
    )
    follow_key_file: NamedPath | None = Field(
        None, description="File with the API key or token for that server, of the role follower."
    )
    follow_ca_file: NamedPath | None = Field(
        None, description="Authorities of that server's certificate, PEM; without it the public."
    )
    follow_cert_file: NamedPath | None = Field(
        None, description="The client certificate for that server, PEM."
    )
    follow_cert_key_file: NamedPath | None = Field(
        None, description="The key of that client certificate, PEM."
    )
    follow_signing_key: SigningKey = Field(
        "", description="The key that must have signed the policies; if empty, any, by TLS alone."
    )
    follow_max_age_s: float = Field(
        3600.0, gt=0, description="Seconds after which policies decide nothing any more."
    )
    follow_max_tenants: int = Field(
        16, ge=1, le=1000, description="Tenants that are followed; for others the server is asked."
    )
    follow_max_unsent: int = Field(
        50_000, ge=1, le=10_000_000, description="Records that may wait to be reported."
    )
    tls_cert_file: NamedPath | None = Field(
        None, description="The server's certificate and its issuers, PEM; turns TLS on."
    )
    tls_key_file: NamedPath | None = Field(None, description="The certificate's private key, PEM.")
    tls_client_ca_file: NamedPath | None = Field(
        None, description="Authorities, PEM; clients need a certificate of one of them."
    )

    otel_endpoint: str = Field(
        "", description="OpenTelemetry collector for traces, OTLP over HTTP; if empty, no traces."
    )
    siem_flush_s: float = Field(
        5.0, gt=0, le=300, description="Seconds that a SIEM event waits for others to batch with."
    )
    siem_spool_mb: int = Field(
        1_000, ge=1, le=1_000_000, description="Size limit of events that wait for SIEMs, in MB."
    )
    alert_window_s: float = Field(
        300.0, ge=0, le=86_400, description="Seconds in which similar alerts are sent once."
    )
    alert_hosts: str = Field(
        "", description="The only hosts that alert webhooks may use; if empty, any host."
    )
    alert_networks: str = Field(
        "", description="Private networks that alert webhooks may use, beside public ones."
    )

    @property
    def store_url(self) -> str:
        """The URL of the database."""
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


def load(flags: Mapping[str, Any], file: Path | None = None) -> Settings:
    """Returns the settings.

    Args:
        flags: values from the command line, by field name; None for a flag that was not used.
        file: a TOML file; it must exist.

    Raises:
        ConfigError: a setting is unknown or cannot be used, or the file cannot be read. The message
            explains every such setting.
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"--config: the file {file} does not exist. Name an existing file.")
    settings_class = type("FileSettings", (Settings,), {"file": file})
    values = {name: value for name, value in flags.items() if value is not None}
    try:
        settings: Settings = settings_class(**values)
    except ValidationError as error:
        messages = [_explain(each, values, file) for each in error.errors()]
        raise ConfigError(" ".join(messages)) from None
    except OSError as error:
        raise ConfigError(
            f"--config: {file} cannot be read: {error.strerror}. Allow this process to read it."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"--config: {file} is not UTF-8 text. Save it as UTF-8.") from None
    except ValueError as error:
        place = re.search(r"at line \d+, column \d+|at end of document", str(error))
        position = f" ({place.group()})" if place else ""
        raise ConfigError(f"--config: {file} is not valid TOML{position}. Correct it.") from None
    return settings


def _explain(error: ErrorDetails, flags: Mapping[str, Any], file: Path | None) -> str:
    """Returns the message for a value that pydantic refuses, without pydantic's own text."""
    name = str(error["loc"][0])
    if name not in Settings.model_fields:
        return _explain_unknown(name, flags, file)
    if error["type"] == "value_error":
        problem = str(error["ctx"]["error"])
    else:
        problem = _problem(error["type"], error["input"], name)
    return f"{_source(name, flags, file)}: {problem}"


def _explain_unknown(name: str, flags: Mapping[str, Any], file: Path | None) -> str:
    closest = get_close_matches(name, Settings.model_fields)
    advice = "`pdp serve --help` lists the settings."
    if closest:
        advice = f"Did you mean {' or '.join(closest)}?"
    place = "" if name in flags else f" in {file}"
    return f"{name}{place}: no such setting. {advice}"


def _source(name: str, flags: Mapping[str, Any], file: Path | None) -> str:
    """Returns the name of a setting's variable, and what else its value came from."""
    variable = f"PDP_{name.upper()}"
    if name in flags:
        return f"{variable} (--{name.replace('_', '-')})"
    if file is None or variable in {each.upper() for each in os.environ}:
        return variable
    return f"{variable} ({name} in {file})"


_PROBLEMS: Final = {
    "literal_error": "is unknown",
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "greater_than": "is out of range",
    "greater_than_equal": "is out of range",
    "less_than": "is out of range",
    "less_than_equal": "is out of range",
    "int_parsing_size": "is out of range",
    "string_type": "is not a string",
    "path_type": "is not a path",
}
"""What is wrong with a value, by the type of pydantic's error."""


def _problem(error_type: str, value: Any, name: str) -> str:
    shown = repr(value)
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}…"
    return f"{shown} {_PROBLEMS.get(error_type, 'cannot be used')}. Use {_usage(name)}."


_MAX_SHOWN: Final = 100
"""Characters of a value that a message shows at most."""


def _usage(name: str) -> str:
    """Returns which values a setting takes."""
    field = Settings.model_fields[name]
    choices = [str(each) for each in get_args(field.annotation) if isinstance(each, str)]
    if choices:
        return f"{', '.join(choices[:-1])} or {choices[-1]}"
    if field.annotation not in (int, float):
        return "text in quotes"
    number = "a whole number" if field.annotation is int else "a number"
    above, lowest, highest = (
        next((getattr(each, bound) for each in field.metadata if hasattr(each, bound)), None)
        for bound in ("gt", "ge", "le")
    )
    if highest is None:
        return f"{number} of at least {lowest}"
    if above is not None:
        return f"{number} above {above}, at most {highest}"
    return f"{number} from {lowest} to {highest}"


def split_address(address: str) -> tuple[str, int]:
    """Returns the host and port of `host:port` or `[host]:port`.

    Raises:
        ConfigError: the address has neither form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - ports end there
        raise ConfigError(f"{address!r} is not an address. Use HOST:PORT or unix:PATH.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(address: str) -> bool:
    """Returns whether only this machine can reach `address`."""
    if address.startswith("unix:"):
        return True
    host, _ = split_address(address)
    return host == "localhost" or _is_loopback_ip(host)


def check_auth(settings: Settings) -> None:
    """Refuses settings with which foreign callers or credentials would be accepted.

    Raises:
        ConfigError: such a setting is used; the message says what to do.
    """
    _check_local_tenant(settings)
    _check_following(settings)
    _check_saved_policies(settings)
    if settings.auth != "dev":
        _check_credentials(settings)
    if settings.auth != "required":
        _check_listeners(settings)


def _check_local_tenant(settings: Settings) -> None:
    if settings.auth != "local-pep":
        if settings.local_tenant:
            raise ConfigError(
                "PDP_LOCAL_TENANT: is used only with PDP_AUTH=local-pep. Set that, or leave it out."
            )
    elif not is_tenant_id(settings.local_tenant):
        problem = "is required" if not settings.local_tenant else "is not the id of a tenant"
        raise ConfigError(
            f"PDP_LOCAL_TENANT: {problem}: with PDP_AUTH=local-pep, a call without a credential "
            "acts for this one tenant. Use 1 to 128 characters of A-Z a-z 0-9 . _ -"
        )


def _check_following(settings: Settings) -> None:
    others = [
        f"PDP_{name.upper()}"
        for name in sorted(settings.model_fields_set)
        if name.startswith("follow_")
    ]
    if not settings.follow:
        if others:
            raise ConfigError(
                f"{others[0]}: is used only with PDP_FOLLOW. Set that, or leave it out."
            )
        return
    if settings.workers != 1:
        raise ConfigError(
            "PDP_WORKERS: a server that follows another one has one process. Start several servers."
        )
    if (settings.follow_cert_file is None) != (settings.follow_cert_key_file is None):
        raise ConfigError(
            "PDP_FOLLOW_CERT_FILE, PDP_FOLLOW_CERT_KEY_FILE: belong together. Set both or none."
        )
    if settings.follow_key_file is None:
        raise ConfigError(
            "PDP_FOLLOW_KEY_FILE: is required: only a credential of the role follower gets "
            "policies. Set it to a file with such an API key, or token."
        )


def check_limits(settings: Settings) -> None:
    """Refuses settings of shared counters that would have no effect.

    Raises:
        ConfigError: such a setting is used; the message says what to do.
    """
    if not settings.limits_url:
        if "limits_budget_ms" in settings.model_fields_set:
            raise ConfigError(
                "PDP_LIMITS_BUDGET_MS: is used only with PDP_LIMITS_URL. Set that, or leave it out."
            )
    elif settings.follow:
        raise ConfigError(
            "PDP_LIMITS_URL: a server that follows another one counts no limits: it asks that "
            "server. Set it there, and leave it out here."
        )


def check_own_counters(settings: Settings) -> None:
    """Refuses shared counters where decisions are made in the process of the caller.

    Raises:
        ConfigError: `limits_url` is set; the message says what to do.
    """
    if settings.limits_url:
        raise ConfigError(
            "PDP_LIMITS_URL: only a server uses shared counters. Decisions in this process would "
            "count limits in the database, where the servers do not see them. Ask a server, or "
            "unset it."
        )


def _check_saved_policies(settings: Settings) -> None:
    others = sorted(settings.model_fields_set & {"snapshot_key_file", "snapshot_max_age_s"})
    if others and settings.snapshot_dir is None:
        raise ConfigError(
            f"PDP_{others[0].upper()}: is used only with PDP_SNAPSHOT_DIR. Set that, or leave it "
            "out."
        )


def _check_listeners(settings: Settings) -> None:
    """Refuses listeners that other machines can reach, because callers need no credential."""
    may = "is an admin" if settings.auth == "dev" else "may request decisions"
    for name, address in (
        ("PDP_GRPC_LISTEN", settings.grpc_listen),
        ("PDP_HTTP_LISTEN", settings.http_listen),
    ):
        if settings.auth == "local-pep" and address.lower().startswith("localhost:"):
            raise ConfigError(
                f"{name}: {address} is a name, which may resolve to any address. "
                "With PDP_AUTH=local-pep, use 127.0.0.1:PORT or unix:PATH."
            )
        if not is_loopback(address):
            raise ConfigError(
                f"{name}: {address} is not a loopback address, and with PDP_AUTH={settings.auth} "
                f"every caller {may}. Use 127.0.0.1:PORT or unix:PATH, or set PDP_AUTH=required."
            )


def _check_credentials(settings: Settings) -> None:
    """Refuses settings that leave open whose tokens or certificates are accepted."""
    keys = [settings.jwt_jwks, settings.jwt_secret_file]
    if any([settings.jwt_issuer, settings.jwt_audience, *keys]):
        for name, value in (
            ("PDP_JWT_ISSUER", settings.jwt_issuer),
            ("PDP_JWT_AUDIENCE", settings.jwt_audience),
        ):
            if not value:
                raise ConfigError(
                    f"{name}: tokens need both PDP_JWT_ISSUER and PDP_JWT_AUDIENCE; otherwise "
                    "tokens of other issuers, or for other services, would be accepted. Set it."
                )
        if len([key for key in keys if key]) != 1:
            raise ConfigError(
                "PDP_JWT_JWKS, PDP_JWT_SECRET_FILE: tokens need one of the two. Set PDP_JWT_JWKS "
                "for public keys or PDP_JWT_SECRET_FILE for HS256, not both."
            )
    if settings.clients_file is not None and settings.tls_client_ca_file is None:
        raise ConfigError(
            "PDP_CLIENTS_FILE: the server requests client certificates only with "
            "PDP_TLS_CLIENT_CA_FILE. Set it, too."
        )
