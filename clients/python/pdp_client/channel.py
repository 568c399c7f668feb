"""Channels to a server, with or without TLS."""

from __future__ import annotations

from pathlib import Path

import grpc

from pdp_client.credentials import Credential, for_async, metadata_of

Option = tuple[str, str | int]


def connect(
    address: str,
    *,
    tls: bool = False,
    ca_file: str | Path | None = None,
    client_cert_file: str | Path | None = None,
    client_key_file: str | Path | None = None,
    server_name: str | None = None,
    api_key: str | None = None,
    token: str | None = None,
) -> grpc.Channel:
    """Returns a channel for the stubs; connects at the first call.

    Args:
        address: host:port, or unix:PATH.
        tls: the server speaks TLS; any of the arguments below implies it.
        ca_file: authorities to trust, PEM, in place of the public ones.
        client_cert_file: a certificate of this client's own, PEM, where the server asks for one.
        client_key_file: its key, PEM.
        server_name: the name in the server's certificate, where the address is another.
        api_key: the API key to call with; without a token either, `PDP_API_KEY` where it is set.
        token: the signed token (JWT) to call with, in its place; `PDP_TOKEN` where it is set.

    Raises:
        OSError: a file cannot be read.
        ValueError: a client certificate without its key, or a key without its certificate; or
            both an API key and a token.
    """
    credentials = _credentials(tls, ca_file, client_cert_file, client_key_file, server_name)
    options = _options(server_name)
    metadata = metadata_of(api_key, token)
    if credentials is None:
        channel = grpc.insecure_channel(address, options=options)
    else:
        channel = grpc.secure_channel(address, credentials, options=options)
    return grpc.intercept_channel(channel, Credential(metadata)) if metadata else channel


def connect_async(
    address: str,
    *,
    tls: bool = False,
    ca_file: str | Path | None = None,
    client_cert_file: str | Path | None = None,
    client_key_file: str | Path | None = None,
    server_name: str | None = None,
    api_key: str | None = None,
    token: str | None = None,
) -> grpc.aio.Channel:
    """Returns a channel of `grpc.aio`; see `connect`."""
    credentials = _credentials(tls, ca_file, client_cert_file, client_key_file, server_name)
    options = _options(server_name)
    sending = for_async(metadata_of(api_key, token))
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options, interceptors=sending)
    return grpc.aio.secure_channel(address, credentials, options=options, interceptors=sending)


def _credentials(
    tls: bool,
    ca_file: str | Path | None,
    cert_file: str | Path | None,
    key_file: str | Path | None,
    server_name: str | None,
) -> grpc.ChannelCredentials | None:
    if (cert_file is None) != (key_file is None):
        raise ValueError("client_cert_file and client_key_file belong together")
    if not tls and ca_file is cert_file is server_name is None:
        return None
    ca, key, cert = (
        None if file is None else Path(file).read_bytes() for file in (ca_file, key_file, cert_file)
    )
    return grpc.ssl_channel_credentials(ca, key, cert)


def _options(server_name: str | None) -> tuple[Option, ...]:
    options: tuple[Option, ...] = (
        # An answer is as large as its question makes it: a batch may pass gRPC's default of 4 MiB.
        ("grpc.max_receive_message_length", -1),
        # Else gRPC sends even a call to this machine through the proxy that the environment names.
        ("grpc.enable_http_proxy", 0),
    )
    if server_name is None:
        return options
    return (*options, ("grpc.ssl_target_name_override", server_name))
