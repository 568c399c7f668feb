"""Unknown `PDP_*` variables: which are refused, and which are not checked."""

from __future__ import annotations

import pytest

from pdp.config import Settings
from pdp.environment import CLIENT, IGNORED, SETTINGS, check_variables, warn_of_variables
from pdp.errors import ConfigError
from tests.support.kubernetes import THREE_SERVICES, service_variables

UNKNOWN = [
    ("PDP_TLS_CERT", "server.crt", "PDP_TLS_CERT_FILE"),
    ("PDP_WORKER", "4", "PDP_WORKERS"),
    ("PDP_DRAIN", "3", "PDP_DRAIN_S"),
    ("PDP_HTTP_PORT", "80", "PDP_HTTP_LISTEN"),
    ("PDP_PORT", "8080", "pdp serve --help"),
    ("PDP_COLOUR", "red", "pdp serve --help"),
    ("pdp_tls_cert", "server.crt", "PDP_TLS_CERT_FILE"),
    ("pdp_api_key", "secret", "PDP_API_KEY"),
]
"""Each with a value, and a part of the message."""


def test_the_list_of_settings_is_complete() -> None:
    """It is separate from the settings, so that it can be imported quickly."""
    assert {f"PDP_{name.upper()}" for name in Settings.model_fields} == SETTINGS


@pytest.mark.parametrize("name", sorted(SETTINGS | CLIENT | {IGNORED}))
def test_known_variables_are_accepted(name: str) -> None:
    check_variables({name: "x"})


def test_settings_are_accepted_in_any_case() -> None:
    check_variables({"pdp_auth": "dev", "Pdp_Workers": "2"})


@pytest.mark.parametrize(("name", "value", "advice"), UNKNOWN)
@pytest.mark.parametrize("services", [{}, THREE_SERVICES], ids=["alone", "in Kubernetes"])
def test_unknown_variables_are_refused(
    services: dict[str, str], name: str, value: str, advice: str
) -> None:
    """The message has the closest names, even if the variables of Kubernetes are set too."""
    with pytest.raises(ConfigError, match=f"^{name}: no such setting. .*{advice}"):
        check_variables({**services, name: value})


def test_one_message_names_all_unknown_variables() -> None:
    with pytest.raises(ConfigError, match=r"PDP_A1: .* PDP_B2: .* list it in PDP_IGNORE_SETTINGS"):
        check_variables({"PDP_B2": "", "PDP_A1": ""})


def test_variables_of_other_programs_are_ignored() -> None:
    """They do not have the prefix."""
    check_variables({"PATH": "/bin", "XPDP_TLS_CERT": "x", "PDPX": "x", "_PDP_WORKER_FD": "3"})


@pytest.mark.parametrize(("name", "value"), sorted(THREE_SERVICES.items()))
def test_variables_of_kubernetes_are_accepted(name: str, value: str) -> None:
    """Kubernetes sets them for Services named pdp, pdp-http and pdp-valkey."""
    check_variables({name: value})


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_all_protocols_of_kubernetes_are_accepted(protocol: str) -> None:
    """A Service has one of three protocols."""
    check_variables(service_variables("pdp-tls-cert", {"a": 1, "b-2": 65535}, protocol=protocol))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PDP_PORT", "tcp:10.0.0.1"),
        ("PDP_PORT", "tcp://10.0.0.1"),
        ("PDP_PORT", "http://10.0.0.1:80"),
        ("PDP_PORT", ""),
        ("PDP_PORT_80", "tcp://10.0.0.1:80"),
        ("PDP_PORT_80_HTTP", "tcp://10.0.0.1:80"),
        ("PDP_PORT_80_TCP_HOST", "10.0.0.1"),
        ("PDP_PORT_HTTP_TCP", "tcp://10.0.0.1:80"),
        ("PDP_SERVICE", "pdp"),
        ("PDP_SERVICE_NAME", "pdp"),
        ("PDP_SERVICE_HOSTS", "10.0.0.1"),
        ("PDP_XSERVICE_HOST", "10.0.0.1"),
        ("PDP_XPORT", "tcp://10.0.0.1:80"),
        ("pdp_service_host", "10.0.0.1"),
    ],
)
def test_variables_that_resemble_those_of_kubernetes_are_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: no such setting"):
        check_variables({name: value})


def test_variables_in_pdp_ignore_settings_are_accepted() -> None:
    """So a rollback need not remove the variables of the newer release."""
    newer = {"PDP_VALKEY_URL": "valkey://x", "PDP_NEW": "1"}
    check_variables({**newer, "PDP_IGNORE_SETTINGS": "PDP_VALKEY_URL, PDP_NEW"})
    with pytest.raises(ConfigError, match=r"^PDP_NEW: no such setting"):
        check_variables({**newer, "PDP_IGNORE_SETTINGS": "PDP_VALKEY_URL,"})


def test_other_commands_warn_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands other than `pdp serve` warn on stderr."""
    warn_of_variables({**THREE_SERVICES, "PDP_AUTH": "dev"})
    assert capsys.readouterr() == ("", "")
    warn_of_variables({"PDP_SERVR": "localhost:1", "PDP_TLS_CERT": "x"})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("pdp: warning: PDP_SERVR: no such setting. Did you mean")
    assert "PDP_SERVER" in captured.err
    assert captured.err.count("\n") == 1
