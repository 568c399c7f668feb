"""`pdp serve`: one option for each setting, generated from the settings."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pdp.config import Settings

EPILOG: Final = """
\b
The first of these that is given sets a value: option, environment variable, file, default.

\b
Exit codes:
  0    drained after SIGTERM, SIGINT or SIGHUP
  2    an option does not exist
  70   worker processes keep failing
  78   the settings, an address or the database prevent the start; stderr says what to do
  130  ended at once by a second SIGINT (143 by a second SIGTERM, 129 by SIGHUP)

\b
Examples:
  pdp serve --auth dev
  PDP_AUTH=dev PDP_DATA_DIR=/var/lib/pdp pdp serve --grpc-listen unix:/run/pdp.sock
  pdp serve --config pdp.toml --workers 4
  pdp serve --follow https://pdp.internal:50051 --follow-key-file follower.key
"""

_METAVARS: Final = {
    "grpc_listen": "ADDRESS",
    "grpc_server": "grpcio|native|auto",
    "http_listen": "ADDRESS",
    "console": "on|off",
    "public_url": "URL",
    "authzen_access_request": "off|on",
    "data_dir": "DIRECTORY",
    "database_url": "URL",
    "auth": "required|local-pep|dev",
    "local_tenant": "TENANT",
    "workers": "NUMBER",
    "log_level": "LEVEL",
    "drain_s": "SECONDS",
    "tenant_cache_mb": "MEGABYTES",
    "prewarm_tenants": "NUMBER",
    "risk_file": "FILE",
    "siem_flush_s": "SECONDS",
    "siem_spool_mb": "MEGABYTES",
    "alert_window_s": "SECONDS",
    "alert_hosts": "HOST,…",
    "alert_networks": "CIDR,…",
    "ner_model_dir": "DIRECTORY",
    "gliner_model_dir": "DIRECTORY",
    "ner_budget_ms": "MILLISECONDS",
    "tls_cert_file": "FILE",
    "tls_key_file": "FILE",
    "tls_client_ca_file": "FILE",
    "otel_endpoint": "URL",
    "adapters_file": "FILE",
    "clients_file": "FILE",
    "jwt_issuer": "NAME",
    "jwt_audience": "NAME",
    "jwt_jwks": "FILE|URL",
    "jwt_secret_file": "FILE",
    "jwt_roles_claim": "NAME",
    "jwt_tenants_claim": "NAME",
    "jwt_groups_claim": "NAME",
    "rate_per_s": "NUMBER",
    "rate_burst": "NUMBER",
    "limits_url": "URL",
    "limits_budget_ms": "MILLISECONDS",
    "litellm_user": "FIELD",
    "litellm_tenant": "FIELD",
    "litellm_customer": "FIELD",
    "audit_mode": "durable|async",
    "audit_url": "URL",
    "audit_queue": "NUMBER",
    "audit_retention_days": "DAYS",
    "audit_max_mb": "MEBIBYTES",
    "change_log_days": "DAYS",
    "snapshot_dir": "DIRECTORY",
    "snapshot_key_file": "FILE",
    "snapshot_max_age_s": "SECONDS",
    "audit_key_file": "FILE",
    "follow": "URL",
    "follow_tenants": "TENANT,…",
    "follow_key_file": "FILE",
    "follow_ca_file": "FILE",
    "follow_cert_file": "FILE",
    "follow_cert_key_file": "FILE",
    "follow_signing_key": "BASE64",
    "follow_max_age_s": "SECONDS",
    "follow_max_tenants": "NUMBER",
    "follow_max_unsent": "NUMBER",
}


def _serve(config: Path | None, **flags: str | None) -> None:
    """Serve decisions over gRPC and HTTP, until a signal ends it.

    The first SIGTERM, SIGINT or SIGHUP drains the server: health is NOT_SERVING, and calls in
    progress get --drain-s seconds. A second signal ends the process at once.
    """
    from pdp.cli.run.serve import run_server  # noqa: PLC0415 - loads the server

    run_server(flags, config)


def _option(name: str, description: str, default: Any) -> inspect.Parameter:
    shown = f"default: {default}" if default not in ("", None) else "no default"
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        metavar=_METAVARS.get(name, "VALUE"),
        # The settings parse the value, not typer, so that all sources are validated in one way.
        help=f"{description}  [env var: PDP_{name.upper()}; {shown}]",
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _signature() -> inspect.Signature:
    config = typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file of settings; its keys are the names of these options.",
    )
    return inspect.Signature(
        [
            *(
                _option(name, field.description or "", field.default)
                for name, field in Settings.model_fields.items()
            ),
            inspect.Parameter(
                "config",
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[Path | None, config],
            ),
        ]
    )


command = _serve
command.__signature__ = _signature()  # type: ignore[attr-defined] # inspect's own protocol
