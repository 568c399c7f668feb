"""The environment variables that the product reads, and the check for unknown `PDP_*` variables.

A misspelt variable is a setting that its owner believes to be in force: with `PDP_TLS_CERT` in
place of `PDP_TLS_CERT_FILE`, a server would start in plaintext. So `pdp serve` refuses unknown
variables, and other commands warn.

This module must stay cheap to import: `pdp health` runs it every few seconds in a container.
`pdp.config` costs more than the whole probe.
"""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX: Final = "PDP_"

IGNORED: Final = "PDP_IGNORE_SETTINGS"
"""Lists variables that are not checked, separated by commas: for a rollback to an older release."""

SETTINGS: Final = frozenset(
    {
        "PDP_ADAPTERS_FILE",
        "PDP_ALERT_HOSTS",
        "PDP_ALERT_NETWORKS",
        "PDP_ALERT_WINDOW_S",
        "PDP_AUDIT_KEY_FILE",
        "PDP_AUDIT_MAX_MB",
        "PDP_AUDIT_MODE",
        "PDP_AUDIT_QUEUE",
        "PDP_AUDIT_RETENTION_DAYS",
        "PDP_AUDIT_URL",
        "PDP_AUTH",
        "PDP_AUTHZEN_ACCESS_REQUEST",
        "PDP_CHANGE_LOG_DAYS",
        "PDP_CLIENTS_FILE",
        "PDP_CONSOLE",
        "PDP_DATABASE_URL",
        "PDP_DATA_DIR",
        "PDP_DRAIN_S",
        "PDP_FOLLOW",
        "PDP_FOLLOW_CA_FILE",
        "PDP_FOLLOW_CERT_FILE",
        "PDP_FOLLOW_CERT_KEY_FILE",
        "PDP_FOLLOW_KEY_FILE",
        "PDP_FOLLOW_MAX_AGE_S",
        "PDP_FOLLOW_MAX_TENANTS",
        "PDP_FOLLOW_MAX_UNSENT",
        "PDP_FOLLOW_SIGNING_KEY",
        "PDP_FOLLOW_TENANTS",
        "PDP_GLINER_MODEL_DIR",
        "PDP_GRPC_LISTEN",
        "PDP_GRPC_SERVER",
        "PDP_HTTP_LISTEN",
        "PDP_JWT_AUDIENCE",
        "PDP_JWT_ISSUER",
        "PDP_JWT_JWKS",
        "PDP_JWT_ROLES_CLAIM",
        "PDP_JWT_SECRET_FILE",
        "PDP_JWT_GROUPS_CLAIM",
        "PDP_JWT_TENANTS_CLAIM",
        "PDP_LIMITS_BUDGET_MS",
        "PDP_LIMITS_URL",
        "PDP_LITELLM_CUSTOMER",
        "PDP_LITELLM_TENANT",
        "PDP_LITELLM_USER",
        "PDP_LOCAL_TENANT",
        "PDP_LOG_LEVEL",
        "PDP_NER_BUDGET_MS",
        "PDP_NER_MODEL_DIR",
        "PDP_OTEL_ENDPOINT",
        "PDP_PREWARM_TENANTS",
        "PDP_PUBLIC_URL",
        "PDP_RATE_BURST",
        "PDP_RATE_PER_S",
        "PDP_RISK_FILE",
        "PDP_SIEM_FLUSH_S",
        "PDP_SIEM_SPOOL_MB",
        "PDP_SNAPSHOT_DIR",
        "PDP_SNAPSHOT_KEY_FILE",
        "PDP_SNAPSHOT_MAX_AGE_S",
        "PDP_TENANT_CACHE_MB",
        "PDP_TLS_CERT_FILE",
        "PDP_TLS_CLIENT_CA_FILE",
        "PDP_TLS_KEY_FILE",
        "PDP_WORKERS",
    }
)
"""The settings of `pdp.config.Settings`, in any case; a test compares the two."""

CLIENT: Final = frozenset(
    {
        "PDP_API_KEY",
        "PDP_MCP_AUDITOR_KEY",
        "PDP_MCP_UPSTREAM_AUTHORIZATION",
        "PDP_SERVER",
        "PDP_TLS",
        "PDP_TLS_CA_FILE",
        "PDP_TLS_CLIENT_CERT_FILE",
        "PDP_TLS_CLIENT_KEY_FILE",
        "PDP_TLS_SERVER_NAME",
        "PDP_TOKEN",
    }
)
"""Options of the commands that call a server. A container has them for its health check."""

_KNOWN: Final = SETTINGS | CLIENT | {IGNORED}

_KUBERNETES: Final = re.compile(
    r"PDP_(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)"
)
"""What Kubernetes sets for a Service that is named `pdp` or `pdp-…`, except `PDP_[…_]PORT`."""

_KUBERNETES_PORT: Final = re.compile(r"PDP_(?:[A-Z0-9_]+_)?PORT")
_KUBERNETES_URL: Final = re.compile(r"(?:tcp|udp|sctp)://\S+:\d+")


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Returns the `PDP_*` variables that the product does not read, sorted.

    Variables that Kubernetes sets for Services are left out, and so are those that
    `PDP_IGNORE_SETTINGS` lists.
    """
    ignored = {name.strip() for name in environment.get(IGNORED, "").split(",")}
    return sorted(
        name
        for name, value in environment.items()
        if name.upper().startswith(PREFIX)
        and name.upper() not in SETTINGS
        and name not in _KNOWN
        and name not in ignored
        and not _of_kubernetes(name, value)
    )


def check_variables(environment: Mapping[str, str]) -> None:
    """Refuses unknown `PDP_*` variables.

    Raises:
        ConfigError: there are unknown variables. The message names the closest known ones.
    """
    unknown = unknown_variables(environment)
    if unknown:
        raise ConfigError(_explain(unknown))


def warn_of_variables(environment: Mapping[str, str]) -> None:
    """Warns on stderr of unknown `PDP_*` variables."""
    unknown = unknown_variables(environment)
    if unknown:
        print(f"pdp: warning: {_explain(unknown)}", file=sys.stderr)


def _explain(unknown: Sequence[str]) -> str:
    sentences = [f"{name}: no such setting. {_advice(name)}" for name in unknown]
    return " ".join([*sentences, f"To ignore a variable, list it in {IGNORED}."])


def _advice(name: str) -> str:
    stems = [known.removeprefix(PREFIX) for known in sorted(_KNOWN)]
    closest = get_close_matches(name.upper().removeprefix(PREFIX), stems)
    if closest:
        return f"Did you mean {' or '.join(PREFIX + stem for stem in closest)}?"
    return "`pdp serve --help` lists the settings."


def _of_kubernetes(name: str, value: str) -> bool:
    if _KUBERNETES.fullmatch(name):
        return True
    # A PDP_PORT that somebody set by hand is a number.
    return bool(_KUBERNETES_PORT.fullmatch(name) and _KUBERNETES_URL.fullmatch(value))
