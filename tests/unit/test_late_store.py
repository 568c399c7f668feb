"""A store that is opened late: it is unavailable until then, and closed even if it opens later."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pdp.bootstrap.late_store import LateStore
from pdp.errors import StoreUnavailable
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pdp.store.port import Store

USES: tuple[Callable[[Store], object], ...] = (
    lambda store: store.view(),
    lambda store: store.write(),
    lambda store: store.data_version(),
    lambda store: store.watch(lambda: None),
)


@pytest.mark.parametrize("use", USES)
def test_it_is_unavailable_until_it_is_open_and_when_it_is_closed(
    tmp_path: Path, use: Callable[[Store], object]
) -> None:
    store = LateStore(lambda: open_store(f"sqlite:///{tmp_path}/pdp.db"))
    with pytest.raises(StoreUnavailable):
        use(store)
    store.open()
    use(store)
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable):
        use(store)


def test_opening_is_tried_again(tmp_path: Path) -> None:
    opened: list[Store] = []

    def opening() -> Store:
        opened.append(open_store(f"sqlite:///{tmp_path}/pdp.db"))
        if len(opened) == 1:
            opened[0].close()
            raise StoreUnavailable("not yet")
        return opened[-1]

    store = LateStore(opening)
    with closing(store):
        with pytest.raises(StoreUnavailable, match="not yet"):
            store.open()
        store.open()
        store.open()
        with store.view() as reader:
            assert reader.revision() == 0
    assert len(opened) == 2


def test_a_store_that_opens_after_the_end_is_closed(tmp_path: Path) -> None:
    opened: list[Store] = []

    def opening() -> Store:
        late.close()  # the server ends meanwhile
        opened.append(open_store(f"sqlite:///{tmp_path}/pdp.db"))
        return opened[-1]

    late = LateStore(opening)
    late.open()
    with pytest.raises(StoreUnavailable):
        opened[0].data_version()
    with pytest.raises(StoreUnavailable):
        late.data_version()
