"""The paths that a template matches, and those that no template matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.errors import MalformedRequest
from pdp.transport.http.binding import percent_decode
from pdp.transport.http.router import PathVariable, Router, parse

TEMPLATES = (
    ("GET", "/"),
    ("GET", "/policies"),
    ("POST", "/policies"),
    ("GET", "/policies/effective"),
    ("GET", "/policies/{id}"),
    ("PUT", "/policies/{id}"),
    ("GET", "/policies/{id}/versions"),
    ("GET", "/policies/export/{format}"),
    ("GET", "/files/{name=**}"),
    ("GET", "/files/{name=*}/meta"),
)


@pytest.fixture
def router() -> Router[str]:
    """A router whose values are the templates."""
    router: Router[str] = Router()
    for method, template in TEMPLATES:
        router.add(method, template, template)
    return router


@pytest.mark.parametrize(
    ("path", "template", "variables"),
    [
        (b"/", "/", ()),
        (b"/policies", "/policies", ()),
        (b"/policies/", "/policies", ()),
        (b"/policies/effective", "/policies/effective", ()),
        (b"/policies/effective/", "/policies/effective", ()),
        (b"/policies/pol_1", "/policies/{id}", (b"pol_1",)),
        (b"/policies/pol_1/", "/policies/{id}", (b"pol_1",)),
        (b"/policies/effective/versions", "/policies/{id}/versions", (b"effective",)),
        (b"/policies/export/csv", "/policies/export/{format}", (b"csv",)),
        (b"/policies/export", "/policies/{id}", (b"export",)),
        (b"/policies/a%2Fb", "/policies/{id}", (b"a%2Fb",)),
        (b"/policies/...", "/policies/{id}", (b"...",)),
        (b"/policies/%65ffective", "/policies/{id}", (b"%65ffective",)),
        (b"/files/a/b/c", "/files/{name=**}", (b"a/b/c",)),
        (b"/files/a/meta", "/files/{name=*}/meta", (b"a",)),
    ],
)
def test_a_path_finds_its_template(
    router: Router[str], path: bytes, template: str, variables: tuple[bytes, ...]
) -> None:
    match = router.find(path)
    assert match is not None
    assert match.values["GET"] == template
    assert match.variables == variables


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"*",
        b"policies",
        b"//",
        b"//policies",
        b"/policies//",
        b"/policies//versions",
        b"/Policies",
        b"/%70olicies",
        b"/policies/.",
        b"/policies/..",
        b"/policies/%2e%2E/versions",
        b"/policies/.%2e",
        b"/./policies",
        b"/policies/pol_1/versions/more",
        b"/files",
        b"/policies\\pol_1",
        b"/policies;x",
        b"http://elsewhere/policies",
    ],
)
def test_other_spellings_of_a_path_match_nothing(router: Router[str], path: bytes) -> None:
    """`//admin`, dot segments and encoded literals could bypass the rules of a gateway."""
    assert router.find(path) is None


def test_a_literal_wins_over_a_variable_whatever_the_method(router: Router[str]) -> None:
    match = router.find(b"/policies/effective")
    assert match is not None
    assert set(match.values) == {"GET"}


@given(st.lists(st.binary(max_size=6), max_size=5))
def test_any_bytes_are_matched_or_not(parts: list[bytes]) -> None:
    router: Router[str] = Router()
    for method, template in TEMPLATES:
        router.add(method, template, template)
    match = router.find(b"/" + b"/".join(parts))
    if match is not None:
        assert all(match.variables)


def test_templates_are_parsed() -> None:
    assert parse("/v1/{pack.id}/x/{rest=**}") == (
        "v1",
        PathVariable("pack.id"),
        "x",
        PathVariable("rest", rest=True),
    )


@pytest.mark.parametrize(
    "template",
    ["", "v1", "/v1/", "//v1", "/v1/{id", "/v1/{ID}", "/v1/{a=b/*}", "/{a=**}/b", "/v1:Verb", "/*"],
)
def test_a_template_that_cannot_be_served_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"begins with /|neither a literal|the last segment"):
        parse(template)


def test_a_verb_is_a_part_of_its_literal(router: Router[str]) -> None:
    """`/policies:test` is another path than `/policies` and than its variables."""
    router.add("POST", "/policies:test", "verb")
    match = router.find(b"/policies:test")
    assert match is not None
    assert match.values == {"POST": "verb"}
    assert router.find(b"/policies%3Atest") is None
    assert router.find(b"/policies:other") is None


def test_the_same_route_twice_is_refused(router: Router[str]) -> None:
    with pytest.raises(ValueError, match="served twice"):
        router.add("GET", "/policies/{other}", "again")


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"a%20b", "a b"), (b"a+b", "a+b"), (b"%C3%A9", "é"), (b"a%2Fb", "a/b"), (b"%00", "\0")],
)
def test_percent_encoding_is_decoded(raw: bytes, text: str) -> None:
    assert percent_decode(raw, "id") == text


@pytest.mark.parametrize("raw", [b"%", b"%z1", b"a%2", b"%ff", b"%c3", b"%ed%a0%80", b"\xff"])
def test_malformed_percent_encoding_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedRequest) as caught:
        percent_decode(raw, "id")
    assert caught.value.violations[0].field == "id"
