"""ETag and If-Match: conditional writes do not lose changes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.admin.workspace import WriteResult
from pdp.client import rpc
from pdp.errors import InvalidArgument, PreconditionFailed
from pdp.transport.call import Call
from pdp.transport.etag import MAX_TAGS, expectation, with_etag, with_new_etag, with_revision


def call(**metadata: str) -> Call:
    headers = {name.replace("_", "-"): value for name, value in metadata.items()}
    return Call(rpc("UpdateStaticPolicy"), headers, "http")


def holds(expected: Precondition, revision: int | None) -> bool:
    try:
        expected.check(revision)
    except PreconditionFailed:
        return False
    return True


@pytest.mark.parametrize("revision", [None, 0, 42])
def test_a_call_without_if_match_is_always_accepted(revision: int | None) -> None:
    assert expectation(call()) is NO_PRECONDITION
    assert holds(expectation(call()), revision)


@pytest.mark.parametrize(
    ("header", "revision", "matches"),
    [
        ('"42"', 42, True),
        ('"42"', 43, False),
        ('"42"', None, False),
        ('"0"', 0, True),
        ("*", 0, True),
        ("*", 42, True),
        ("*", None, False),
        ('"41", "42"', 42, True),
        ('"41","42" ,"43"', 44, False),
        ('W/"42"', 42, False),
        ('W/"42", "42"', 42, True),
        ('"042"', 42, False),
        ('"+42"', 42, False),
        ('"somebody-elses"', 42, False),
        ('""', 0, False),
    ],
)
def test_tags_are_compared_as_rfc_9110_says(
    header: str, revision: int | None, matches: bool
) -> None:
    assert holds(expectation(call(if_match=header)), revision) is matches


@pytest.mark.parametrize(
    "header", ["42", "", '"42', '"4"2"', 'w/"42"', '"42",', '"42" "43"', '"4 2"', '*, "42"']
)
def test_a_header_that_is_not_a_list_of_tags_is_refused(header: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        expectation(call(if_match=header))
    assert [violation.field for violation in caught.value.violations] == ["If-Match"]


def test_a_list_is_bounded() -> None:
    assert holds(expectation(call(if_match=",".join(['"1"'] * (MAX_TAGS - 1) + ['"2"']))), 2)
    with pytest.raises(InvalidArgument):
        expectation(call(if_match=",".join(['"1"'] * (MAX_TAGS + 1))))


@given(st.text(max_size=50))
def test_every_header_is_accepted_or_refused(header: str) -> None:
    with suppress(InvalidArgument):
        expectation(call(if_match=header))


@given(st.integers(0, 2**53 - 1))
def test_the_etag_of_a_read_allows_a_write_of_that_revision_only(revision: int) -> None:
    reading = call()
    assert with_etag(reading, Versioned("thing", revision)) == "thing"
    assert holds(expectation(call(if_match=reading.reply["etag"])), revision)
    assert not holds(expectation(call(if_match=reading.reply["etag"])), revision + 1)


def test_a_write_returns_the_new_tag_and_the_revision() -> None:
    writing = call()
    assert with_new_etag(writing, WriteResult(Versioned("thing", 7), 9)) == "thing"
    assert writing.reply == {"etag": '"7"', "x-pdp-revision": "9"}


def test_a_deletion_returns_no_tag() -> None:
    writing = call()
    with_revision(writing, WriteResult(None, 9))
    assert writing.reply == {"x-pdp-revision": "9"}


def test_the_error_says_what_to_do() -> None:
    with pytest.raises(PreconditionFailed, match=r'the entity is at "43"; read it again'):
        Precondition(frozenset({42})).check(43)
