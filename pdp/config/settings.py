"""The settings, each with its default. A description is the help of its flag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pdp.config.values import (
    Address,
    FollowUrl,
    LimitsUrl,
    LiteLLMField,
    LogLevel,
    NamedPath,
    PublicUrl,
    SigningKey,
    StoreUrl,
    TenantList,
    lower,
)


class Settings(BaseSettings):
    """All settings. Each is a flag of `pdp serve`, a variable `PDP_…` and a key of the file."""

    model_config = SettingsConfigDict(env_prefix="PDP_", extra="forbid", frozen=True)

    file: ClassVar[Path | None] = None

    grpc_listen: Address = Field(
        "127.0.0.1:50051", description="Address of the gRPC server: host:port, or unix:PATH."
    )
    grpc_server: Annotated[Literal["grpcio", "native", "auto"], BeforeValidator(lower)] = Field(
        "grpcio",
        description="grpcio; native: pygrpc-native, faster; auto: native if possible.",
    )
    http_listen: Address = Field(
        "127.0.0.1:8080", description="Address of the HTTP server: host:port, or unix:PATH."
    )
    console: Annotated[Literal["on", "off"], BeforeValidator(lower)] = Field(
        "on", description="off: do not serve the web console at /console/."
    )
    public_url: PublicUrl = Field(
        "",
        description="URL at which clients reach HTTP, for AuthZEN metadata, which has the address "
        "without it, and for links in alerts.",
    )
    authzen_access_request: Annotated[Literal["off", "on"], BeforeValidator(lower)] = Field(
        "off", description="on: AuthZEN denials that need an approval offer an access request."
    )
    data_dir: NamedPath = Field(Path("var"), description="Directory of the default database.")
    database_url: StoreUrl = Field(
        "",
        repr=False,  # it may hold a password
        description="sqlite:///PATH, or postgresql://HOST/DATABASE; if empty, pdp.db in the data "
        "directory.",
    )
    auth: Annotated[Literal["dev", "local-pep", "required"], BeforeValidator(lower)] = Field(
        "required",
        description="required: credentials. local-pep: callers on loopback may decide without. "
        "dev: every caller is an admin, on loopback only.",
    )
    local_tenant: str = Field(
        "", description="With local-pep: the tenant of calls without a credential."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that share the ports.")
    log_level: Annotated[LogLevel, BeforeValidator(lower)] = Field(
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
    audit_mode: Annotated[Literal["durable", "async"], BeforeValidator(lower)] = Field(
        "durable",
        description="durable: answer when the decision's record is on disk. async: do not wait.",
    )
    audit_url: StoreUrl = Field(
        "",
        repr=False,  # it may hold a password
        description="sqlite:///PATH of decision records, or postgresql://HOST/DATABASE that all "
        "replicas share; if empty, audit.db by the database.",
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
