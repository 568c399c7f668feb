"""Malformed payloads of every format: refused, or judged with nothing lost. Never another error."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.payloads.formats import FORMATS, NAMES, read_payload
from pdp.payloads.payload import (
    MAX_BODY_BYTES,
    MAX_PARTS,
    MAX_TEXT_BYTES,
    MAX_UNJUDGED,
    PayloadError,
)
from pdp.payloads.pointers import member, value_at
from pdp.payloads.redaction import BLOCKED, PartChange, redacted_body
from tests.support.payload_samples import Sample, samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.payloads.payload import Payload

SAMPLES: Final = samples()
DIRECTIONS: Final = ("", "input", "output")

_MEDIUM: Final = re.compile(r"(?i:data:[^,]*;base64,)?[A-Za-z0-9+/_\r\n=-]*")
_WORD: Final = re.compile(r"[a-z_]{1,64}")
"""A word of the protocol: a role, or the type of a call, which stands for missing arguments."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$@][A-Za-z_.$-]{0,40}")

REPLACEMENTS: Final[tuple[Any, ...]] = (
    None,
    True,
    7,
    -1.5,
    "",
    "two words",
    '{"two words": "in JSON"}',
    [],
    ["two words", 7],
    [["two words"]],
    [{"two words": 7}],
    {},
    {"two words": ["two words"]},
    {"type": "text", "text": "two words"},
)
"""Put in the place of every value of every sample."""


def read(format_: str, body: str, direction: str = "") -> Payload | None:
    """Reads a body and checks that nothing is lost; None if it is refused."""
    try:
        payload = read_payload(format_, body, direction)
    except PayloadError:
        return None
    check_complete(payload)
    return payload


def check_complete(payload: Payload) -> None:
    """Checks that every string, number and unusual key is in one part, and in no other."""
    judged = list(judged_places(payload))
    assert len(judged) == len(set(judged)), sorted(
        {each for each in judged if judged.count(each) > 1}
    )
    places = set(judged)
    for pointer, value in leaves(payload.document):
        if (pointer, False) in places or value is None or value in (True, False, ""):
            continue
        assert isinstance(value, str), (pointer, value)
        is_medium = pointer in payload.unjudged and _MEDIUM.fullmatch(value)
        is_word = pointer.endswith(("/type", "/role")) and _WORD.fullmatch(value)
        assert is_medium or is_word, (pointer, value)
    for pointer, key in keys(payload.document):
        assert (pointer, True) in places or _PLAIN_KEY.fullmatch(key) or is_below(pointer, places)


def is_below(pointer: str, places: set[tuple[str, bool]]) -> bool:
    """Whether parts are inside a member, so that its name is one of the document's structure."""
    return any(
        each.startswith(f"{pointer}/") or each == pointer for each, in_key in places if not in_key
    )


def judged_places(payload: Payload) -> Iterator[tuple[str, bool]]:
    """Yields the places of the values and keys that parts have; and checks the values of parts."""
    for part in payload.parts:
        if part.as_text or part.values is None or part.text:
            text = value_at(payload.document, part.pointer)
            assert isinstance(text, str)
            assert part.text in ("", text)
            if part.as_text:
                assert part.values == json.loads(text or "{}")
            yield part.pointer, False
        elif part.is_wrapped:
            yield from places_of(part.values[""], part.pointer, payload.document)
        else:
            yield from places_of(part.values, part.pointer, payload.document)


