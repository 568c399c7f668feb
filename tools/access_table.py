"""The table of who may call what, in `docs/access.md`: `python -m tools.access_table` renews it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pdp.domain.access import INCLUDED_ROLES, ROLES
from pdp.transport.http.binding import bindings
from pdp.transport.methods import methods

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.transport.http.binding import Binding
    from pdp.transport.methods import Method

PAGE: Final = Path(__file__).parents[1] / "docs/access.md"
BEGIN: Final = "<!-- begin of the table: made by python -m tools.access_table -->\n"
END: Final = "<!-- end of the table -->\n"


def may_call(role: str, method: Method) -> bool:
    """Whether a role goes as far as a method asks."""
    return not method.callers.isdisjoint(INCLUDED_ROLES[role])


def table() -> str:
    """Returns the table, from the contracts."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield f"| RPC | HTTP | for | {' | '.join(ROLES)} |"
    yield f"|---|---|---|{'---|' * len(ROLES)}"
    for method in sorted(methods(), key=lambda each: (each.service, each.name)):
        routes = [f"`{each.http_method} {each.template}`" for each in _routes(method)]
        scope = "its tenant" if method.scope == "tenant" else "all tenants"
        marks = " | ".join("yes" if may_call(role, method) else "" for role in ROLES)
        service = method.service.rpartition(".")[2]
        yield f"| `{service}.{method.name}` | {', '.join(routes)} | {scope} | {marks} |"


def _routes(method: Method) -> Iterator[Binding]:
    if not method.bidirectional:
        yield from bindings(method)


def in_page() -> str:
    """Returns the table as it stands in the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def renew() -> None:
    """Writes the table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    renew()
