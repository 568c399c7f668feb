"""The web console: the routes of its built files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.errors import RouteNotFound
from pdp.transport.http.headers import UNCACHED
from pdp.transport.http.responses import HttpResponse
from pdp.transport.http.static_files import IMMUTABLE, REVALIDATED, StaticRoute, static_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from pdp.transport.http.requests import HttpRequest

CONSOLE: Final = "/console"

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

_PAGE: Final = "index.html"
_HASHED: Final = "assets/"
"""The build puts files here that have a hash of their content in their names."""


def console_routes(files: Traversable) -> dict[str, StaticRoute]:
    """Reads the files of the console, and returns the routes by path; all are for GET.

    Args:
        files: the directory of the built console. If it has no page, the console's path answers
            that it is not built.
    """
    served = dict(_routes(files))
    page = served.get(_PAGE, _not_built)

    async def console(request: HttpRequest, variables: tuple[bytes, ...]) -> HttpResponse:
        if not request.path.endswith(b"/"):  # the page's links are relative to /console/
            return HttpResponse(307, ((b"location", b"/console/"), *UNCACHED))
        return await page(request, variables)

    return {CONSOLE: console, **{f"{CONSOLE}/{name}": route for name, route in served.items()}}


async def _not_built(_request: HttpRequest, _variables: tuple[bytes, ...]) -> HttpResponse:
    raise RouteNotFound("the console is not built: pdp/console/dist has no index.html")


def _routes(files: Traversable, folder: str = "") -> Iterator[tuple[str, StaticRoute]]:
    if not files.is_dir():
        return
    for file in files.iterdir():
        name = folder + file.name
        if file.is_dir():
            yield from _routes(file, f"{name}/")
        else:
            cache_control = IMMUTABLE if name.startswith(_HASHED) else REVALIDATED
            yield name, static_file(file, CONTENT_SECURITY_POLICY, cache_control)
