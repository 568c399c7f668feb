"""Reads the parts of a document. What no part takes is the rest, which is judged as one structure.

So a field that this version does not know is judged too.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.placement import ARGUMENTS, OUTPUT, SYSTEM, TEXT, TOOL_RESULT
from pdp.domain.request import MAX_VALUES
from pdp.payloads.payload import (
    MAX_BODY_BYTES,
    MAX_PARTS,
    MAX_TEXT_BYTES,
    MAX_UNJUDGED,
    Payload,
    PayloadError,
    PayloadPart,
)
from pdp.payloads.pointers import member, value_at
from pdp.strictjson.objects import OUT_OF_RANGE, to_text
from pdp.strictjson.parsing import parse
from pdp.strictjson.problems import LONE_SURROGATE, InvalidValue, type_mismatch

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_DEPTH: Final = 100
"""The deepest nesting of a payload."""

MAX_NAME: Final = 256
"""The longest name of a tool or a server, in characters."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$@][A-Za-z_.$-]{0,40}")
"""Keys that need no judgement if nothing below them does."""

_MEDIUM: Final = re.compile(r"(?i:data:[^,]{0,256};base64,)?[A-Za-z0-9+/_\r\n-]*={0,2}[\r\n]*")
_LARGEST: Final = sys.float_info.max


def read_json(body: str) -> Any:
    """Returns the JSON value of a body.

    Raises:
        PayloadError: it is not JSON, has a name twice in one object, or exceeds a bound.
    """
    if size_of(body) > MAX_BODY_BYTES:
        raise PayloadError(f"is larger than {MAX_BODY_BYTES} bytes")
    try:
        value = parse(body)
    except InvalidValue as error:
        raise PayloadError(f"is not JSON: {error}") from None
    _check(value, body)
    return value


