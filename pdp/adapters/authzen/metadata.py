"""The metadata of the policy decision point: where its endpoints are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pdp.adapters.authzen.answers import ADVERTISED
from pdp.config import split_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.config import Settings

WELL_KNOWN: Final = "/.well-known/authzen-configuration"

EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"
SEARCH_SUBJECT: Final = "/access/v1/search/subject"
SEARCH_RESOURCE: Final = "/access/v1/search/resource"
SEARCH_ACTION: Final = "/access/v1/search/action"
REQUESTS: Final = "/access/v1/requests"

ACCESS_REQUEST: Final = "urn:openid:authzen:capability:access-request"
"""The capability of a server that takes access requests."""

_ENDPOINTS: Final = {
    "access_evaluation_endpoint": EVALUATION,
    "access_evaluations_endpoint": EVALUATIONS,
    "search_subject_endpoint": SEARCH_SUBJECT,
    "search_resource_endpoint": SEARCH_RESOURCE,
    "search_action_endpoint": SEARCH_ACTION,
}

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def public_url(settings: Settings) -> str:
    """Returns the URL of this server; empty if the settings do not tell it.

    It never comes from a request: with the Host header, a caller could choose where the others
    send their requests.
    """
    if settings.public_url:
        return settings.public_url
    if settings.http_listen.startswith("unix:"):
        return ""
    host, port = split_address(settings.http_listen)
    if port == 0 or host in _ANY_ADDRESS:
        return ""
    scheme = "http" if settings.tls_cert_file is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def path_of(url: str) -> str:
    """Returns the path of the metadata of a server: the well-known path before the URL's own."""
    return WELL_KNOWN + urlsplit(url).path


def metadata(url: str, *, takes_requests: bool = False) -> Mapping[str, object]:
    """Returns the metadata of a server.

    Args:
        url: its URL.
        takes_requests: whether it takes access requests.
    """
    endpoints = {name: f"{url}{path}" for name, path in _ENDPOINTS.items()}
    values = {
        "policy_decision_point": url,
        **endpoints,
        "supported_obligations": list(ADVERTISED),
    }
    if takes_requests:
        values["access_request_endpoint"] = f"{url}{REQUESTS}"
        values["capabilities"] = [ACCESS_REQUEST]
    return values
