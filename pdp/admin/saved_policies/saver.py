"""Keeps the files of saved policies in step with the store.

The saver reads the store by itself, not what is in memory: so it saves every tenant with policies,
also those that get no requests here. It runs when a change has come into force, and every few
seconds: then the files say that they are still true.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import structlog

from pdp.admin.install.keys import installation_of, read_keys
from pdp.admin.saved_policies.contents import (
    CONFIRMED,
    PLATFORM_FILE,
    TENANT,
    TENANTS,
    Confirmation,
    decode_tenants,
    encode_platform,
    encode_tenant,
    encode_tenants,
)
from pdp.admin.saved_policies.seal import SavedPoliciesUnusable
from pdp.admin.snapshots import read_changes, read_mark
from pdp.domain.tenant import PLATFORM
from pdp.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.admin.saved_policies.files import SavedFiles
    from pdp.admin.snapshots import ChangeMark
    from pdp.admin.workspace import Workspace
    from pdp.domain.installation_keys import InstallationKeys
    from pdp.domain.stored_entity import StoredEntity
    from pdp.store.port import Reader

CONFIRM_S: Final = 2.0
"""How often the files are confirmed while nothing changes."""

PAUSE_S: Final = 0.05
"""The shortest time between two times that the files are written, so that changes which come close
together are written together."""

RETRY_S: Final = 1.0
"""How long the saver waits after an error."""

SLICE: Final = 200
"""Tenants that are written at once. The store is read for no more of them in one view."""

_log: Final = structlog.get_logger("pdp.saved_policies")

T = TypeVar("T")


class _Saved(NamedTuple):
    """What is in the files.

    Attributes:
        confirmation: the root; None if nothing is saved.
        files: the name of each tenant's file; empty if it has none.
    """

    confirmation: Confirmation | None = None
    files: Mapping[str, str] = {}


class _News(NamedTuple):
    """What the store has that the files do not.

    Attributes:
        revision: the revision of the store.
        mark: of the last change.
        files: the tenants with the names of their files; empty for those without a true one.
        tenants: the policies of some tenants without a file.
        platform: the policies that all tenants share; None if they have not changed.
        keys: the keys of the installation; None as above.
        begins: whether the files say nothing that still counts.
    """

    revision: int
    mark: ChangeMark | None
    files: Mapping[str, str]
    tenants: Mapping[str, Sequence[StoredEntity]]
    platform: Sequence[StoredEntity] | None
    keys: InstallationKeys | None
    begins: bool


class PolicySaver:
    """Writes the files. Of the processes that share a directory, one does; the others stand by.

    Attributes:
        confirmation: what the files were last seen to be true of; None if they are not.
        problem: why they cannot be written; empty if they can.
    """

    def __init__(
        self,
        workspace: Workspace,
        files: SavedFiles,
        database: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Takes what is read and written.

        Args:
            workspace: reads the store.
            files: the files.
            database: the URL of the database, without credentials.
            clock: returns the seconds since the epoch.
        """
        self._workspace = workspace
        self._files = files
        self._database = database
        self._clock = clock
        self._saved: _Saved | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="save")
        self.confirmation: Confirmation | None = None
        self.problem = ""

    async def run(self) -> None:
        """Saves until cancelled. An error is logged once, and saving is tried again."""
        while True:
            try:
                more = await self.save()
            except StoreUnavailable:
                more, pause_s = False, RETRY_S  # the workspace says so in the log
            except Exception as error:
                # Never give up: without this loop the files get old.
                more, pause_s = False, RETRY_S
                self._note(error)
            else:
                pause_s, self.problem = PAUSE_S, ""
            await asyncio.sleep(pause_s)
            if not more:
                seen = 0 if self.confirmation is None else self.confirmation.revision
                await self._workspace.reach(seen + 1, CONFIRM_S)

    def close(self) -> None:
        """Lets another process write, when what is being written is complete."""
        self._thread.shutdown(wait=True)
        self._files.release()

    def state(self) -> str:
        """Returns whether the files are up to date, for `/readyz`."""
        if self.problem:
            return f"failing: {self.problem}"
        return "ok" if self.confirmation else "not saved yet"

    def age_s(self) -> float:
        """Returns the time since the files were last confirmed; infinite if they were not."""
        return self._clock() - self.confirmation.at if self.confirmation else float("inf")

    async def save(self) -> bool:
        """Brings the files to the revision of the store.

        Returns whether tenants are left that have no file yet.

        Raises:
            StoreUnavailable: the store cannot be read.
            OSError: the files cannot be written. They are as they were, or as they should be.
        """
        before = self._saved
        if before is None:
            if not await self._run(self._files.claim):
                self.confirmation = await self._run(self._last_confirmation)
                return False
            before = await self._run(self._load)
            self.confirmation = before.confirmation
        # The files are true at least until the view is opened.
        at = self._clock()
        news = await self._workspace.view(partial(_read_news, saved=before))
        self._saved = None  # unless everything is written
        self._saved = saved = await self._run(partial(self._write, before, news, at))
        self.confirmation = saved.confirmation
        return not all(saved.files.values())

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _last_confirmation(self) -> Confirmation | None:
        try:
            return Confirmation.decode(self._files.confirmed(CONFIRMED))
        except SavedPoliciesUnusable:
            return None

    def _load(self) -> _Saved:
        """Returns what is in the files; nothing if it cannot be used, or is of another store."""
        try:
            confirmation = Confirmation.decode(self._files.confirmed(CONFIRMED))
            files = decode_tenants(self._files.get(TENANTS, confirmation.tenants))
        except SavedPoliciesUnusable as error:
            _log.info("policies are saved from the beginning", reason=error.message)
            return _Saved()
        named = {confirmation.tenants, confirmation.platform, *files.values()}
        self._files.keep_only(named)
        has_platform = bool(confirmation.platform)
        if confirmation.database != self._database or has_platform != self._files.encrypts:
            return _Saved()
        return _Saved(confirmation, files)

    def _write(self, saved: _Saved, news: _News, at: float) -> _Saved:
        before = saved.confirmation
        if news.begins:
            self._files.forget()
            self._files.keep_only(frozenset())
            before = None
        files = dict(news.files)
        for tenant_id, entities in news.tenants.items():
            files[tenant_id] = self._files.put(TENANT, encode_tenant(tenant_id, entities))
        confirmation = Confirmation(
            revision=news.revision,
            at=at,
            installation=_installation(news, before),
            database=self._database,
            mark=news.mark,
            tenants=self._tenants_file(files, saved, before),
            platform=self._platform_file(news, before),
        )
        self._files.confirm(CONFIRMED, confirmation.encode())
        if before is not None:
            names = {before.tenants, before.platform}
            names.update(name for key, name in saved.files.items() if files.get(key) != name)
            self._files.remove(names - {confirmation.tenants, confirmation.platform, ""})
        return _Saved(confirmation, files)

    def _tenants_file(
        self, files: Mapping[str, str], saved: _Saved, before: Confirmation | None
    ) -> str:
        if before is not None and files == saved.files:
            return before.tenants
        return self._files.put(TENANTS, encode_tenants(files))

    def _platform_file(self, news: _News, before: Confirmation | None) -> str:
        """Returns the name of the platform's file. Without encryption there is none.

        It would hold the keys of the installation in plain text.
        """
        if not self._files.encrypts:
            return ""
        if news.platform is None or news.keys is None:
            return "" if before is None else before.platform
        content = encode_platform(PLATFORM, news.platform, news.keys)
        return self._files.put(PLATFORM_FILE, content)

    def _note(self, error: Exception) -> None:
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        if reason != self.problem:
            _log.error("policies cannot be saved", reason=reason)
        self.problem = reason


