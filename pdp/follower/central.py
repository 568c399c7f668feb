"""The server that is followed, as a follower calls it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

import grpc

from pdp._gen.pdp.v1 import audit_pb2, audit_pb2_grpc, policy_pb2, policy_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Metadata = tuple[tuple[str, str | bytes], ...]

REPORT_TIMEOUT_S: Final = 30.0


class NoCredential(Exception):
    """There is no credential to send now. The message says why, without any part of it."""


class Central:
    """Calls the server over gRPC. Each call goes to the next address."""

    def __init__(
        self, channels: Sequence[grpc.Channel], credential: Callable[[], Metadata]
    ) -> None:
        """Takes the connections.

        Args:
            channels: a channel to each address.
            credential: returns the metadata with the credential, for each call.
        """
        self._policies = [policy_pb2_grpc.PolicyServiceStub(each) for each in channels]
        self._audit = [audit_pb2_grpc.AuditServiceStub(each) for each in channels]
        self._credential = credential
        self._calls = count()

    def watch(self, tenant_id: str, request: policy_pb2.WatchRequest) -> Any:
        """Starts a stream of updates; iterate over it, or cancel it.

        Args:
            tenant_id: the tenant; empty for that of the credential.
            request: what the follower has already.

        Raises:
            NoCredential: there is no credential.
            grpc.RpcError: while iterating: the call has failed.
        """
        stub = self._policies[next(self._calls) % len(self._policies)]
        return stub.Watch(request, metadata=self._metadata(tenant_id))

    def report(self, tenant_id: str, bodies: Sequence[str]) -> int:
        """Reports records of a tenant, and returns how many are new to the server.

        Raises:
            NoCredential: there is no credential.
            grpc.RpcError: the call has failed.
        """
        stub = self._audit[next(self._calls) % len(self._audit)]
        request = audit_pb2.ReportRecordsRequest(records=bodies)
        response: audit_pb2.ReportRecordsResponse = stub.ReportRecords(
            request, metadata=self._metadata(tenant_id), timeout=REPORT_TIMEOUT_S
        )
        return response.appended

    def _metadata(self, tenant_id: str) -> Metadata:
        try:
            credential = self._credential()
        except Exception as error:  # a function of the caller's program may raise any error
            raise NoCredential(
                f"there is no credential for the server ({type(error).__name__})"
            ) from error
        return (*credential, ("x-tenant-id", tenant_id)) if tenant_id else credential


def status_of(error: object) -> tuple[grpc.StatusCode | None, str]:
    """Returns the status of a failed call and its words; None if it has no status."""
    if isinstance(error, grpc.Call):
        return error.code(), error.details() or ""
    return None, ""
