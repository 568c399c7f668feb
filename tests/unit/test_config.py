"""Settings: where each is taken from, and what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pdp.config import Settings, check_auth, is_loopback, load, split_address
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests do not count."""
    for name in list(os.environ):
        if name.startswith("PDP_"):
            monkeypatch.delenv(name)


def test_defaults() -> None:
    """The defaults are those of the issue."""
    settings = load({})
    assert settings.grpc_listen == "127.0.0.1:50051"
    assert settings.http_listen == "127.0.0.1:8080"
    assert settings.store_url == "sqlite:///var/pdp.db"
    assert settings.auth == "required"
    assert settings.workers == 1
    assert settings.log_level == "info"


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag beats the environment beats the file beats the default."""
    file = tmp_path / "pdp.toml"
    file.write_text('grpc_listen = "127.0.0.1:1"\nhttp_listen = "127.0.0.1:1"\nworkers = 2\n')
    monkeypatch.setenv("PDP_GRPC_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("PDP_HTTP_LISTEN", "127.0.0.1:2")
    settings = load({"grpc_listen": "127.0.0.1:3", "http_listen": None}, file)
    assert settings.grpc_listen == "127.0.0.1:3"
    assert settings.http_listen == "127.0.0.1:2"
    assert settings.workers == 2
    assert settings.log_level == "info"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_described(name: str) -> None:
    """Each has words for `--help`."""
    assert (Settings.model_fields[name].description or "").endswith(".")


def test_database_url_beats_the_directory() -> None:
    """The data directory is where the database lies only where none is named."""
    assert load({"data_dir": "/data"}).store_url == "sqlite:////data/pdp.db"
    named = load({"data_dir": "/data", "database_url": "sqlite:///x.db"})
    assert named.store_url == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"workers": "0"}, r"workers \(PDP_WORKERS\)"),
        ({"workers": "many"}, r"workers \(PDP_WORKERS\)"),
        ({"auth": "none"}, r"auth \(PDP_AUTH\)"),
        ({"log_level": "loud"}, r"log_level \(PDP_LOG_LEVEL\)"),
        ({"drain_s": "-1"}, r"drain_s \(PDP_DRAIN_S\)"),
        ({"colour": "red"}, "colour"),
        ({"grpc_listen": "50051"}, r'grpc_listen \(PDP_GRPC_LISTEN\): "50051" is no address'),
        ({"http_listen": ""}, r'http_listen \(PDP_HTTP_LISTEN\): "" is no address'),
        ({"clients_file": ""}, r"clients_file \(PDP_CLIENTS_FILE\): is empty; name a path"),
        ({"data_dir": ""}, r"data_dir \(PDP_DATA_DIR\): is empty; name a path"),
    ],
)
def test_refused_flags(flags: dict[str, Any], message: str) -> None:
    """A setting out of its bounds is refused by its name and its variable's."""
    with pytest.raises(ConfigError, match=message):
        load(flags)


def test_refused_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is held to the same bounds."""
    monkeypatch.setenv("PDP_WORKERS", "65")
    with pytest.raises(ConfigError, match="PDP_WORKERS"):
        load({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('colour = "red"', "colour"),
        ("workers = 0", "PDP_WORKERS"),
        ("workers = [", "pdp.toml"),
    ],
)
def test_refused_files(tmp_path: Path, text: str, message: str) -> None:
    """A file with a key that is no setting, or that is no TOML, is refused."""
    file = tmp_path / "pdp.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load({}, file)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is named must be there."""
    with pytest.raises(ConfigError, match="does not exist"):
        load({}, tmp_path / "missing.toml")


def test_all_faults_at_once() -> None:
    """Whoever has two settings wrong is told both."""
    with pytest.raises(ConfigError, match=r"PDP_AUTH.*PDP_WORKERS|PDP_WORKERS.*PDP_AUTH"):
        load({"auth": "none", "workers": "0"})


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:50051", ("127.0.0.1", 50051)),
        ("[::1]:8080", ("::1", 8080)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    """Host and port, with brackets around IPv6."""
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["", "8080", "localhost", ":8080", "host:", "host:65536", "h:x"]
)
def test_what_is_no_address(address: str) -> None:
    """Anything else is refused with what to write."""
    with pytest.raises(ConfigError, match="write host:port"):
        split_address(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/run/pdp.sock", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.168.0.1:1", False),
        ("example.com:1", False),
        ("localhost.example.com:1", False),
    ],
)
def test_loopback(address: str, expected: bool) -> None:
    """What only this machine can reach."""
    assert is_loopback(address) is expected


@pytest.mark.parametrize("field", ["grpc_listen", "http_listen"])
def test_development_mode_stays_at_home(field: str) -> None:
    """With everyone an admin, no other machine may reach the server."""
    check_auth(load({"auth": "dev"}))
    with pytest.raises(ConfigError, match=f"PDP_{field.upper()} is 0.0.0.0:1"):
        check_auth(load({"auth": "dev", field: "0.0.0.0:1"}))


def test_credentials_are_required_anywhere() -> None:
    """With credentials the server may be reached from other machines."""
    check_auth(load({"auth": "required", "grpc_listen": "0.0.0.0:1", "http_listen": "[::]:1"}))


TOKENS = {"jwt_issuer": "https://id.example", "jwt_audience": "pdp", "jwt_jwks": "keys.json"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jwt_audience": ""}, "PDP_JWT_AUDIENCE"),
        ({"jwt_issuer": ""}, "PDP_JWT_ISSUER"),
        ({"jwt_jwks": ""}, "PDP_JWT_JWKS"),
        ({"jwt_secret_file": "secret"}, "not both"),
        ({"jwt_audience": "", "jwt_issuer": ""}, "PDP_JWT_AUDIENCE"),
        ({"clients_file": "clients.toml"}, "PDP_TLS_CLIENT_CA_FILE"),
    ],
)
def test_credentials_that_would_be_open(changes: dict[str, Any], message: str) -> None:
    """Nobody's tokens or certificates count but those that were made for this server."""
    check_auth(load({"auth": "required", **TOKENS}))
    with pytest.raises(ConfigError, match=message):
        check_auth(load({"auth": "required", **TOKENS, **changes}))
