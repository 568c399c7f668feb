"""The connection of a server to the one that it follows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import grpc
import grpc.aio

from pdp.domain.api_key import MARK
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.config import Settings
    from pdp.follower.central import Metadata

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    # A connection that is cut without a word is noticed within this time.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


KEY_FRESH_S: Final = 1.0
"""How long the contents of the file with the credential are used."""


class KeyFile:
    """The file with the credential. It may be replaced while the server runs."""

    def __init__(self, file: Path) -> None:
        """Takes the file."""
        self._file = file
        self._metadata: Metadata = ()
        self._read_again_at = 0.0

    def metadata(self) -> Metadata:
        """Returns the metadata with the credential.

        Raises:
            ConfigError: the file cannot be read, or is empty.
        """
        now = time.monotonic()
        if now >= self._read_again_at:
            self._metadata = self._read()
            self._read_again_at = now + KEY_FRESH_S
        return self._metadata

    def _read(self) -> Metadata:
        key = _contents(self._file, "PDP_FOLLOW_KEY_FILE").decode("ascii", "replace").strip()
        if not key or not key.isprintable():
            raise ConfigError(f"PDP_FOLLOW_KEY_FILE: {self._file} holds no key. Write the key.")
        if key.startswith(MARK):
            return (("x-api-key", key),)
        return (("authorization", f"Bearer {key}"),)


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the server.

    Attributes:
        target: HOST:PORT, or unix:PATH.
        key_file: the file with the credential.
    """

    target: str
    key_file: KeyFile
    _credentials: grpc.ChannelCredentials | None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the connection by the settings.

        Raises:
            ConfigError: a file cannot be read, or is empty.
        """
        if settings.follow_key_file is None:
            raise ConfigError("PDP_FOLLOW_KEY_FILE: is required. Set it.")
        connection = cls(
            settings.follow if settings.follow.startswith("unix:") else _host(settings.follow),
            KeyFile(settings.follow_key_file),
            _credentials(settings) if settings.follow.startswith("https:") else None,
        )
        connection.key_file.metadata()
        return connection

    def channel(self) -> grpc.Channel:
        """Returns a channel for threads; the caller closes it."""
        if self._credentials is None:
            return grpc.insecure_channel(self.target, options=_OPTIONS)
        return grpc.secure_channel(self.target, self._credentials, options=_OPTIONS)

    def aio_channel(self) -> grpc.aio.Channel:
        """Returns a channel for the event loop; the caller closes it."""
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.target, options=_OPTIONS)
        return grpc.aio.secure_channel(self.target, self._credentials, options=_OPTIONS)


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _credentials(settings: Settings) -> grpc.ChannelCredentials:
    files = {
        "root_certificates": (settings.follow_ca_file, "PDP_FOLLOW_CA_FILE"),
        "private_key": (settings.follow_cert_key_file, "PDP_FOLLOW_CERT_KEY_FILE"),
        "certificate_chain": (settings.follow_cert_file, "PDP_FOLLOW_CERT_FILE"),
    }
    return grpc.ssl_channel_credentials(
        **{
            name: None if file is None else _contents(file, setting)
            for name, (file, setting) in files.items()
        }
    )


def _contents(file: Path, setting: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{setting}: {file} cannot be read: {error.strerror}. Name a file that exists."
        ) from None