def _installation(news: _News, before: Confirmation | None) -> str:
    if news.keys is not None:
        return installation_of(news.keys)
    return "" if before is None else before.installation


def _read_news(reader: Reader, saved: _Saved) -> _News:
    before = saved.confirmation
    if before is None:
        return _read_all(reader)
    changes = read_changes(reader, before.revision, before.mark)
    if changes.replaced or not changes.complete:
        return _read_all(reader)
    changed = changes.tenants.keys() - {PLATFORM}
    files = {**saved.files, **dict.fromkeys(changed, "")} if changed else saved.files
    # Those that have changed come first: they are the ones that are in use.
    missing = chain(sorted(changed), (each for each in files if not files[each]))
    has_platform = PLATFORM in changes.tenants
    return _News(
        revision=changes.revision,
        mark=changes.mark,
        files=files,
        tenants=_read_tenants(reader, missing),
        platform=reader.list_tenant(PLATFORM) if has_platform else None,
        keys=read_keys(reader) if has_platform else None,
        begins=False,
    )


def _read_all(reader: Reader) -> _News:
    revision = reader.revision()
    files = dict.fromkeys(sorted(reader.tenants() - {PLATFORM}), "")
    return _News(
        revision=revision,
        mark=read_mark(reader, revision),
        files=files,
        tenants=_read_tenants(reader, files),
        platform=reader.list_tenant(PLATFORM),
        keys=read_keys(reader),
        begins=True,
    )


def _read_tenants(
    reader: Reader, tenants: Mapping[str, str] | chain[str]
) -> dict[str, Sequence[StoredEntity]]:
    """Returns the policies of the first `SLICE` tenants."""
    some = islice(dict.fromkeys(islice(tenants, 2 * SLICE)), SLICE)
    return {tenant_id: reader.list_tenant(tenant_id) for tenant_id in some}
