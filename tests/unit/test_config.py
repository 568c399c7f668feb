"""Settings: precedence of their sources, and which values are refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pdp.config import Settings, check_auth, is_loopback, load, split_address
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the settings of the user who runs the tests."""
    for name in list(os.environ):
        if name.startswith("PDP_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_safe() -> None:
    """They are loopback addresses and required credentials."""
    settings = load({})
    assert settings.grpc_listen == "127.0.0.1:50051"
    assert settings.http_listen == "127.0.0.1:8080"
    assert settings.store_url == "sqlite:///var/pdp.db"
    assert settings.auth == "required"
    assert settings.workers == 1
    assert settings.log_level == "info"


def test_flags_override_the_environment_which_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_every_setting_has_a_description(name: str) -> None:
    """`--help` shows it."""
    assert (Settings.model_fields[name].description or "").endswith(".")


def test_the_database_url_overrides_the_directory() -> None:
    """The data directory holds the database only if no URL is set."""
    assert load({"data_dir": "/data"}).store_url == "sqlite:////data/pdp.db"
    settings = load({"data_dir": "/data", "database_url": "sqlite:///x.db"})
    assert settings.store_url == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("log_level", "INFO", "info"),
        ("log_level", "Warning", "warning"),
        ("auth", "Dev", "dev"),
        ("audit_mode", "ASYNC", "async"),
    ],
)
def test_enumerations_are_accepted_in_any_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    """Every source accepts them."""
    assert getattr(load({name: value}), name) == expected
    file = tmp_path / "pdp.toml"
    file.write_text(f'{name} = "{value}"')
    assert getattr(load({}, file), name) == expected
    monkeypatch.setenv(f"PDP_{name.upper()}", value)
    assert getattr(load({}), name) == expected


REFUSED = [
    ("workers", "0", "'0' is out of range. Use a whole number from 1 to 64."),
    ("workers", "65", "'65' is out of range. Use a whole number from 1 to 64."),
    ("workers", "many", "'many' is not a whole number. Use a whole number from 1 to 64."),
    ("workers", "1.5", "'1.5' is not a whole number. Use a whole number from 1 to 64."),
    ("audit_max_mb", "-1", "'-1' is out of range. Use a whole number of at least 0."),
    ("drain_s", "-1", "'-1' is out of range. Use a number from 0 to 600."),
    ("drain_s", "nan", "'nan' is out of range. Use a number from 0 to 600."),
    ("drain_s", "10s", "'10s' is not a number. Use a number from 0 to 600."),
    ("siem_flush_s", "0", "'0' is out of range. Use a number above 0, at most 300."),
    ("rate_per_s", "-1", "'-1' is out of range. Use a number of at least 0."),
    ("auth", "none", "'none' is unknown. Use dev, local-pep or required."),
    ("log_level", "loud", "'loud' is unknown. Use debug, info, warning or error."),
    ("audit_mode", "", "'' is unknown. Use durable or async."),
    ("grpc_listen", "50051", "'50051' is not an address. Use HOST:PORT or unix:PATH."),
    ("http_listen", "", "'' is not an address. Use HOST:PORT or unix:PATH."),
    ("clients_file", "", "the path is empty. Name a path, or leave the setting out."),
    ("data_dir", "", "the path is empty. Name a path, or leave the setting out."),
    ("database_url", "foo", "'foo' is not a URL. Use sqlite:///PATH."),
    ("audit_url", "audit.db", "'audit.db' is not a URL. Use sqlite:///PATH."),
]
"""Settings with an invalid value, and the message."""


@pytest.mark.parametrize(("name", "value", "message"), REFUSED)
def test_an_invalid_value_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    """The message names the variable and the source, and says what to do."""
    variable = f"PDP_{name.upper()}"
    assert refusal({name: value}) == f"{variable} (--{name.replace('_', '-')}): {message}"
    file = tmp_path / "pdp.toml"
    file.write_text(f'{name} = "{value}"')
    assert refusal({}, file) == f"{variable} ({name} in {file}): {message}"
    monkeypatch.setenv(variable, value)
    assert refusal({}) == f"{variable}: {message}"
    assert refusal({}, file) == f"{variable}: {message}"


def refusal(flags: dict[str, Any], file: Path | None = None) -> str:
    """Returns the message for invalid settings."""
    with pytest.raises(ConfigError) as caught:
        load(flags, file)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workers = [1]", "PDP_WORKERS (workers in {}): [1] is not a whole number. Use a"),
        ("workers = 1.5", "PDP_WORKERS (workers in {}): 1.5 is not a whole number. Use a"),
        ("drain_s = {}", "PDP_DRAIN_S (drain_s in {}): {{}} is not a number. Use a number"),
        ("auth = true", "PDP_AUTH (auth in {}): True is unknown. Use dev, local-pep or required."),
        ("data_dir = 5", "PDP_DATA_DIR (data_dir in {}): 5 is not a path. Use text in quotes."),
        ("jwt_jwks = 5", "PDP_JWT_JWKS (jwt_jwks in {}): 5 is not a string. Use text in quotes."),
        ('colour = "red"', "colour in {}: no such setting. `pdp serve --help` lists the settings."),
        ("worker = 1", "worker in {}: no such setting. Did you mean workers?"),
        ("workers = [", "--config: {} is not valid TOML (at end of document). Correct it."),
        ("a = 1\nb = c", "--config: {} is not valid TOML (at line 2, column 5). Correct it."),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """It has an unknown key or a value of another type, or it is not TOML."""
    file = tmp_path / "pdp.toml"
    file.write_text(text)
    assert refusal({}, file).startswith(message.format(file))


