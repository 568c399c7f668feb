"""A store that could not be opened when the server started, and that is opened later."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pdp.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pdp.domain.server_process import ServerProcess
    from pdp.store.port import Reader, Store, Transaction


class LateStore:
    """A `Store`. Until it is open, every method raises `StoreUnavailable`."""

    def __init__(self, opening: Callable[[], Store]) -> None:
        """Takes what opens the store; it is called again until it succeeds."""
        self._opening = opening
        self._store: Store | None = None
        self._closed = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """Opens the store; does nothing if it is open. One thread at a time may call it.

        Raises:
            ConfigError: the database cannot be used.
            StoreUnavailable: the database cannot be read or written now.
        """
        if self._store is not None:
            return
        store = self._opening()
        with self._lock:
            if not self._closed:
                self._store = store
                return
        store.close()

    def view(self) -> AbstractContextManager[Reader]:
        """See `Store.view`."""
        return self._opened().view()

    def write(self) -> AbstractContextManager[Transaction]:
        """See `Store.write`."""
        return self._opened().write()

    def data_version(self) -> int:
        """See `Store.data_version`."""
        return self._opened().data_version()

    def write_process(self, process: ServerProcess) -> None:
        """See `Store.write_process`."""
        self._opened().write_process(process)

    def remove_process(self, process_id: str) -> None:
        """See `Store.remove_process`."""
        self._opened().remove_process(process_id)

    def watch(self, notice: Callable[[], None]) -> None:
        """See `Store.watch`."""
        self._opened().watch(notice)

    def close(self) -> None:
        """See `Store.close`."""
        with self._lock:
            self._closed = True
            store, self._store = self._store, None
        if store is not None:
            store.close()

    def _opened(self) -> Store:
        store = self._store
        if store is None:
            raise StoreUnavailable("The store's database does not answer.")
        return store