def places_of(value: Any, pointer: str, document: Any) -> Iterator[tuple[str, bool]]:
    """Yields the places of strings, numbers and keys in a value that a part has."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield member(pointer, key), True
            yield from places_of(item, member(pointer, key), document)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places_of(item, f"{pointer}/{index}", document)
    elif value is not None and not isinstance(value, bool):
        assert value_at(document, pointer) == value
        yield pointer, False


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the strings, numbers, booleans and nulls of a document with their pointers."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, member(pointer, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{pointer}/{index}")
    else:
        yield pointer, value


def keys(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yields the keys of a document with the pointers of their members."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield member(pointer, key), key
            yield from keys(item, member(pointer, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from keys(item, f"{pointer}/{index}")


def variants(value: Any, make: Callable[[Any], Any]) -> Iterator[Any]:
    """Yields copies of a document, each with what `make` returns in the place of one value."""
    yield make(value)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ({**value, key: each} for each in variants(item, make))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from (
                [*value[:index], each, *value[index + 1 :]] for each in variants(item, make)
            )


def variants_of_members(value: Any) -> Iterator[Any]:
    """Yields copies of a document, each without one member or item, or with another name of one."""
    if isinstance(value, dict):
        for key, item in value.items():
            others = {name: each for name, each in value.items() if name != key}
            yield others
            yield {**others, "two words": item}
            yield {**others, key.upper(): item}
            yield from ({**value, key: each} for each in variants_of_members(item))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield [*value[:index], *value[index + 1 :]]
            yield [*value, item]
            yield from (
                [*value[:index], each, *value[index + 1 :]] for each in variants_of_members(item)
            )


def dump(value: Any) -> str:
    """Returns JSON text."""
    return json.dumps(value, ensure_ascii=False)


def test_there_are_samples_of_protocols() -> None:
    """The tests below walk through files: they must not walk through none."""
    assert len({each.format for each in SAMPLES}) >= 2
    assert len(SAMPLES) >= 14


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_sample_loses_nothing(sample: Sample) -> None:
    """Each sample is read, and each of its values is in one part."""
    assert read(sample.format, sample.body, sample.direction)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_any_type_in_any_place(sample: Sample) -> None:
    """Another value in one place is refused, or judged."""
    for replacement in REPLACEMENTS:
        for document in variants(sample.payload, lambda _, new=replacement: new):  # type: ignore[misc]
            read(sample.format, dump(document), sample.direction)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_members_that_are_missing_repeated_or_misnamed(sample: Sample) -> None:
    """What is not where its protocol expects it is refused, or judged."""
    for document in variants_of_members(sample.payload):
        body = dump(document)
        read(sample.format, body, sample.direction)
        read("", body)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_value_inside_a_list_or_an_object(sample: Sample) -> None:
    """One more level in one place is refused, or judged."""
    wraps: tuple[Callable[[Any], Any], ...] = (
        lambda value: [value],
        lambda value: {"value": value},
        lambda value: [value, value],
        dump,
    )
    for wrap in wraps:
        for document in variants(sample.payload, wrap):
            read(sample.format, dump(document), sample.direction)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
@pytest.mark.parametrize("format_", ["", *NAMES])
def test_a_document_of_another_format(sample: Sample, format_: str) -> None:
    """A wrong name of a format or direction is refused, or all is judged."""
    for direction in DIRECTIONS:
        payload = read(format_, sample.body, direction)
        if payload and direction:
            assert payload.is_output == (direction == "output")


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_truncated_document_is_refused(sample: Sample) -> None:
    """Whatever the format, and wherever it ends."""
    for end in range(len(sample.body)):
        for format_ in ("", sample.format):
            with pytest.raises(PayloadError, match="is not JSON"):
                read_payload(format_, sample.body[:end])


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_repeated_name_is_refused(sample: Sample) -> None:
    """Receivers read the first or the last value, so neither is judged alone."""
    document = sample.payload[0] if isinstance(sample.payload, list) else sample.payload
    for key, value in document.items():
        body = sample.body.replace("{", f"{{{dump(key)}:{dump(value)},", 1)
        with pytest.raises(PayloadError, match=f'"{key}" occurs twice'):
            read_payload(sample.format, body)
    for match in re.finditer(r"\{(?=[^{}]*:)", sample.body):
        body = f'{sample.body[: match.end()]}"a b":1,"a b":1,{sample.body[match.end() :]}'
        with pytest.raises(PayloadError, match="is not JSON"):
            read_payload(sample.format, body)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_half_of_a_surrogate_pair_is_refused(sample: Sample) -> None:
    """Escaped or not, in a value or a key."""
    for document in variants(sample.payload, lambda _: "a \ud800 b"):
        for ascii_only in (True, False):
            with pytest.raises(PayloadError, match="surrogate"):
                read_payload(sample.format, json.dumps(document, ensure_ascii=ascii_only))
    with pytest.raises(PayloadError, match="surrogate"):
        read_payload(sample.format, json.dumps({"\udc00": sample.payload}))


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_number_out_of_range_is_refused(sample: Sample) -> None:
    """Receivers read it as infinity, or not at all."""
    for number in ("1e999", "-1e999", "9" * 400, "9" * 5000, "NaN", "Infinity"):
        for document in variants(sample.payload, lambda _: "<number>"):
            body = dump(document).replace('"<number>"', number)
            with pytest.raises(PayloadError, match=r"number"):
                read_payload(sample.format, body)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_deep_document_is_refused(sample: Sample) -> None:
    """At every place, whether the parser or the reader finds it too deep."""
    for depth in (101, 2_000, 100_000):
        opening, closing = "[" * depth, "]" * depth
        for document in list(variants(sample.payload, lambda _: "<deep>"))[:: 1 + depth // 200]:
            body = dump(document).replace('"<deep>"', opening + closing)
            with pytest.raises(PayloadError, match="nested"):
                read_payload(sample.format, body)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_judged_string_can_be_redacted(sample: Sample) -> None:
    """A redaction of all parts at once changes all that is judged, and nothing else."""
    payload = read(sample.format, sample.body, sample.direction)
    assert payload
    changes = [
        PartChange(part, text=shout(part.text))
        if part.text or part.values is None
        else PartChange(part, values=shout(part.values))
        for part in payload.parts
    ]
    judged = set(judged_places(payload))
    inside_json = {part.pointer for part in payload.parts if part.as_text}
    redacted = json.loads(redacted_body(payload, changes))
    for (pointer, before), (_, after) in zip(
        leaves(payload.document), leaves(redacted), strict=True
    ):
        if pointer in inside_json:
            assert json.loads(after) == shout(json.loads(before))
        else:
            assert after == (shout(before) if (pointer, False) in judged else before)


def shout(value: Any) -> Any:
    """Returns a value with its strings in upper case, and in quotes that JSON escapes."""
    if isinstance(value, dict):
        return {key: shout(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shout(item) for item in value]
    return f'"{value.upper()}"' if isinstance(value, str) else value


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_an_earlier_part_can_be_replaced(sample: Sample) -> None:
    """The document with the replacement is JSON, and has nothing else in its place."""
    payload = read(sample.format, sample.body, sample.direction)
    assert payload
    for part in payload.parts:
        if part.is_earlier:
            redacted = json.loads(redacted_body(payload, [PartChange(part, is_blocked=True)]))
            replacement = value_at(redacted, part.pointer)
            assert replacement in (BLOCKED, {"blocked": BLOCKED}, f'{{"blocked":"{BLOCKED}"}}')


@pytest.mark.parametrize("name", [7, -1.5, True, ["x"], {"x": 1}, "x" * 300])
def test_a_call_of_a_tool_without_a_proper_name_is_refused(name: Any) -> None:
    """Its action would not be judged, though a receiver may make a name of the value."""
    count = 0
    for sample in SAMPLES:
        for pointer in names_of_tools(sample):
            count += 1
            document = replaced(sample.payload, pointer, name)
            with pytest.raises(PayloadError, match="name"):
                read_payload(sample.format, dump(document), sample.direction)
    assert count


def names_of_tools(sample: Sample) -> Iterator[str]:
    """Yields the pointers of the names of the tools that a sample calls."""
    payload = read(sample.format, sample.body, sample.direction)
    assert payload
    for part in payload.parts:
        if part.tool:
            for owner in (part.pointer, part.pointer.rpartition("/")[0]):
                try:
                    if value_at(payload.document, f"{owner}/name") == part.tool:
                        yield f"{owner}/name"
                except KeyError:
                    pass  # the name stands beside the arguments, or beside what holds them


@pytest.mark.parametrize("format_", NAMES)
def test_a_large_body_is_refused(format_: str) -> None:
    """One byte too many, in UTF-8."""
    body = dump("ä" * (MAX_BODY_BYTES // 2))
    with pytest.raises(PayloadError, match="bytes"):
        read_payload(format_, body)


@pytest.mark.parametrize("format_", [*FORMATS, ""])
def test_too_many_values_are_refused(format_: str) -> None:
    """In a list, and in an object."""
    for body in (dump([0] * 100_001), dump({str(index): 0 for index in range(100_001)})):
        with pytest.raises(PayloadError, match="more than 100000 values"):
            read_payload(format_, body)


def grown(value: Any, count: int) -> Iterator[Any]:
    """Yields copies of a document, in each of which the first item of one list is repeated."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ({**value, key: each} for each in grown(item, count))
    elif isinstance(value, list):
        if value:
            yield value + value[:1] * count
        for index, item in enumerate(value):
            yield from ([*value[:index], each, *value[index + 1 :]] for each in grown(item, count))


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_huge_counts_are_refused_or_judged(sample: Sample) -> None:
    """A list with thousands of items has no more parts and media than the bounds allow."""
    for document in grown(sample.payload, MAX_PARTS):
        try:
            payload = read_payload(sample.format, dump(document), sample.direction)
        except PayloadError as error:
            assert "more than" in str(error)  # noqa: PT017 - there may be no error
        else:
            assert len(payload.parts) <= MAX_PARTS
            assert len(payload.unjudged) <= MAX_UNJUDGED


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_long_text_is_refused_or_in_a_structure(sample: Sample) -> None:
    """No text of a part is longer than the bound."""
    payload = read(sample.format, sample.body, sample.direction)
    assert payload
    long = "word " * (MAX_TEXT_BYTES // 5 + 1)
    for part in payload.parts:
        if part.values is None:
            document = replaced(sample.payload, part.pointer, long)
            with pytest.raises(PayloadError, match=f"more than {MAX_TEXT_BYTES} bytes"):
                read_payload(sample.format, dump(document), sample.direction)


def replaced(document: Any, pointer: str, value: Any) -> Any:
    """Returns a copy of a document with another value at a place."""
    copy = json.loads(dump(document))
    above, _, key = pointer.rpartition("/")
    owner = value_at(copy, above)
    owner[int(key) if isinstance(owner, list) else key] = value
    return copy


@pytest.mark.parametrize(
    "arguments",
    [
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        "[" * 100_000,
        '{"a": ' + "[" * 200 + "]" * 200 + "}",
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_stringified_arguments_that_tools_read_differently_are_refused(arguments: str) -> None:
    """They would be judged as a text, or as other values than the tool gets."""
    function = {"name": "run", "arguments": arguments}
    call = {"id": "1", "type": "function", "function": function}
    document = {"messages": [{"role": "assistant", "tool_calls": [call]}]}
    with pytest.raises(PayloadError):
        read_payload("openai.chat_completions", dump(document))


VOCABULARY: Final = sorted(
    {key for each in SAMPLES for _, key in keys(each.payload)} | {"two words", "", "a/b", "~1", "0"}
)
WORDS: Final = sorted(
    {value for each in SAMPLES for _, value in leaves(each.payload) if isinstance(value, str)}
    | {'{"a": 1}', '{"a": 1', "data:image/png;base64,AAAA", "data:text/plain,two words"}
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(VOCABULARY), inner, max_size=6)
    ),
    max_leaves=30,
)


@given(json_values)
def test_documents_of_known_words(document: Any) -> None:
    """Documents with the names of all protocols, in any order, are refused or judged."""
    body = dump(document)
    for format_ in ("", *NAMES):
        for direction in DIRECTIONS:
            read(format_, body, direction)


@given(
    st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 10_000), json_values), max_size=4)
)
def test_samples_with_several_other_values(sample: Sample, changes: list[tuple[int, Any]]) -> None:
    """Several values of a sample are replaced at once."""
    document = sample.payload
    for number, value in changes:
        places = [pointer for pointer, _ in leaves(document) if pointer]
        if places:
            document = replaced(document, places[number % len(places)], value)
    body = dump(document)
    for format_ in ("", sample.format):
        read(format_, body, sample.direction)


@given(st.text(max_size=60), st.sampled_from(["", *NAMES]), st.sampled_from(DIRECTIONS))
def test_any_text(body: str, format_: str, direction: str) -> None:
    """A text that is no JSON is refused, or a plain text."""
    payload = read(format_, body, direction)
    if payload and payload.parts and format_ == "text":
        assert payload.parts[0].text == body


@given(st.text(max_size=30))
def test_any_name_of_a_format(format_: str) -> None:
    """An unknown format is refused; the error does not repeat all of it."""
    if format_ and format_ not in NAMES:
        with pytest.raises(PayloadError, match="unknown format"):
            read_payload(format_, "{}")
