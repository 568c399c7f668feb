"""Follows one tenant: a thread that keeps its policies in step with the server."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import grpc

from pdp._gen.pdp.v1 import policy_pb2 as pb
from pdp.errors import PdpError, ServerNeeded
from pdp.follower.bundle_file import BundleFile
from pdp.follower.central import NoCredential, status_of
from pdp.follower.replica import apply
from pdp.follower.updates import UpdateReader, UpdateRefused

if TYPE_CHECKING:
    from pdp.engine.snapshot import Snapshot
    from pdp.follower.central import Central
    from pdp.follower.options import FollowOptions
    from pdp.follower.replica import PlatformCache, Replica
    from pdp.follower.updates import ReadUpdate

MIN_PAUSE_S: Final = 0.2
MAX_PAUSE_S: Final = 5.0

CONFIRM_S: Final = 10.0
"""How often it is kept on disk that the policies are still in force."""

RENEW_S: Final = 60.0
"""How often all policies are sent again, at most, because the files need them."""

OWN_TENANT_FILE: Final = "~own"
"""The name of the files of the credential's own tenant, if no request has named it. It is the id of
no tenant."""

_REFUSALS: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
"""The server has refused the credential: policies that it may no longer see decide nothing."""

_log: Final = logging.getLogger("pdp.follower")


class TenantFollower:
    """The policies of one tenant, as the server last sent them.

    Attributes:
        problem: why the policies are not in step now; empty if they are.
    """

    def __init__(
        self,
        tenant_id: str,
        central: Central,
        options: FollowOptions,
        platforms: PlatformCache,
    ) -> None:
        """Starts the thread.

        Args:
            tenant_id: the tenant; empty for that of the credential.
            central: the server.
            options: how to follow.
            platforms: the platforms of all tenants.
        """
        self._tenant_id = tenant_id
        self._central = central
        self._options = options
        self._platforms = platforms
        self._file = BundleFile(options.directory, tenant_id or OWN_TENANT_FILE)
        self._reader = UpdateReader(tenant_id, options.signing_key)
        self._replica: Replica | None = None
        self._made_at = 0.0
        self._fresh_until = 0.0
        self._confirmed_at = self._renew_at = 0.0
        self._is_renewing = False
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._stream: Any = None
        self.problem = "no policies have arrived yet"
        self._thread = threading.Thread(target=self._run, name="pdp-follow", daemon=True)
        self._thread.start()

    @property
    def replica(self) -> Replica | None:
        """The policies; None if there are none that may be used."""
        return self._replica

    @property
    def age_s(self) -> float:
        """How long ago the policies were last known to be in force; infinite without policies."""
        return float("inf") if self._replica is None else max(0.0, time.time() - self._made_at)

    def snapshot(self) -> Snapshot:
        """Returns the compiled policies.

        Raises:
            ServerNeeded: there are none, they are too old, or the server must decide by them.
        """
        replica = self._replica
        if replica is None:
            raise ServerNeeded("no policies")
        if time.monotonic() >= self._fresh_until:
            raise ServerNeeded("old policies")
        if replica.keyed:
            raise ServerNeeded("keyed redaction")
        return replica.snapshot

    def wait(self, revision: int, timeout_s: float) -> bool:
        """Waits until a revision may be used here; returns False if the time is over first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._has(revision), timeout_s)

    def _has(self, revision: int) -> bool:
        replica = self._replica
        is_fresh = time.monotonic() < self._fresh_until
        return replica is not None and is_fresh and replica.revision >= revision

    def stop(self) -> None:
        """Ends the stream; does not wait for the thread."""
        self._stopping.set()
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def join(self, timeout_s: float) -> None:
        """Waits for the thread to end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._load()
        failures = 0
        while not self._stopping.is_set():
            try:
                for message in self._open():
                    self._take(message)
                    failures = 0
            except grpc.RpcError as error:
                self._end(error)
            except NoCredential as error:
                self._report(str(error))
            except (UpdateRefused, PdpError) as error:
                self._refuse(str(error))
            except Exception as error:  # the thread must go on: it brings each kill switch
                self._refuse(f"an update failed ({type(error).__name__})")
            failures += 1
            self._stopping.wait(_pause_s(failures))

    def _open(self) -> Any:
        """Starts the stream from the policies that are here, or with all policies."""
        replica = self._replica
        request = pb.WatchRequest()
        self._is_renewing = False
        if replica is not None and not self._file.is_due:
            request.installation, request.revision = replica.installation, replica.revision
        # What is left of an update that was cut off does not belong to this stream.
        self._reader = UpdateReader(self._tenant_id, self._reader.public_key)
        self._stream = self._central.watch(self._tenant_id, request)
        if self._stopping.is_set():
            self._stream.cancel()
        return self._stream

    def _take(self, message: pb.WatchResponse) -> None:
        read = self._reader.feed(message)
        if read is None:
            return
        self._put_in_force(apply(self._replica, read, self._platforms), read.made_at)
        try:
            self._keep(read)
        except OSError as error:
            self._report(f"the policies cannot be kept on disk: {error.strerror}")
        if self._file.is_due and time.monotonic() >= self._renew_at:
            self._renew_at = time.monotonic() + RENEW_S
            self._is_renewing = True
            self._stream.cancel()

    def _put_in_force(self, replica: Replica, made_at: float) -> None:
        age_s = max(0.0, time.time() - made_at)
        with self._changed:
            self._made_at = made_at
            self._fresh_until = time.monotonic() + self._options.max_age_s - age_s
            self._replica = replica
            self.problem = ""
            self._changed.notify_all()

    def _keep(self, read: ReadUpdate) -> None:
        update = read.update
        if not update.since:
            self._file.replace(read.parts)
        elif update.policies or update.revision > update.since:
            self._file.append(read.parts)
        elif time.monotonic() - self._confirmed_at >= CONFIRM_S:
            self._file.confirm(read.parts)
            self._confirmed_at = time.monotonic()

    def _load(self) -> None:
        """Takes over what was kept, if all of it is signed and understood."""
        replica, made_at = None, 0.0
        try:
            for message in self._file.read():
                read = self._reader.feed(message)
                if read is not None:
                    replica, made_at = apply(replica, read, self._platforms), read.made_at
            made_at = max(made_at, self._confirmed(replica))
        except (UpdateRefused, PdpError, OSError) as error:
            self._report(f"what was kept on disk is not used: {error}")
        except Exception as error:  # a fault must not end the thread
            self._report(f"what was kept on disk is not used ({type(error).__name__})")
        else:
            if replica is not None:  # not before: what came first may have been changed later
                self._put_in_force(replica, made_at)
                return
        self._reader = UpdateReader(self._tenant_id, self._options.signing_key)

    def _confirmed(self, replica: Replica | None) -> float:
        """Returns when policies of the disk were last known to be in force; 0 if unknown.

        Raises:
            UpdateRefused: what is kept is not signed, or not understood.
        """
        # What is left of an update that was cut off is no part of this one.
        reader = UpdateReader(self._tenant_id, self._reader.public_key)
        for message in self._file.read_latest():
            read = reader.feed(message)
            if read is not None and replica is not None:
                update = read.update
                is_same = update.revision == update.since == replica.revision
                if is_same and update.installation == replica.installation and not update.policies:
                    return read.made_at
        return 0.0

    def _end(self, error: grpc.RpcError) -> None:
        """Notes why a stream has ended. Without the server, the policies stay in force."""
        code, details = status_of(error)
        if self._stopping.is_set() or self._is_renewing:
            return
        if code not in _REFUSALS:
            self._report(f"the server cannot be reached ({code.name if code else 'no status'})")
            return
        self._refuse(f"the server refuses the credential: {details}")
        try:
            self._file.remove()  # what it may no longer see
        except OSError as failure:
            self._report(f"the policies cannot be removed from the disk: {failure.strerror}")

    def _refuse(self, problem: str) -> None:
        """Decides nothing by the policies until all of them have been sent again."""
        with self._changed:
            self._replica = None
        # The connection is that of the server, so it may have another key, unless one is set.
        self._reader = UpdateReader(self._tenant_id, self._options.signing_key)
        self._report(problem)

    def _report(self, problem: str) -> None:
        """Notes a problem, and logs it once."""
        if problem != self.problem:
            _log.warning("tenant %s is not in step: %s", self._tenant_id or "-", problem)
        self.problem = problem


def _pause_s(failures: int) -> float:
    limit = min(MAX_PAUSE_S, MIN_PAUSE_S * 2 ** min(failures - 1, 10))
    return random.uniform(limit / 2, limit)  # noqa: S311 - it spreads the load, nothing else
