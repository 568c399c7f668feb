"""Key sets: which keys are accepted, and how they are refreshed."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from structlog.testing import capture_logs

from pdp.auth import key_source as key_source_module
from pdp.auth.jwks import MAX_JWKS_BYTES, MAX_KEYS, NO_KEYS, parse_jwks, read_secret
from pdp.auth.key_source import JwksFile, JwksUrl, key_source
from pdp.errors import ConfigError
from tests.support.tokens import EC, RSA, SECRET, jwk, jwks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def weak_rsa() -> dict[str, Any]:
    key = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - it is weak on purpose
    return {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": "weak"}


def other_curve() -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    return {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": "curve"}


def test_a_key_is_selected_by_id_and_algorithm() -> None:
    """A key is used only with the algorithm of its type."""
    keys = parse_jwks(jwks())
    assert len(keys) == 3
    for algorithm in ("RS256", "ES256", "EdDSA"):
        key = keys.find(algorithm, algorithm)
        assert key is not None
        assert key.algorithm == algorithm
    assert keys.find("RS256", "ES256") is None
    assert keys.find("RS256", "HS256") is None
    assert keys.find("none", "RS256") is None


@pytest.mark.parametrize(
    "ignored",
    [
        jwk("RS256", kid="x", use="enc"),
        jwk("RS256", kid="x", alg="RS512"),
        jwk("ES256", kid="x", alg="RS256"),
        jwk("RS256", kid="x", n="!!"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "unknown", "kid": "x"},
        {"kid": "x"},
        "no key",
        None,
        weak_rsa(),
        other_curve(),
    ],
    ids=range(11),
)
def test_keys_of_other_types_are_skipped(ignored: Any) -> None:
    """Other keys in a set are skipped; a set without a usable key is refused."""
    assert len(parse_jwks(jwks(jwk("EdDSA"), ignored))) == 1
    with pytest.raises(ValueError, match="no key for RS256"):
        parse_jwks(jwks(ignored))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[]", '"keys"'),
        (b'{"keys": {}}', '"keys"'),
        (b"[" * 100_000, "deep"),
        (json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode(), "at most"),
        (b" " * (MAX_JWKS_BYTES + 1), "larger"),
        (jwks(jwk("RS256"), jwk("RS256")), "two keys"),
        (jwks(RSAAlgorithm.to_jwk(RSA, as_dict=True)), "private"),
        (jwks(ECAlgorithm.to_jwk(EC, as_dict=True)), "private"),
    ],
    ids=range(10),
)
def test_an_invalid_key_set_is_refused(raw: bytes, message: str) -> None:
    """A text that is not a set of public keys is refused as a whole."""
    with pytest.raises(ValueError, match=message):
        parse_jwks(raw)


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    """A secret must be at least as long as the hash."""
    file = tmp_path / "secret"
    file.write_bytes(SECRET[:31])
    with pytest.raises(ConfigError, match="31 bytes"):
        read_secret(file)
    file.write_bytes(SECRET[:16] + b" " * 32)
    with pytest.raises(ConfigError, match="16 bytes"):
        read_secret(file)
    with pytest.raises(ConfigError, match="PDP_JWT_SECRET_FILE"):
        read_secret(tmp_path / "missing")


@pytest.fixture
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets sources refresh without waiting."""
    monkeypatch.setattr(key_source_module, "FILE_INTERVAL_S", 0.001)
    monkeypatch.setattr(key_source_module, "COOLDOWN_S", 0.001)


async def until(condition: Any) -> None:
    """Waits until the condition is true."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("short_intervals")
async def test_a_changed_file_is_reloaded(tmp_path: Path) -> None:
    """The keys change with the file. If the file is faulty, the last keys stay."""
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(jwk("RS256")))
    source = key_source(str(file))
    assert isinstance(source, JwksFile)
    await source.start()
    follower = asyncio.create_task(source.follow())
    first = source.current()
    with capture_logs() as logged:
        file.write_bytes(b"{ broken")
        await until(lambda: any(entry["log_level"] == "error" for entry in logged))
    assert source.current() is first
    file.unlink()
    file.write_bytes(jwks(jwk("ES256")))
    await until(lambda: source.current().find("ES256", "ES256"))
    assert source.current().find("RS256", "RS256") is None
    follower.cancel()


@pytest.mark.parametrize("contents", [None, b"{ broken", b'{"keys": []}'])
async def test_an_invalid_file_stops_the_start(tmp_path: Path, contents: bytes | None) -> None:
    """The server does not start, and the message names the file."""
    file = tmp_path / "keys.json"
    if contents is not None:
        file.write_bytes(contents)
    with pytest.raises(ConfigError, match=r"PDP_JWT_JWKS: .*keys\.json"):
        await JwksFile(file).start()


class Provider:
    """An identity provider with a key set."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, jwks())
        self.fetches = 0
        self.url = ""


