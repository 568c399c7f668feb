"""Decisions in this process, by the policies that the server has."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp_client.failures import CallFailed, FieldViolation
from pdp_client.results import decision_of, plain_decision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc

    from pdp_client._gen.pdp.v1 import decide_pb2 as pb
    from pdp_client.credentials import Metadata
    from pdp_client.results import Decision


@dataclass(frozen=True, slots=True)
class Local:
    """How a client decides by itself.

    Attributes:
        directory: the directory of policies, and of records until the server has them. Processes
            may share it.
        max_age: how old policies may be, in seconds. With older ones, the server is asked.
        signing_key: the public key of the policies, 32 bytes; see `pdp policies signing-key`. Empty
            to accept the one that the server sends.
        max_tenants: how many tenants it follows. For others, the server is asked.
        max_unsent: how many records may wait for the server. With more, it is asked.
        durable: whether a decision waits until its record is on disk.
    """

    directory: str | Path = Path("var/follower")
    max_age: float = 3600.0
    signing_key: bytes = b""
    max_tenants: int = 16
    max_unsent: int = 50_000
    durable: bool = True


class LocalState(NamedTuple):
    """How a client is doing that decides by itself.

    Attributes:
        revision: the revision of the policies; 0 without policies that may be used.
        age: how many seconds ago they were last known to be in force; infinite without policies.
        problem: why they are not in step with the server now; empty if they are.
        decided: decisions that were made here.
        asked: requests that the server had to decide.
        unsent: records that wait for the server.
    """

    revision: int
    age: float
    problem: str
    decided: int
    asked: int
    unsent: int


class LocalDecisions:
    """Decides in this process what it can."""

    def __init__(
        self,
        settings: Local,
        channels: Sequence[grpc.Channel],
        credential: Callable[[], Metadata],
        tenant: str,
    ) -> None:
        """Opens what is kept on disk, and begins to follow a tenant.

        Args:
            settings: how to decide.
            channels: a channel to each server.
            credential: returns the metadata with the credential.
            tenant: the tenant; empty for that of the credential.

        Raises:
            ImportError: the package `pdp` is not installed.
            ValueError: the directory cannot be used.
        """
        try:
            from pdp.errors import ConfigError, PdpError, ServerNeeded  # noqa: PLC0415
            from pdp.follower.central import Central  # noqa: PLC0415
            from pdp.follower.engine import FollowerEngine  # noqa: PLC0415
            from pdp.follower.options import FollowOptions  # noqa: PLC0415
            from pdp.messages.conversion import to_response  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ImportError(
                "a client that decides by itself needs the package pdp: pip install pdp"
            ) from error
        except TypeError as error:  # two versions of one contract cannot be in one process
            raise ImportError("install the same version of pdp and pdp-client") from error
        self._server_needed: type[Exception] = ServerNeeded
        self._refused: type[Exception] = PdpError
        self._to_response: Callable[..., Any] = to_response
        options = FollowOptions(
            Path(settings.directory),
            max_age_s=settings.max_age,
            signing_key=settings.signing_key,
            max_tenants=settings.max_tenants,
            max_unsent=settings.max_unsent,
            durable=settings.durable,
        )
        try:
            self._engine: Any = FollowerEngine(Central(channels, credential), options)
        except ConfigError as error:
            raise ValueError(error.message) from None
        with suppress(ServerNeeded):
            self._engine.follow(tenant)

    def decide(self, message: pb.DecideRequest) -> Decision | None:
        """Returns the decision on a request; None if the server must decide it.

        Args:
            message: the request, with its id.

        Raises:
            CallFailed: the request is not valid.
        """
        try:
            decided = self._engine.decide(message)
        except self._server_needed:
            return None
        except self._refused as error:
            raise _call_failed(error) from None
        if not decided.plain or decided.payload is not None:
            return decision_of(self._to_response(decided, message), message)
        return plain_decision(  # most decisions
            message,
            decided.decision_id,
            decided.request_id,
            decided.revision,
            decided.input_hash,
        )

    def wait(self, tenant: str, timeout: float) -> bool:
        """Waits for the policies of a tenant; returns whether they are here."""
        try:
            is_here: bool = self._engine.wait_until_followed(tenant, timeout)
        except self._server_needed:
            return False
        return is_here

    def state(self, tenant: str) -> LocalState:
        """Returns how the policies of a tenant are."""
        whole = self._engine.state()
        followed = whole.tenants.get(tenant)
        revision, age, problem = followed or (0, float("inf"), "the tenant is not followed")
        return LocalState(
            revision,
            age,
            problem or whole.report_problem,
            whole.decided,
            whole.passed_on,
            whole.unsent,
        )

    def close(self) -> None:
        """Reports what can be reported in a short time, and ends."""
        self._engine.close()


def _call_failed(error: object) -> CallFailed:
    reason, message = getattr(error, "reason", ""), getattr(error, "message", "")
    violations = [FieldViolation(*each) for each in getattr(error, "violations", ())]
    return CallFailed(reason, message, violations)
