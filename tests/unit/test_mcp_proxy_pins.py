"""Pins of tool definitions."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from pdp.adapters.mcp import pins as pins_module
from pdp.adapters.mcp.pins import PinFault, Pins, PinState, hash_of
from pdp.errors import ConfigError
from tests.support.mcp import tool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "pins.json"


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Another tool."},
        {"title": "A title"},
        {"inputSchema": {"type": "object"}},
        {"inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}},
        {"outputSchema": {"type": "string"}},
        {"annotations": {"readOnlyHint": True}},
        {"name": "b"},
    ],
)
def test_the_hash_is_that_of_what_a_model_or_a_person_reads(change: dict[str, Any]) -> None:
    definition = tool("a")
    assert hash_of({**definition, **change}) != hash_of(definition)


def test_the_hash_does_not_depend_on_order_or_on_metadata() -> None:
    definition = tool("a", x={"type": "string", "description": "d"})
    shuffled = json.loads(json.dumps(definition, sort_keys=True))
    assert hash_of({**dict(reversed(shuffled.items())), "_meta": {"v": 2}}) == hash_of(definition)


def test_a_tool_is_pinned_when_it_is_first_seen(path: Path) -> None:
    first = Pins("demo", path)
    assert first.compare({"a": "h1"}) == {"a": PinState.NEW}
    assert first.compare({"a": "h1"}) == {"a": PinState.SAME}
    again = Pins("demo", path)
    assert again.compare({"a": "h1", "b": "h2"}) == {"a": PinState.SAME, "b": PinState.NEW}
    assert again.compare({"a": "other"}) == {"a": PinState.CHANGED}
    assert again.compare({"a": "h1"}) == {"a": PinState.SAME}  # the pin stays


def test_servers_have_pins_of_their_own(path: Path) -> None:
    Pins("one", path).compare({"a": "h1"})
    assert Pins("two", path).compare({"a": "h2"}) == {"a": PinState.NEW}
    assert Pins("one", path).compare({"a": "h1"}) == {"a": PinState.SAME}


def test_without_a_file_pins_last_as_long_as_the_proxy() -> None:
    pins = Pins("demo")
    assert pins.compare({"a": "h1"}) == {"a": PinState.NEW}
    assert pins.compare({"a": "h2"}) == {"a": PinState.CHANGED}


def test_locked_pins_stay_as_they_are(path: Path) -> None:
    Pins("demo", path).compare({"a": "h1"})
    before = path.read_bytes()
    locked = Pins("demo", path, locked=True)
    assert locked.compare({"a": "h1", "b": "h2"}) == {"a": PinState.SAME, "b": PinState.NEW}
    assert locked.compare({"b": "h2"}) == {"b": PinState.NEW}
    assert path.read_bytes() == before


def test_locked_pins_need_a_file(path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        Pins("demo", path, locked=True)
    with pytest.raises(ConfigError, match="--pins FILE"):
        Pins("demo", locked=True)


def test_proxies_share_a_file(path: Path) -> None:
    """None of them loses the pins of another, and the first definition counts."""
    names = [f"tool{index}" for index in range(16)]

    def pin(name: str) -> dict[str, PinState]:
        return Pins("demo", path).compare({name: "h1", "common": name})

    with ThreadPoolExecutor(8) as threads:
        states = [each["common"] for each in threads.map(pin, names)]
    stored = json.loads(path.read_text())["servers"]["demo"]
    assert stored.keys() == {*names, "common"}
    assert states.count(PinState.NEW) == 1
    assert states.count(PinState.CHANGED) == 15


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    Pins("demo", path).compare({"a": "h1"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 2, "servers": {}}',
        '{"version": 1, "servers": []}',
        '{"version": 1, "servers": {"demo": ["h1"]}}',
        '{"version": 1, "servers": {"demo": {"a": 1}}}',
        '{"version": 1, "servers": {"demo": {"a": "h1", "a": "h2"}}}',
    ],
)
def test_a_file_that_is_not_understood_prevents_the_start(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"pins\.json"):
        Pins("demo", path)


def test_a_pin_that_cannot_be_stored_is_a_fault(path: Path) -> None:
    pins = Pins("demo", path / "missing" / "pins.json")
    with pytest.raises(PinFault):
        pins.compare({"a": "h1"})
    path.write_text("broken")
    with pytest.raises(ConfigError):
        Pins("demo", path)


def test_a_file_that_breaks_later_is_a_fault(path: Path) -> None:
    pins = Pins("demo", path)
    path.write_text("broken")
    with pytest.raises(PinFault):
        pins.compare({"a": "h1"})
    assert path.read_text() == "broken"


def test_the_number_of_tools_is_bounded(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(pins_module, "MAX_TOOLS", 2)
    for place in (None, path):
        pins = Pins("demo", place)
        pins.compare({"a": "1", "b": "2"})
        with pytest.raises(PinFault, match="more than 2 tools"):
            pins.compare({"c": "3"})
