"""TLS settings that make the server refuse to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp.cli.exit_codes import Exit
from tests.support.certificates import new_authority
from tests.support.servers import launch, start
from tests.support.tls_servers import settings_of, spoil

if TYPE_CHECKING:
    from pathlib import Path


def _fault(folder: Path, fault: str) -> str:
    """Damages the files of a server before its start; returns a part of the expected message."""
    ca = new_authority()
    certificate, key = folder / "server.crt", folder / "server.key"
    if fault == "weak key":
        ca.issue("server", bits=1024).write(folder, "server")
        return "OpenSSL refuses"
    if fault == "encrypted key":
        key.write_bytes(ca.key_pem(b"secret"))
        return "is encrypted"
    if fault == "malformed key":
        key.write_text("no key")
        return "no private key"
    if fault == "unreadable":
        certificate.unlink()
        certificate.mkdir()
        return "cannot be read"
    if fault == "malformed client authority":
        (folder / "ca.crt").write_text("nothing")
        return "PDP_TLS_CLIENT_CA_FILE"
    spoil(folder, fault)
    return {
        "missing": "cannot be read: No such file",
        "malformed": "no certificate in PEM form",
        "mismatched": "is not the key of",
        "unusable": "of a kind that cannot be used",
    }[fault]


FAULTS = (
    "missing",
    "unreadable",
    "malformed",
    "mismatched",
    "malformed key",
    "unusable",
    "encrypted key",
    "weak key",
    "malformed client authority",
)


class TestRefusal:
    """The server prints one line and exits; it never serves plaintext instead."""

    @pytest.mark.parametrize("fault", FAULTS)
    def test_unusable_files_refuse_the_start(self, tmp_path: Path, fault: str) -> None:
        """The message has the setting and the path of the invalid file."""
        ca = new_authority()
        ca.write(tmp_path, "ca")
        ca.issue("server").write(tmp_path, "server")
        expected = _fault(tmp_path, fault)
        message = _refused(tmp_path, settings_of(tmp_path, mutual=True))
        assert expected in message
        assert "PDP_TLS_" in message

    @pytest.mark.parametrize("missing", ["PDP_TLS_CERT_FILE", "PDP_TLS_KEY_FILE"])
    def test_certificate_and_key_are_needed_together(self, tmp_path: Path, missing: str) -> None:
        """A certificate without its key, or a key without a certificate, is an error."""
        new_authority().write(tmp_path, "server")
        settings = settings_of(tmp_path)
        del settings[missing]
        assert missing in _refused(tmp_path, settings)

    def test_a_client_authority_needs_a_certificate(self, tmp_path: Path) -> None:
        """Client certificates require TLS."""
        new_authority().write(tmp_path, "ca")
        settings = {"PDP_TLS_CLIENT_CA_FILE": str(tmp_path / "ca.crt")}
        assert "PDP_TLS_CERT_FILE" in _refused(tmp_path, settings)


def _refused(folder: Path, settings: dict[str, str]) -> str:
    with launch(folder / "data", **settings) as server:
        assert server.wait() == Exit.CONFIG, server.lines
    (line,) = server.lines
    return line


def test_an_expired_certificate_is_logged(tmp_path: Path) -> None:
    """The server starts with an expired certificate and warns: clients reject the certificate."""
    new_authority().issue("old", days=-1).write(tmp_path, "server")
    with start(tmp_path / "data", **settings_of(tmp_path)) as server:
        assert any("the TLS certificate has expired" in line for line in server.lines)
