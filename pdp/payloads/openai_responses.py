"""OpenAI Responses: requests and responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.placement import SYSTEM
from pdp.payloads.pointers import member
from pdp.payloads.shapes import object_of, objects_of, text_of, tool_of
from pdp.payloads.turns import last_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.payloads.reader import PartReader

NAME: Final = "openai.responses"

_MAX_SESSION: Final = 256
_SYSTEM_ROLES: Final = frozenset({"system", "developer"})

_IMAGE_CALL: Final = "image_generation_call"
_HOSTED: Final = frozenset(
    {
        "apply_patch_call",
        "code_interpreter_call",
        "computer_call",
        "file_search_call",
        _IMAGE_CALL,
        "local_shell_call",
        "program",
        "shell_call",
        "tool_search_call",
        "web_search_call",
    }
)
"""The types of calls of tools that OpenAI defines. Their type names the tool."""

_APPROVAL: Final = "mcp_approval_request"
_OTHER_CALLS: Final = frozenset({_APPROVAL, "program"})
"""The types of items that call a tool and whose names do not end with `_call`."""

_MODEL_ITEMS: Final = frozenset({"reasoning", "compaction", "mcp_list_tools", "program_output"})
"""The types of items of the model that are neither messages nor calls."""

_ARGUMENTS: Final = ("arguments", "input", "revised_prompt", "action", "operation", "code")
"""The members of calls that have the arguments, of which a call has one."""

_DATA: Final = (
    ("input_file", "file_data"),
    ("input_audio", "input_audio/data"),
    ("output_audio", "data"),
)
"""The types of parts of contents that hold data, each with the pointer of the data."""

_OUTPUTS: Final = ("output", "outputs", "error")
_RESULTS: Final = ("results", "result")


def is_request(document: Any) -> bool:
    """Whether a document looks like a request."""
    if not isinstance(document, dict) or "messages" in document or "output" in document:
        return False
    given = document.get("input")
    if isinstance(given, list):
        return all(isinstance(each, dict) for each in given)
    return isinstance(given, str) or (given is None and isinstance(document.get("prompt"), dict))


def is_response(document: Any) -> bool:
    """Whether a document looks like a response."""
    if not isinstance(document, dict) or "choices" in document:
        return False
    output = document.get("output")
    return isinstance(output, list) and all(
        isinstance(each, dict) and isinstance(each.get("type"), str) for each in output
    )


def read_request(reader: PartReader) -> None:
    """Reads a request."""
    document = reader.document
    _head(reader)
    given = document.get("input")
    if isinstance(given, str):
        reader.text("/input", given, "user")
    last = last_answer(given, _is_answer)
    for pointer, item in objects_of(given, "/input"):
        _item(reader, item, pointer)
        if pointer == f"/input/{last}":
            reader.end_of_earlier()
    _settings(reader)


def read_response(reader: PartReader) -> None:
    """Reads a response."""
    document = reader.document
    _head(reader)
    for pointer, item in objects_of(document.get("output"), "/output"):
        _item(reader, item, pointer)
    _settings(reader)


def _head(reader: PartReader) -> None:
    """Reads the model, the conversation and the instructions, which responses repeat."""
    document = reader.document
    reader.model = text_of(document, "model")
    _, conversation = object_of(document, "conversation", "")
    session = text_of(document, "conversation") or text_of(conversation, "id")
    reader.session_id = session if len(session) <= _MAX_SESSION else ""
    instructions = document.get("instructions")
    if isinstance(instructions, str):
        reader.text("/instructions", instructions, "system", SYSTEM)
    elif instructions is not None:
        reader.structure("/instructions", instructions, "system", SYSTEM)


def _settings(reader: PartReader) -> None:
    """Reads the variables of a stored prompt, and the tools, which responses repeat."""
    pointer, prompt = object_of(reader.document, "prompt", "")
    pointer, variables = object_of(prompt, "variables", pointer)
    for name, value in variables.items():
        below = member(pointer, name)
        if isinstance(value, str):
            reader.text(below, value, "user")
        elif isinstance(value, dict):
            _content_part(reader, value, below, _taker(reader, "user"))
    if "tools" in reader.document:
        reader.structure("/tools", reader.document["tools"], "tools")


def _is_answer(item: dict[str, Any]) -> bool:
    """Whether an item is of the model. What the caller may still approve is not: it runs next."""
    kind = text_of(item, "type")
    if kind == _APPROVAL:
        return False
    return item.get("role") == "assistant" or _is_call(kind) or kind in _MODEL_ITEMS


def _is_call(kind: str) -> bool:
    return kind.endswith("_call") or kind in _OTHER_CALLS


def _item(reader: PartReader, item: dict[str, Any], pointer: str) -> None:
    kind = text_of(item, "type")
    if _is_call(kind):
        _call(reader, item, pointer, kind)
    elif kind.endswith("_output"):
        _outputs(reader, item, pointer)
        _results(reader, item, pointer, kind)
    else:
        role = text_of(item, "role") or ("assistant" if kind in _MODEL_ITEMS else "user")
        take = _taker(reader, role)
        for name in ("content", "summary"):
            _content(reader, item.get(name), f"{pointer}/{name}", take)
        reason = item.get("reason")
        if isinstance(reason, str):  # of an approval
            take(f"{pointer}/reason", reason)
    if "tools" in item and not _is_call(kind):
        reader.structure(f"{pointer}/tools", item["tools"], "tools")


def _taker(reader: PartReader, role: str) -> Callable[[str, str], None]:
    scope = SYSTEM if role in _SYSTEM_ROLES else ""
    return lambda pointer, text: reader.text(pointer, text, role, scope)


def _content(
    reader: PartReader, content: Any, pointer: str, take: Callable[[str, str], None]
) -> None:
    if isinstance(content, str):
        take(pointer, content)
    for below, part in objects_of(content, pointer):
        _content_part(reader, part, below, take)
        reader.repetition(f"{below}/logprobs", part.get("logprobs"))


def _content_part(
    reader: PartReader, part: dict[str, Any], pointer: str, take: Callable[[str, str], None]
) -> None:
    for name in ("text", "refusal", "transcript", "stdout", "stderr", "logs"):
        text = part.get(name)
        if isinstance(text, str):
            take(f"{pointer}/{name}", text)
    for name in ("image_url", "url"):
        reader.url_or_media(f"{pointer}/{name}", part.get(name))
    for kind, name in _DATA:
        if part.get("type") == kind:
            reader.media(f"{pointer}/{name}")


def _call(reader: PartReader, item: dict[str, Any], pointer: str, kind: str) -> None:
    """Takes a call, and its result if the provider has run the tool."""
    tool = kind.removesuffix("_call")
    if kind not in _HOSTED:
        tool = tool_of(item, pointer) or tool
    server = text_of(item, "server_label")
    for name in _ARGUMENTS:
        arguments = item.get(name)
        if isinstance(arguments, (str, dict)):
            reader.call(f"{pointer}/{name}", tool, arguments, server=server)
            _outputs(reader, item, pointer)
            break
    else:
        if kind == _IMAGE_CALL:  # without a prompt
            reader.call(f"{pointer}/type", tool, None)
        else:  # the arguments are elsewhere: all of it, except what `_results` takes
            own = {name: value for name, value in item.items() if name not in _RESULTS}
            reader.call(pointer, tool, own, server=server)
    _results(reader, item, pointer, kind)


def _results(reader: PartReader, item: dict[str, Any], pointer: str, kind: str) -> None:
    if kind == _IMAGE_CALL:
        reader.media(f"{pointer}/result")
        return
    for name in _RESULTS:
        if item.get(name) is not None:
            reader.result(f"{pointer}/{name}", item[name])


def _outputs(reader: PartReader, item: dict[str, Any], pointer: str) -> None:
    for name in _OUTPUTS:
        value, below = item.get(name), f"{pointer}/{name}"
        if isinstance(value, list):
            _content(reader, value, below, reader.result)
        elif text_of(item, "type") == "computer_call_output" and isinstance(value, dict):
            _content_part(reader, value, below, reader.result)
        elif value is not None:
            reader.result(below, value)
