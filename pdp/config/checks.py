"""Checks of settings that depend on each other, before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.config.addresses import is_loopback
from pdp.domain.tenant import is_tenant_id
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pdp.config.settings import Settings


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