def size_of(text: str) -> int:
    """Returns the size of a text, in bytes of UTF-8.

    Raises:
        PayloadError: it has half of a surrogate pair.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise PayloadError(LONE_SURROGATE) from None


def _check(value: Any, text: str) -> None:
    """Checks the JSON value of a text."""
    _Bounds().check(value, 1)
    if "\\ud" in text or "\\uD" in text:
        size_of(to_text(value))


class _Bounds:
    def __init__(self) -> None:
        self._values = 0

    def check(self, value: Any, depth: int) -> None:
        """Checks the size of a document.

        Raises:
            PayloadError: it is nested too deep, or has too many values or a number out of range.
        """
        self._values += 1
        if depth > MAX_DEPTH:
            raise PayloadError(f"is nested more than {MAX_DEPTH} deep")
        if self._values > MAX_VALUES:
            raise PayloadError(f"has more than {MAX_VALUES} values")
        if isinstance(value, dict):
            for item in value.values():
                self.check(item, depth + 1)
        elif isinstance(value, list):
            for item in value:
                self.check(item, depth + 1)
        elif isinstance(value, (int, float)) and not -_LARGEST <= value <= _LARGEST:
            raise PayloadError(OUT_OF_RANGE)


class PartReader:
    """Collects the parts of one document.

    Attributes:
        document: the document.
        is_output: whether it is an answer.
        answers: the method of the request that it answers; empty if that is not known.
        provider, model, session_id: see `Payload`.
    """

    def __init__(self, format_: str, body: str, document: Any, *, is_output: bool) -> None:
        self.document = document
        self.is_output = is_output
        self.answers = ""
        self.provider = ""
        self.model = ""
        self.session_id = ""
        self._format = format_
        self._body = body
        self._parts: list[PayloadPart] = []
        self._unjudged: list[str] = []
        self._repetitions: list[str] = []
        self._taken: set[str] = set()
        self._earlier_end = 0
        self._texts_bytes = 0

    @property
    def text_scope(self) -> str:
        """The scope of a text that is neither a system prompt nor the result of a tool."""
        return OUTPUT if self.is_output else TEXT

    def text(self, pointer: str, value: str, role: str, scope: str = "") -> None:
        """Takes a text. JSON in it is judged too.

        Args:
            pointer: its place in the document.
            value: the text.
            role: who wrote it.
            scope: its scope; by default `text_scope`.
        """
        if size_of(value) > MAX_TEXT_BYTES:
            raise PayloadError(f"has a text of more than {MAX_TEXT_BYTES} bytes at {pointer}")
        self._taken.add(pointer)
        if value:
            self._add(PayloadPart(pointer, scope or self.text_scope, role, text=value))

    def result(self, pointer: str, value: Any, role: str = "tool") -> None:
        """Takes the result of a tool: a text, or a structure."""
        if isinstance(value, str):
            self.text(pointer, value, role, TOOL_RESULT)
        else:
            self.structure(pointer, value, role, TOOL_RESULT)

    def structure(self, pointer: str, value: Any, role: str, scope: str = "") -> None:
        """Takes a structure that is judged as a whole; see `text`."""
        self._taken.add(pointer)
        if value not in (None, {}, [], ""):
            self._add(_structure(pointer, scope or self.text_scope, role, value))

    def call(self, pointer: str, tool: str, arguments: Any, *, server: str = "") -> None:
        """Takes a call of a tool.

        Args:
            pointer: the place of the arguments.
            tool: the name of the tool.
            arguments: an object; or a string with the JSON text of an object, or any text.
            server: the server that has the tool, if the protocol names it.

        Raises:
            PayloadError: the name of the tool is too long.
        """
        if len(tool) > MAX_NAME or len(server) > MAX_NAME:
            raise PayloadError(f"has the name of a tool of over {MAX_NAME} characters")
        self._taken.add(pointer)
        values, as_text = arguments, False
        if isinstance(arguments, str):
            if size_of(arguments) > MAX_TEXT_BYTES:
                raise PayloadError(f"has arguments of more than {MAX_TEXT_BYTES} bytes")
            values, as_text = _object_in(arguments), True
        elif arguments is None:
            values = {}
        elif not isinstance(arguments, dict):
            raise PayloadError(f"{pointer}: {type_mismatch('an object', arguments)}")
        part = PayloadPart(pointer, ARGUMENTS, "assistant", tool=tool, server=server)
        if values is None:  # a tool may take any text
            self._add(part._replace(text=arguments, values={}))
        else:
            self._add(part._replace(values=values, as_text=as_text))

    def media(self, pointer: str) -> None:
        """Takes data that is not judged: an image, audio, or a file in base64, or a URL with it.

        What is no base64 is left to the rest, which is judged: it may be a text.
        """
        try:
            value = value_at(self.document, pointer)
        except KeyError:
            return
        if not isinstance(value, str) or not _MEDIUM.fullmatch(value):
            return
        self._taken.add(pointer)
        if not value:
            return
        if len(self._unjudged) >= MAX_UNJUDGED:
            raise PayloadError(f"has more than {MAX_UNJUDGED} images, sounds and files")
        self._unjudged.append(pointer)

    def word(self, pointer: str, value: str, known: Collection[str]) -> None:
        """Takes a word of the protocol, which needs no judgement. Another is left to the rest."""
        if value in known:
            self._taken.add(pointer)

    def repetition(self, pointer: str, value: Any) -> None:
        """Takes what repeats a text token by token. It goes if a text of the document is redacted.

        It is judged as a structure; that alone would not find what is split between two tokens.
        """
        if value:
            self.structure(pointer, value, "tokens")
            self._repetitions.append(pointer)

    def url_or_media(self, pointer: str, value: Any) -> None:
        """Takes a `data:` URL in base64 as media; another address is left to the rest."""
        if isinstance(value, str) and value[:5].lower() == "data:":
            self.media(pointer)

    def end_of_earlier(self) -> None:
        """Says that all parts so far, except system prompts, stand before the last answer's end."""
        self._earlier_end = len(self._parts)

    def payload(self) -> Payload:
        """Returns the payload, with the rest of the document as its last part.

        Raises:
            PayloadError: there are too many parts.
        """
        rest = _rest(self.document, self._taken, "")
        if rest is not None:
            self._parts.append(_structure("", self.text_scope, "", rest))
        if len(self._parts) > MAX_PARTS:
            raise PayloadError(f"has more than {MAX_PARTS} texts and tool calls")
        parts = tuple(
            each._replace(is_earlier=True)
            if index < self._earlier_end and each.scope != SYSTEM
            else each
            for index, each in enumerate(self._parts)
        )
        return Payload(
            self._format,
            self._body,
            self.is_output,
            parts,
            tuple(self._unjudged),
            self.provider,
            self.model,
            self.session_id,
            self.document,
            tuple(self._repetitions),
        )

    def _add(self, part: PayloadPart) -> None:
        if len(self._parts) >= MAX_PARTS:
            raise PayloadError(f"has more than {MAX_PARTS} texts and tool calls")
        self._parts.append(part)


def _structure(pointer: str, scope: str, role: str, value: Any) -> PayloadPart:
    if isinstance(value, dict):
        return PayloadPart(pointer, scope, role, values=value)
    return PayloadPart(pointer, scope, role, values={"": value}, is_wrapped=True)


def _object_in(text: str) -> dict[str, Any] | None:
    """Returns the object that a text is; None if it is no JSON object."""
    try:
        value = parse(text or "{}")
    except InvalidValue as error:
        if _reads_as_object(text):
            raise PayloadError(f"has arguments that are ambiguous: {error}") from None
        return None
    if not isinstance(value, dict):
        return None
    _check(value, text)
    return value


def _reads_as_object(text: str) -> bool:
    """Whether another parser may take a text for an object, although this one refuses it."""
    try:
        return isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        return False
    except (ValueError, RecursionError):  # a number with thousands of digits, or deep nesting
        return True


def _rest(value: Any, taken: set[str], pointer: str) -> Any:
    """Returns what of a document no part has taken; None if nothing is to be judged in it.

    In lists, None stands for what is not there, so that the other items keep their places.
    """
    if isinstance(value, dict):
        members: dict[str, Any] = {}
        for key, item in value.items():
            below = member(pointer, key)
            if below not in taken:
                rest = _rest(item, taken, below)
                if rest is not None:
                    members[key] = rest
                elif not _PLAIN_KEY.fullmatch(key):
                    members[key] = None
        return members or None
    if isinstance(value, list):
        items = [
            None if (below := f"{pointer}/{index}") in taken else _rest(item, taken, below)
            for index, item in enumerate(value)
        ]
        return items if any(each is not None for each in items) else None
    return None if isinstance(value, bool) else value
