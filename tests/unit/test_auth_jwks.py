"""Key sets: which keys are taken, and how they are kept fresh."""

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

from pdp.auth import jwks_source
from pdp.auth.jwks import MAX_JWKS_BYTES, MAX_KEYS, NO_KEYS, parse_jwks, shared_secret
from pdp.auth.jwks_source import JwksFile, JwksUrl, key_source
from pdp.errors import ConfigError
from tests.support.servers import TIMEOUT_S
from tests.support.tokens import EC, RSA, SECRET, jwk, jwks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def weak_rsa() -> dict[str, Any]:
    key = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - that is its point
    return {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": "weak"}


def other_curve() -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    return {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": "curve"}


def test_keys_are_found_by_id_and_algorithm() -> None:
    """A key is used with the algorithm of its kind, and with no other."""
    keys = parse_jwks(jwks())
    assert len(keys) == 3
    for algorithm in ("RS256", "ES256", "EdDSA"):
        found = keys.find(algorithm, algorithm)
        assert found is not None
        assert found.algorithm == algorithm
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
def test_keys_of_other_kinds_are_left_out(ignored: Any) -> None:
    """A set may have keys for others; one that has none for us is refused."""
    assert len(parse_jwks(jwks(jwk("EdDSA"), ignored))) == 1
    with pytest.raises(ValueError, match="no key for RS256"):
        parse_jwks(jwks(ignored))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "Expecting"),
        (b"\xff", "decode|utf"),
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
def test_sets_that_are_refused(raw: bytes, message: str) -> None:
    """What is no set of public keys is not used in part."""
    with pytest.raises(ValueError, match=message):
        parse_jwks(raw)


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    """As long as its hash, at least."""
    file = tmp_path / "secret"
    file.write_bytes(SECRET[:31])
    with pytest.raises(ConfigError, match="31 bytes"):
        shared_secret(file)
    file.write_bytes(SECRET[:16] + b" " * 32)
    with pytest.raises(ConfigError, match="16 bytes"):
        shared_secret(file)
    with pytest.raises(ConfigError, match="PDP_JWT_SECRET_FILE"):
        shared_secret(tmp_path / "missing")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources look as often as they can."""
    monkeypatch.setattr(jwks_source, "FILE_INTERVAL_S", 0.001)
    monkeypatch.setattr(jwks_source, "COOLDOWN_S", 0.001)


async def until(condition: Any) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("no_waiting")
async def test_a_file_is_read_again(tmp_path: Path) -> None:
    """Keys change with it; a faulty one leaves the last in force."""
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
async def test_a_file_that_cannot_be_used_at_the_start(
    tmp_path: Path, contents: bytes | None
) -> None:
    """The server does not start, and says which file it is."""
    file = tmp_path / "keys.json"
    if contents is not None:
        file.write_bytes(contents)
    with pytest.raises(ConfigError, match=r"PDP_JWT_JWKS: .*keys\.json"):
        await JwksFile(file).start()


class Provider:
    """What answers at an address."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, jwks())
        self.asked = 0
        self.url = ""


@contextmanager
def provider() -> Iterator[Provider]:
    """Serves a key set over HTTP, on loopback."""
    told = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked += 1
            status, body = told.answer
            self.send_response(status)
            if status == 302:
                self.send_header("location", f"{told.url}/elsewhere")
                told.answer = (200, jwks())
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.usefixtures("no_waiting")
async def test_an_address_is_asked_again_when_a_key_is_unknown() -> None:
    """A provider that has changed its keys is asked at once, and calls do not wait for it."""
    with provider() as told:
        told.answer = (200, jwks(jwk("RS256")))
        source = key_source(told.url)
        await source.start()
        first = source.current()
        assert first.find("RS256", "RS256")
        follower = asyncio.create_task(source.follow())
        told.answer = (200, jwks(jwk("ES256")))
        source.unknown_key()
        await until(lambda: source.current() is not first)
        assert source.current().find("ES256", "ES256")
        follower.cancel()


@pytest.mark.usefixtures("no_waiting")
async def test_unknown_keys_do_not_make_a_flood() -> None:
    """However many tokens name unknown keys, one question follows another, not a token."""
    with provider() as told:
        source = JwksUrl(told.url)
        await source.start()
        for _ in range(1000):
            source.unknown_key()
        follower = asyncio.create_task(source.follow())
        await until(lambda: told.asked == 2)
        source.unknown_key()
        await until(lambda: told.asked > 2)
        assert told.asked == 3
        follower.cancel()


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    "fault", [(500, b""), (200, b"{ broken"), (302, b""), (200, b" " * (MAX_JWKS_BYTES + 9))]
)
async def test_an_address_that_does_not_answer_at_first(fault: tuple[int, bytes]) -> None:
    """Tokens are refused until it does; a redirection is not followed."""
    with provider() as told:
        told.answer = fault
        source = JwksUrl(told.url)
        await source.start()
        assert source.current() is NO_KEYS
        told.answer = (200, jwks())
        follower = asyncio.create_task(source.follow())
        await until(lambda: len(source.current()) == 3)
        follower.cancel()


@pytest.mark.usefixtures("no_waiting")
async def test_keys_that_cannot_be_asked_for_do_not_count_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else one that was withdrawn would, where its address is kept from answering."""
    with provider() as told:
        source = JwksUrl(told.url)
        await source.start()
        assert len(source.current()) == 3
        monkeypatch.setattr(jwks_source, "MAX_STALE_S", -1.0)
        assert source.current() is NO_KEYS
        monkeypatch.setattr(jwks_source, "MAX_STALE_S", 3600.0)
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
def test_addresses_that_are_refused(url: str) -> None:
    """Keys come from where nobody can put others in between."""
    with pytest.raises(ConfigError, match="PDP_JWT_JWKS") as refused:
        key_source(url)
    assert "password@" not in str(refused.value)
