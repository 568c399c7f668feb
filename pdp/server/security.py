"""Builds the authentication and rate limits of calls from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.auth.client_certificates import read_clients
from pdp.auth.credentials import CredentialAuthenticator
from pdp.auth.keys import KeyRing
from pdp.auth.local_pep import LocalPepAuthenticator
from pdp.auth.principal import DevelopmentAuthenticator
from pdp.auth.rate_limits import RateLimiter
from pdp.transport.admission import Services

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.auth.jwt import TokenVerifier
    from pdp.auth.key_source import KeySource
    from pdp.config import Settings
    from pdp.domain.api_key import ApiKey
    from pdp.transport.metrics import Metrics


class Security:
    """The credentials of callers, and the updates of their keys."""

    def __init__(self, settings: Settings, api_keys: Callable[[], Mapping[str, ApiKey]]) -> None:
        """Takes the settings, and what returns the API keys that are in force, by their ids.

        Raises:
            ConfigError: a file in the settings cannot be used.
        """
        self._settings = settings
        self._keys = KeyRing(api_keys)
        self._clients = read_clients(settings.clients_file)
        self._source: KeySource | None = None
        self._tokens: TokenVerifier | None = None

    async def start(self) -> None:
        """Reads the keys of JWTs, if the settings accept JWTs.

        Raises:
            ConfigError: a file in the settings cannot be used.
        """
        settings = self._settings
        if settings.auth == "dev" or not settings.jwt_audience:
            return
        # These modules are slow to import, and needed only for JWTs.
        from pdp.auth.jwks import read_secret  # noqa: PLC0415
        from pdp.auth.jwt import TokenRules, TokenVerifier  # noqa: PLC0415
        from pdp.auth.key_source import FixedKeys, key_source  # noqa: PLC0415

        if settings.jwt_secret_file is not None:
            source: KeySource = FixedKeys(read_secret(settings.jwt_secret_file))
        else:
            source = key_source(settings.jwt_jwks)
        await source.start()
        rules = TokenRules(
            settings.jwt_issuer,
            settings.jwt_audience,
            roles_claim=settings.jwt_roles_claim,
            tenants_claim=settings.jwt_tenants_claim,
            groups_claim=settings.jwt_groups_claim,
        )
        self._source = source
        self._tokens = TokenVerifier(rules, source.current, source.report_unknown_key)

    async def follow(self) -> None:
        """Refreshes the keys of JWTs, until cancelled."""
        if self._source is not None:
            await self._source.follow()

    def services(self, metrics: Metrics) -> Services:
        """Returns the services of the guards. Call it after `start`."""
        settings = self._settings
        rates = None
        if settings.rate_per_s:
            rates = RateLimiter(
                settings.rate_per_s, settings.rate_burst or max(1, settings.rate_per_s)
            )
        if settings.auth == "dev":
            return Services(DevelopmentAuthenticator(), metrics, rates)
        metrics.gauge("pdp_api_keys", "Valid API keys.", lambda: len(self._keys))
        authenticator = CredentialAuthenticator(
            self._keys, self._tokens, self._clients, metrics.refused_credential
        )
        if settings.auth == "local-pep":
            local = LocalPepAuthenticator(settings.local_tenant, authenticator)
            return Services(local, metrics, rates)
        return Services(authenticator, metrics, rates)

    @property
    def locked(self) -> bool:
        """Whether all calls are refused: credentials are required, but there are none."""
        no_credentials = not (len(self._keys) or self._tokens is not None or len(self._clients))
        return self._settings.auth == "required" and no_credentials


def development_services(metrics: Metrics) -> Services:
    """Returns the services of the guards for development mode: every caller is an admin."""
    return Services(DevelopmentAuthenticator(), metrics)


def local_services(name: str) -> Callable[[Metrics], Services]:
    """Returns the services of the guards for a local caller with access to the database.

    Args:
        name: the name of the caller in the change log.
    """
    return lambda metrics: Services(DevelopmentAuthenticator(name), metrics)