@contextmanager
def provider() -> Iterator[Provider]:
    """Serves a key set over HTTP, on loopback."""
    new_provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            new_provider.fetches += 1
            status, body = new_provider.answer
            self.send_response(status)
            if status == 302:
                self.send_header("location", f"{new_provider.url}/elsewhere")
                new_provider.answer = (200, jwks())
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    new_provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield new_provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.usefixtures("short_intervals")
async def test_an_unknown_key_causes_a_fetch() -> None:
    """New keys of the provider are fetched soon, and calls do not wait for them."""
    with provider() as identity_provider:
        identity_provider.answer = (200, jwks(jwk("RS256")))
        source = key_source(identity_provider.url)
        await source.start()
        first = source.current()
        assert first.find("RS256", "RS256")
        follower = asyncio.create_task(source.follow())
        identity_provider.answer = (200, jwks(jwk("ES256")))
        source.report_unknown_key()
        await until(lambda: source.current() is not first)
        assert source.current().find("ES256", "ES256")
        follower.cancel()


@pytest.mark.usefixtures("short_intervals")
async def test_many_unknown_keys_cause_one_fetch() -> None:
    """The number of fetches does not depend on the number of tokens with unknown keys."""
    with provider() as identity_provider:
        source = JwksUrl(identity_provider.url)
        await source.start()
        for _ in range(1000):
            source.report_unknown_key()
        follower = asyncio.create_task(source.follow())
        await until(lambda: identity_provider.fetches == 2)
        source.report_unknown_key()
        await until(lambda: identity_provider.fetches > 2)
        assert identity_provider.fetches == 3
        follower.cancel()


@pytest.mark.usefixtures("short_intervals")
@pytest.mark.parametrize(
    "fault", [(500, b""), (200, b"{ broken"), (302, b""), (200, b" " * (MAX_JWKS_BYTES + 9))]
)
async def test_without_a_valid_response_there_are_no_keys_until_the_next_fetch(
    fault: tuple[int, bytes],
) -> None:
    """Tokens are refused until the URL responds; a redirect is not followed."""
    with provider() as identity_provider:
        identity_provider.answer = fault
        source = JwksUrl(identity_provider.url)
        await source.start()
        assert source.current() is NO_KEYS
        identity_provider.answer = (200, jwks())
        follower = asyncio.create_task(source.follow())
        await until(lambda: len(source.current()) == 3)
        follower.cancel()


@pytest.mark.usefixtures("short_intervals")
async def test_keys_expire_if_they_cannot_be_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a withdrawn key would stay valid while its URL does not respond."""
    with provider() as identity_provider:
        source = JwksUrl(identity_provider.url)
        await source.start()
        assert len(source.current()) == 3
        monkeypatch.setattr(key_source_module, "MAX_STALE_S", -1.0)
        assert source.current() is NO_KEYS
        monkeypatch.setattr(key_source_module, "MAX_STALE_S", 3600.0)
        follower = asyncio.create_task(source.follow())
        await until(lambda: len(source.current()) == 3)
        follower.cancel()


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/keys",
        "http://127.0.0.1.evil.example/keys",
        "ftp://id.example/keys",
        "file:///etc/passwd",
        "https://name:password@id.example/keys",
        "https://",
    ],
)
def test_an_insecure_url_is_refused(url: str) -> None:
    """Only URLs with a protected connection, and without a password, are accepted."""
    with pytest.raises(ConfigError, match="PDP_JWT_JWKS") as caught:
        key_source(url)
    assert "password@" not in str(caught.value)
