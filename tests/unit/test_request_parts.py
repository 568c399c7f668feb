"""The parts of a request: places, documents, quoted words, and how much is judged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdp.domain.request import Request
from pdp.engine.text.locations import Location, Segment, locate
from pdp.engine.text.readings import readings
from pdp.engine.text.request_parts import MAX_JUDGED, RequestParts

TOOLS = ("write_file", "create_issue")


def locations(request: Request, needle: str) -> list[Location]:
    """Returns each location of `needle` in all readings of a request."""
    found: dict[Location, None] = {}
    for each in readings(request.text, request.arguments, lambda _: None):
        for segment in (each,) if isinstance(each, Segment) else each.segments():
            start = segment.text.find(needle)
            if start >= 0:
                found.update(dict.fromkeys(locate(segment, start, start + len(needle))))
    assert found
    return list(found)


def command_talk(arguments: dict[str, Any], tool: str = "write_file") -> bool:
    """Returns whether `rm -rf /` is talk wherever it is in the arguments."""
    request = Request(tool=tool, arguments=arguments)
    parts = RequestParts(request, TOOLS)
    return all(map(parts.is_command_talk, locations(request, "rm -rf /")))


class TestScope:
    @pytest.mark.parametrize(("direction", "scope"), [("input", "text"), ("output", "output")])
    def test_a_text_has_the_place_of_its_direction(self, direction: str, scope: str) -> None:
        request = Request(text="a rm -rf / b", direction=direction)
        (location,) = locations(request, "rm -rf /")
        assert RequestParts(request).scope_of(location) == scope

    @pytest.mark.parametrize("direction", ["input", "output"])
    def test_arguments_and_calls_in_a_text_are_arguments(self, direction: str) -> None:
        call = json.dumps({"name": "sh", "arguments": {"c": "rm -rf /"}})
        for request in (
            Request(arguments={"c": "rm -rf /"}, direction=direction),
            Request(text=f"So: {call}", direction=direction),
        ):
            parts = RequestParts(request)
            assert {parts.scope_of(each) for each in locations(request, "rm -rf /")} == {
                "arguments"
            }


class TestDocuments:
    def test_a_field_of_a_listed_tool(self) -> None:
        assert command_talk({"path": "a.md", "content": "Never rm -rf / it"})
        assert not command_talk({"path": "a.md", "content": "Never rm -rf / it"}, "shell")
        assert not command_talk({"path": "a.sh", "content": "Never rm -rf / it"})

    def test_a_key_is_no_document(self) -> None:
        assert not command_talk({"rm -rf /": "x"})

    def test_a_field_that_holds_json(self) -> None:
        text = json.dumps({"a": "line\nrm -rf /"})
        assert command_talk({"path": "a.md", "content": text})

    def test_a_call_in_a_document_is_no_document(self) -> None:
        call = json.dumps({"name": "sh", "arguments": {"c": "rm -rf /"}})
        assert not command_talk({"path": "a.md", "content": f"Run {call}"})

    @pytest.mark.parametrize("path", ["a.md", "a.sh"])
    def test_arguments_as_json_text(self, path: str) -> None:
        text = json.dumps({"path": path, "content": 'Never\n"rm -rf /" it'})
        assert command_talk({"arguments": text}) is (path == "a.md")

    def test_words_of_a_list_are_no_document(self) -> None:
        request = Request(tool="write_file", arguments={"content": ["rm", "-rf", "/"]})
        parts = RequestParts(request, TOOLS)
        assert not any(map(parts.is_command_talk, locations(request, "rm -rf /")))

    def test_a_call_in_a_text_has_documents_of_its_own_tool(self) -> None:
        for tool, is_talk in (("create_issue", True), ("shell", False)):
            call = json.dumps({"name": tool, "arguments": {"body": 'Say "rm -rf /" never\n'}})
            request = Request(tool="write_file", text=call)
            parts = RequestParts(request, TOOLS)
            for location in locations(request, "rm -rf /"):
                assert parts.is_command_talk(location) is is_talk


class TestQuotedWords:
    @pytest.mark.parametrize("text", ['git commit -m "a\nrm -rf /"', 'grep "rm -rf /" x'])
    def test_in_all_kinds_of_arguments(self, text: str) -> None:
        assert command_talk({"c": text}, "shell")
        assert command_talk({"arguments": json.dumps({"c": text})}, "shell")
        call = json.dumps({"name": "sh", "input": {"c": text}})
        request = Request(text=f"```\n{call}\n```")
        parts = RequestParts(request)
        assert all(map(parts.is_command_talk, locations(request, "rm -rf /")))

    def test_not_beside_a_use(self) -> None:
        text = 'git commit -m "rm -rf /" && rm -rf /'
        request = Request(tool="sh", arguments={"c": text})
        base = Segment("/c", text, text.encode())
        parts = RequestParts(request)
        first, second = text.index("rm"), text.rindex("rm")
        assert parts.is_command_talk(Location(base, first, first + 8)) is False
        assert parts.is_command_talk(Location(base, second, second + 8)) is False


class TestProse:
    def test_escapes_of_json_are_no_disguise(self) -> None:
        text = json.dumps({"q": 'Write "UNION SELECT"\nand explain it'})
        request = Request(text=text)
        parts = RequestParts(request)
        assert all(map(parts.is_sql_talk, locations(request, "UNION SELECT")))

    def test_members_of_json_are_no_prose_for_each_other(self) -> None:
        text = json.dumps({"q": "Please tell me more about it", "id": "1 UNION SELECT a FROM b"})
        request = Request(text=text)
        parts = RequestParts(request)
        assert not any(map(parts.is_sql_talk, locations(request, "UNION SELECT")))

    def test_arguments_have_prose_in_documents_only(self) -> None:
        for tool in ("create_issue", "run_sql"):
            request = Request(tool=tool, arguments={"body": "How does UNION SELECT work?"})
            parts = RequestParts(request, TOOLS)
            (location,) = locations(request, "UNION SELECT")
            assert parts.is_sql_talk(location) is (tool == "create_issue")


def test_the_number_of_places_that_are_judged_is_bounded() -> None:
    text = "x rm -rf / y " * (MAX_JUDGED + 1)
    request = Request(tool="create_issue", arguments={"body": text})
    base = Segment("/body", text, text.encode())
    parts = RequestParts(request, TOOLS)
    for _ in range(2):  # a place that was judged stays so
        verdicts = [
            parts.is_command_talk(Location(base, at * 13 + 2, at * 13 + 10))
            for at in range(MAX_JUDGED + 1)
        ]
        assert verdicts == [True] * MAX_JUDGED + [False]
