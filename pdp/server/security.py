"""Who may call, as the settings say: composed here, asked by the chain of guards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.auth.client_certificates import read_clients
from pdp.auth.credentials import CredentialAuthenticator
from pdp.auth.keys import KeyRing
from pdp.auth.principal import DevelopmentAuthenticator
from pdp.auth.rate_limits import RateLimiter
from pdp.domain.api_key import KIND
from pdp.transport.admission import Services

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.auth.jwt import TokenVerifier
    from pdp.auth.key_source import KeySource
    from pdp.config import Settings
    from pdp.publisher import Publisher
    from pdp.transport.metrics import Metrics


class Security:
    """What finds out who calls, and what keeps that up to date."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        """Takes the settings, and the publisher whose platform has the API keys.

        Raises:
            ConfigError: a file that the settings name cannot be used.
        """
        self._settings = settings
        self._keys = KeyRing(lambda: publisher.platform.policies.of_kind(KIND))
        self._clients = read_clients(settings.clients_file)
        self._source: KeySource | None = None
        self._tokens: TokenVerifier | None = None

    async def start(self) -> None:
        """Reads the keys of tokens for the first time, where tokens are taken.

        Raises:
            ConfigError: a file that the settings name cannot be used.
        """
        settings = self._settings
        if settings.auth == "dev" or not settings.jwt_audience:
            return
        # Who takes no tokens need not wait for what verifies them to be loaded.
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
        )
        self._source = source
        self._tokens = TokenVerifier(rules, source.current, source.report_unknown_key)

    async def follow(self) -> None:
        """Keeps the keys of tokens fresh, until cancelled."""
        if self._source is not None:
            await self._source.follow()

    def services(self, metrics: Metrics) -> Services:
        """Returns what the guards work with; call it after `start`."""
        settings = self._settings
        rates = None
        if settings.rate_per_s:
            rates = RateLimiter(
                settings.rate_per_s, settings.rate_burst or max(1, settings.rate_per_s)
            )
        if settings.auth == "dev":
            return Services(DevelopmentAuthenticator(), metrics, rates)
        metrics.gauge("pdp_api_keys", "API keys that count.", lambda: len(self._keys))
        authenticator = CredentialAuthenticator(
            self._keys, self._tokens, self._clients, metrics.refused
        )
        return Services(authenticator, metrics, rates)

    @property
    def locked(self) -> bool:
        """Whether nobody can call at all: credentials are required, and there are none."""
        nobody = not (len(self._keys) or self._tokens is not None or len(self._clients))
        return self._settings.auth == "required" and nobody


def for_development(metrics: Metrics) -> Services:
    """Returns what the guards work with where everyone is an admin."""
    return Services(DevelopmentAuthenticator(), metrics)


def for_owner(name: str) -> Callable[[Metrics], Services]:
    """Returns the same for who has the database itself, and is called `name` in its log."""
    return lambda metrics: Services(DevelopmentAuthenticator(name), metrics)
