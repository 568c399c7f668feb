"""Which action a tool call in a payload is: by the tenant's table, else by the tool's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pdp.engine.rules.globs import glob_matches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_REMEMBERED: Final = 4096
"""Names of tools whose actions are remembered."""

MAX_ACTION: Final = 256
"""The longest action, in characters."""

_FOREIGN: Final = re.compile(r"[^a-z0-9_]")


class ToolActions:
    """The actions of tool calls. Any number of threads may ask at once."""

    __slots__ = ("_entries", "_known")

    def __init__(self, entries: Sequence[Mapping[str, str]] | None = None) -> None:
        """Takes the entries of the tenant settings `tool_actions`."""
        self._entries = [(each["tool"], each["action"]) for each in entries or ()]
        self._known: dict[tuple[str, str], str] = {}

    def action_of(self, tool: str, server: str = "") -> str:
        """Returns the action of a call.

        Args:
            tool: the name of the tool.
            server: the server that has it; empty if the payload does not name it.
        """
        key = (tool, server)
        action = self._known.get(key)
        if action is None:
            action = self._find(tool, server)
            if len(self._known) < MAX_REMEMBERED:
                self._known[key] = action
        return action

    def _find(self, tool: str, server: str) -> str:
        name = f"{server}/{tool}" if server else tool
        for pattern, action in self._entries:
            if glob_matches(pattern, name):
                return action
        parts = ("mcp", server, tool) if server else ("tool", tool, "call")
        return ":".join(map(_word, parts))


NO_TOOL_ACTIONS: Final = ToolActions()


def _word(name: str) -> str:
    """Returns a name as a part of an action: it begins with a letter."""
    word = _FOREIGN.sub("_", name.lower())[: MAX_ACTION // 3]
    return word if word[:1].isalpha() else f"t{word}"
