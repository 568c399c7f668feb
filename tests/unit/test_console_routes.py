"""The web console's files: how they are found, cached and compressed."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from pdp.transport.http.static_files import accepts_gzip
from tests.support.http_api import Api

if TYPE_CHECKING:
    from pathlib import Path

PAGE = b"<!doctype html><title>Console</title>" + b" " * 1000
SCRIPT = b"console.log('hello');" * 100
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """An application with a built console."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(PAGE)
    (tmp_path / "assets" / "index-B2x_9.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "logo.png").write_bytes(b"png" * 100)
    (tmp_path / "licenses.md").write_bytes(b"MIT")
    return Api(console=tmp_path)


def test_the_page_is_asked_for_again_by_its_content(api: Api) -> None:
    reply = api.request("GET", "/console/")
    assert (reply.status, reply.body) == (200, PAGE)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    again = api.request("GET", "/console/", headers={"if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_the_path_without_a_slash_redirects_because_links_are_relative(api: Api) -> None:
    reply = api.request("GET", "/console")
    assert (reply.status, reply.headers["location"]) == (307, "/console/")


def test_files_with_a_hash_in_their_names_are_cached_for_good(api: Api) -> None:
    reply = api.request("GET", "/console/assets/index-B2x_9.js")
    assert (reply.status, reply.body) == (200, SCRIPT)
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/console/", "/console/assets/index-B2x_9.js"])
def test_files_have_the_headers_of_a_page_that_nothing_else_may_touch(api: Api, path: str) -> None:
    headers = api.request("GET", path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_file_of_an_unknown_type_is_only_bytes(api: Api) -> None:
    reply = api.request("GET", "/console/licenses.md")
    assert reply.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "path",
    [
        "/console/nothing.js",
        "/console/assets",
        "/console/assets/",
        "/console//index.html",
        "/console/assets/../index.html",
        "/console/assets/%2e%2e/index.html",
        "/console/assets%2Findex-B2x_9.js",
    ],
)
def test_other_names_are_not_found(api: Api, path: str) -> None:
    assert api.request("GET", path).error == (404, "ROUTE_NOT_FOUND")


def test_only_get_and_head_are_served(api: Api) -> None:
    assert api.post("/console/", {}).error == (405, "METHOD_NOT_ALLOWED")
    head = api.request("HEAD", "/console/")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("path", ["/console/", "/docs", "/openapi.json"])
def test_files_are_compressed_for_those_who_accept_it(api: Api, path: str) -> None:
    plain = api.request("GET", path)
    reply = api.request("GET", path, headers={"accept-encoding": "br, gzip;q=0.5"})
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["content-type"] == plain.headers["content-type"]
    assert len(reply.body) < len(plain.body)
    assert gzip.decompress(reply.body) == plain.body
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == reply.headers["vary"] == "Accept-Encoding"


def test_each_encoding_has_an_etag_of_its_own(api: Api) -> None:
    """A cache must not take the compressed file for the plain one."""
    zipped = {"accept-encoding": "gzip"}
    etag = api.request("GET", "/console/", headers=zipped).headers["etag"]
    assert etag != api.request("GET", "/console/").headers["etag"]
    assert api.request("GET", "/console/", headers={"if-none-match": etag}).status == 200
    assert api.request("GET", "/console/", headers={**zipped, "if-none-match": etag}).status == 304


def test_images_are_not_compressed_again(api: Api) -> None:
    reply = api.request("GET", "/console/assets/logo.png", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in reply.headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate, GZIP", True),
        ("gzip;q=1.0", True),
        ("gzip; q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("", False),
        ("identity", False),
        ("x-gzip-2", False),
    ],
)
def test_gzip_is_used_only_if_the_header_names_it(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_a_console_that_is_not_built_says_so(tmp_path: Path) -> None:
    for files in (tmp_path, tmp_path / "dist"):
        reply = Api(console=files).request("GET", "/console/")
        assert reply.error == (404, "ROUTE_NOT_FOUND")
        assert "the console is not built" in reply.json["error"]["message"]


def test_the_console_can_be_switched_off() -> None:
    api = Api()
    assert api.request("GET", "/console/").error == (404, "ROUTE_NOT_FOUND")
    assert "console" not in api.request("GET", "/").json


def test_the_root_names_the_console(api: Api) -> None:
    assert api.request("GET", "/").json["console"] == "/console/"
