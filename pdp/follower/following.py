"""What every follower has: the tenants that it follows, and the log of its decisions, reported."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.errors import ServerNeeded
from pdp.follower.claimed_directory import ClaimedDirectory
from pdp.follower.reporter import Reporter, SpoolRetention
from pdp.follower.tenants import FollowedTenants

if TYPE_CHECKING:
    from pdp.audit.acknowledgements import Acknowledgements
    from pdp.engine.snapshot import Snapshot
    from pdp.follower.central import Central
    from pdp.follower.options import FollowOptions


class Following:
    """The policies of a server, and the records of what is decided by them.

    Attributes:
        tenants: the tenants that are followed.
        recording: records decisions in the directory of the follower.
        reporter: reports the records to the server.
    """

    def __init__(
        self, central: Central, options: FollowOptions, acknowledgements: Acknowledgements
    ) -> None:
        """Opens the log of records. A tenant is followed from the first request for it, or before.

        Args:
            central: the server.
            options: how to follow it.
            acknowledgements: creates what callers wait for in durable mode.

        Raises:
            ConfigError: the directory or the log of records cannot be used.
            StoreUnavailable: the log of records cannot be read or written now.
        """
        with ExitStack() as undo:
            claimed = ClaimedDirectory.claim(options.directory)
            undo.callback(claimed.release)
            options = replace(options, directory=claimed.directory)
            retention = SpoolRetention()
            self.recording = Recording(_recording_options(options, retention), acknowledgements)
            undo.callback(self.recording.close)
            retention.reporter = self.reporter = Reporter(
                self.recording.log, central, claimed.position_file, options.max_unsent
            )
            # The reporter has a thread, which ends in `close`: nothing after it may fail.
            self.recording.recorder.subscribe(self.reporter)
            self.tenants = FollowedTenants(central, options)
            self._resources = undo.pop_all()

    def snapshot(self, tenant_id: str) -> Snapshot:
        """Returns the compiled policies of a tenant.

        Args:
            tenant_id: the tenant; empty for that of the credential.

        Raises:
            ServerNeeded: they are not here, the server must decide by them, or too many records
                wait to be reported.
        """
        if self.reporter.is_full:
            raise ServerNeeded("unsent records")
        return self.tenants.snapshot(tenant_id)

    def close(self) -> None:
        """Ends all streams, reports what can be reported in a short time, and closes the log."""
        self.tenants.close()
        self.recording.recorder.close()
        self.reporter.close()
        self._resources.close()


def _recording_options(options: FollowOptions, retention: SpoolRetention) -> RecordingOptions:
    """Returns how a follower records: in its directory, until the records are reported."""
    return RecordingOptions(
        f"sqlite:///{options.directory / 'records.db'}",
        durable=options.durable,
        retention=retention,
    )
