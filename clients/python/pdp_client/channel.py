"""Creates channels to a server, with or without TLS."""

from __future__ import annotations

from pathlib import Path

import grpc

from pdp_client.credentials import CredentialInterceptor, async_interceptors, credential_metadata

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
    """Returns a channel for the stubs. It connects at the first call.

    Args:
        address: HOST:PORT, or unix:PATH.
        tls: whether to use TLS; `ca_file`, `client_cert_file` and `server_name` imply it.
        ca_file: PEM file with the CA certificates to trust; None for the public CAs.
        client_cert_file: PEM file with a client certificate, if the server requires one.
        client_key_file: PEM file with the key of the client certificate.
        server_name: the name in the server's certificate, if it differs from the address.
        api_key: the API key of each call. If neither `api_key` nor `token` is set, `PDP_API_KEY`
            and `PDP_TOKEN` are read from the environment.
        token: the signed token (JWT) of each call.

    Raises:
        OSError: a file cannot be read.
        ValueError: only one of `client_cert_file` and `client_key_file` is set, or both an API
            key and a token are set.
    """
    credentials = _credentials(tls, ca_file, client_cert_file, client_key_file, server_name)
    options = _options(server_name)
    metadata = credential_metadata(api_key, token)
    if credentials is None:
        channel = grpc.insecure_channel(address, options=options)
    else:
        channel = grpc.secure_channel(address, credentials, options=options)
    return grpc.intercept_channel(channel, CredentialInterceptor(metadata)) if metadata else channel


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
    """Returns a `grpc.aio` channel; see `connect`."""
    credentials = _credentials(tls, ca_file, client_cert_file, client_key_file, server_name)
    options = _options(server_name)
    interceptors = async_interceptors(credential_metadata(api_key, token))
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)
    return grpc.aio.secure_channel(address, credentials, options=options, interceptors=interceptors)


def _credentials(
    tls: bool,
    ca_file: str | Path | None,
    cert_file: str | Path | None,
    key_file: str | Path | None,
    server_name: str | None,
) -> grpc.ChannelCredentials | None:
    if (cert_file is None) != (key_file is None):
        raise ValueError("client_cert_file and client_key_file: set both or neither")
    if not tls and ca_file is cert_file is server_name is None:
        return None
    ca, key, cert = (
        None if file is None else Path(file).read_bytes() for file in (ca_file, key_file, cert_file)
    )
    return grpc.ssl_channel_credentials(ca, key, cert)


def _options(server_name: str | None) -> tuple[Option, ...]:
    options: tuple[Option, ...] = (
        # The response to a large batch can exceed gRPC's default limit of 4 MiB.
        ("grpc.max_receive_message_length", -1),
        # By default, gRPC sends even local calls through the proxy in the environment.
        ("grpc.enable_http_proxy", 0),
    )
    if server_name is None:
        return options
    return (*options, ("grpc.ssl_target_name_override", server_name))