def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not text, or the process has no permission to read it."""
    file = tmp_path / "pdp.toml"
    file.write_bytes(b'data_dir = "\xff"')
    assert refusal({}, file) == f"--config: {file} is not UTF-8 text. Save it as UTF-8."

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pdp.config.settings.TomlConfigSettingsSource", refuse)
    assert refusal({}, file) == (
        f"--config: {file} cannot be read: Permission denied. Allow this process to read it."
    )


def test_an_unknown_setting_is_refused() -> None:
    assert refusal({"colour": "red"}).startswith("colour: no such setting.")


def test_a_long_value_is_truncated_in_the_message() -> None:
    """A message shows at most 100 characters of a value."""
    message = refusal({"workers": "9" * 10_000})
    assert message.startswith("PDP_WORKERS (--workers): '999")
    assert message.endswith("9… is out of range. Use a whole number from 1 to 64.")
    assert len(message) < 200


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load({}, tmp_path / "missing.toml")


def test_one_message_names_all_invalid_settings() -> None:
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
def test_an_address_has_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    """IPv6 hosts have brackets."""
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["", "8080", "localhost", ":8080", "host:", "host:65536", "h:x"]
)
def test_a_malformed_address_is_refused(address: str) -> None:
    """The message shows the valid forms."""
    with pytest.raises(ConfigError, match="Use HOST:PORT or unix:PATH"):
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
def test_only_loopback_addresses_count_as_loopback(address: str, expected: bool) -> None:
    """Only this machine can reach them."""
    assert is_loopback(address) is expected


@pytest.mark.parametrize("field", ["grpc_listen", "http_listen"])
def test_development_mode_requires_loopback_addresses(field: str) -> None:
    """Every caller is an admin, so other machines must not reach the server."""
    check_auth(load({"auth": "dev"}))
    with pytest.raises(ConfigError, match=f"^PDP_{field.upper()}: 0.0.0.0:1 is not a loopback"):
        check_auth(load({"auth": "dev", field: "0.0.0.0:1"}))


LOCAL = {"auth": "local-pep", "local_tenant": "acme"}


@pytest.mark.parametrize("field", ["grpc_listen", "http_listen"])
@pytest.mark.parametrize(
    "address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost:1", "LOCALHOST:1", "pdp.example:1"]
)
def test_local_callers_require_local_listeners(field: str, address: str) -> None:
    """Callers without a credential may decide, so other machines must not reach the server."""
    for local in ("127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "unix:/run/pdp.sock"):
        check_auth(load({**LOCAL, field: local}))
    with pytest.raises(ConfigError, match=f"^PDP_{field.upper()}: "):
        check_auth(load({**LOCAL, field: address}))


@pytest.mark.parametrize("tenant", ["", "*", "a b", "a/b", "t" * 129])
def test_local_callers_require_one_tenant(tenant: str) -> None:
    check_auth(load({**LOCAL, "local_tenant": "t" * 128}))
    with pytest.raises(ConfigError, match=r"^PDP_LOCAL_TENANT: is "):
        check_auth(load({**LOCAL, "local_tenant": tenant}))


@pytest.mark.parametrize("auth", ["dev", "required"])
def test_a_local_tenant_without_local_callers_is_refused(auth: str) -> None:
    """Its owner believes that calls need no credential, or that they are for one tenant only."""
    with pytest.raises(ConfigError, match=r"^PDP_LOCAL_TENANT: is used only"):
        check_auth(load({**LOCAL, "auth": auth}))


def test_with_required_credentials_any_address_is_allowed() -> None:
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
@pytest.mark.parametrize("mode", [{"auth": "required"}, LOCAL], ids=["required", "local-pep"])
def test_incomplete_credential_settings_are_refused(
    mode: dict[str, str], changes: dict[str, Any], message: str
) -> None:
    """They would accept tokens or certificates of others."""
    check_auth(load({**mode, **TOKENS}))
    with pytest.raises(ConfigError, match=message):
        check_auth(load({**mode, **TOKENS, **changes}))


@pytest.mark.parametrize(
    "setting", [{"snapshot_key_file": "snapshot.key"}, {"snapshot_max_age_s": 60}]
)
def test_settings_of_saved_policies_need_their_directory(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(ConfigError, match=f"PDP_{name.upper()}: .* PDP_SNAPSHOT_DIR"):
        check_auth(load(setting))
    check_auth(load({"snapshot_dir": "saved", **setting}))
