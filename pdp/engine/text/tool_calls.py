"""Tool calls in a text: JSON that has the shape in which models and protocols call tools.

An object is a call if one member names the tool and another has its arguments, an object or array,
or a string with either as JSON:

| | |
|---|---|
| OpenAI | `{"function": {"name": …, "arguments": "{…}"}}`; in a stream, without the name |
| Anthropic, Bedrock | `{"type": "tool_use", "name": …, "input": {…}}` |
| MCP | `{"method": "tools/call", "params": {"name": …, "arguments": {…}}}` |
| others | `{"tool": …, "parameters": {…}}`, `{"action": …, "action_input": …}` |

JSON counts also between words, in Markdown, in strings of JSON, and if it is cut off.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple

import re2

from pdp.engine.text.json_text import MAX_DEPTH
from pdp.engine.text.json_tree import JsonNode, TooMuchJson, TreeReader, strings_below
from pdp.engine.text.locations import locate
from pdp.engine.text.readings import MAX_NESTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.engine.text.json_tree import Path
    from pdp.engine.text.locations import Location, Segment

MAX_CALLS: Final = 1000
"""How many calls of a text are read."""

TOOL_KEYS: Final = frozenset(
    {"action", "function", "functionname", "method", "name", "recipientname", "tool", "toolname"}
)
ARGUMENT_KEYS: Final = frozenset({
    "actioninput", "args", "arguments", "argumentsjson", "functionarguments", "input", "kwargs",
    "parameters", "params", "rawarguments", "toolargs", "toolarguments", "toolinput",
})  # fmt: skip
"""Keys in lower case, without `_` and `-`."""

MCP_METHOD: Final = "tools/call"
"""The method of MCP that calls the tool that its parameters name."""

_NAMELESS: Final = frozenset({"arguments", "toolarguments", "toolinput"})
"""Keys of arguments that need no name beside them: a stream sends the name only once."""

_MARK: Final = re2.compile(rb'(?i)(?:arg(?:ument)?s|input|param(?:eter)?s|json)\\*"|\\u')
"""What the text of a call has: such a key, or an escape that may stand for a part of one."""


class Leaf(NamedTuple):
    """A string in the arguments of a tool.

    Attributes:
        path: the keys and indexes that lead to it.
        segment: the string, without escapes.
    """

    path: Path
    segment: Segment


class ToolCall(NamedTuple):
    """A tool call in a text.

    Attributes:
        tool: the name of the tool; empty if the call has none.
        start: the start of the arguments in the text.
        end: their end.
        arguments: the arguments; None if they are a string that is no JSON.
        text: the string that the arguments are; None if they are no string.
    """

    tool: str
    start: int
    end: int
    arguments: JsonNode | None
    text: Segment | None = None

    def holds(self, location: Location) -> bool:
        """Whether a location is in the arguments, or a part of it is."""
        return location.start < self.end and location.end > self.start

    def leaves(self) -> Iterator[Leaf]:
        """Yields each string in the arguments."""
        if self.arguments is not None:
            for path, node in strings_below(self.arguments):
                yield Leaf(path, node.string())
        elif self.text is not None:
            yield Leaf((), self.text)


class TextCalls:
    """The tool calls of one text, read when they are first asked for."""

    __slots__ = ("_calls", "_is_unknown", "_parts", "_segment")

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._calls: Sequence[ToolCall] | None = None
        self._parts: Sequence[tuple[int, int]] = ()
        self._is_unknown = False

    @property
    def is_unknown(self) -> bool:
        """Whether there is too much JSON to find all calls: anything may be in one then."""
        self._read()
        return self._is_unknown

    def hold(self, location: Location) -> bool:
        """Returns whether a location is in the arguments of a call, or may be."""
        self._read()
        if self._is_unknown:
            return True
        parts = self._parts
        index = bisect_left(parts, location.end, key=_start) - 1
        return index >= 0 and parts[index][1] > location.start

    def around(self, location: Location) -> Sequence[ToolCall]:
        """Returns the calls whose arguments hold a location; inner calls follow outer ones."""
        return [call for call in self._read() if call.holds(location)]

    def _read(self) -> Sequence[ToolCall]:
        if self._calls is None:
            calls: list[ToolCall] = []
            self._calls = calls
            try:
                for call in _calls(self._segment, TreeReader(), 0):
                    if len(calls) == MAX_CALLS:
                        raise TooMuchJson
                    calls.append(call)
            except TooMuchJson:
                self._is_unknown = True
            self._parts = _joined(calls)
        return self._calls


def _joined(calls: Sequence[ToolCall]) -> Sequence[tuple[int, int]]:
    """Returns the parts of a text that are in calls, in order and without overlaps."""
    parts: list[tuple[int, int]] = []
    for call in sorted(calls, key=_start_of_call):
        if parts and call.start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(parts[-1][1], call.end))
        else:
            parts.append((call.start, call.end))
    return parts


def _start_of_call(call: ToolCall) -> int:
    return call.start


def _start(part: tuple[int, int]) -> int:
    return part[0]


def normal_key(key: str | int) -> str:
    """Returns a key as it stands in `TOOL_KEYS`; empty for an index."""
    return "" if isinstance(key, int) else key.lower().replace("_", "").replace("-", "").strip()


def _may_have_calls(segment: Segment) -> bool:
    # A search for one character is much faster than the one for a key.
    text = segment.text
    return '"' in text and ":" in text and _MARK.search(segment.data) is not None


def _calls(segment: Segment, reader: TreeReader, depth: int) -> Iterator[ToolCall]:
    """Yields the calls in a text.

    Raises:
        TooMuchJson: there is more JSON than may be read.
    """
    if depth > MAX_NESTED or not _may_have_calls(segment):
        return
    for root in reader.read(segment):
        yield from _calls_below(root, reader, depth, MAX_DEPTH)


def _calls_below(node: JsonNode, reader: TreeReader, depth: int, levels: int) -> Iterator[ToolCall]:
    if node.is_string:
        yield from _calls(node.string(), reader, depth + 1)
        return
    if node.is_object:
        yield from _own_calls(node, reader)
    if levels:
        for _, item in node.items:
            yield from _calls_below(item, reader, depth, levels - 1)


def _own_calls(node: JsonNode, reader: TreeReader) -> Iterator[ToolCall]:
    """Yields the calls that an object itself is: one for each member with arguments."""
    names = {
        item.string().text
        for key, item in node.items
        if item.is_string and normal_key(key) in TOOL_KEYS
    } - {MCP_METHOD}
    # With several names it is not certain which one is the tool.
    tool = next(iter(names)) if len(names) == 1 else ""
    for key, item in node.items:
        word = normal_key(key)
        if word in ARGUMENT_KEYS and (names or word in _NAMELESS):
            yield from _call(tool, item, reader)


def _call(tool: str, node: JsonNode, reader: TreeReader) -> Iterator[ToolCall]:
    text = node.string() if node.is_string else None
    arguments: JsonNode | None = node
    if text is not None:
        arguments = next(reader.read(text), None) if text.text.lstrip()[:1] in {"{", "["} else None
    for place in locate(node.segment, node.start, node.end):
        yield ToolCall(tool, place.start, place.end, arguments, text)
