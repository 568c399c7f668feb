"""The route of payloads asks for the credential before it reads anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from pdp.domain.access import INCLUDED_ROLES, PEP, ROLES
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH: Final = "/v1/decide/payload/text"
OWN: Final = "own-tenant"
OTHER: Final = "other-tenant"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    with authenticated_server(tmp_path_factory.mktemp("payload_access")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "content", "headers"),
    [
        (PATH, b"hello", {}),
        (PATH, b"\xff", {"content-encoding": "gzip"}),
        (PATH, b"a" * (9 << 20), {}),
        ("/v1/decide/payload/nothing", b"", {"x-pdp-unknown": "1"}),
    ],
)
def test_no_credential_is_the_first_thing_that_is_refused(
    server: AuthenticatedServer, path: str, content: bytes, headers: dict[str, str]
) -> None:
    for key in ("", "aa_live_000000000000_wrong"):
        answer = server.request("POST", path, key, OWN, content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("bound_to", "tenant"), [(OWN, OWN), (OWN, OTHER), ("*", OTHER)])
def test_roles_that_may_decide_do_so_for_their_tenants(
    server: AuthenticatedServer, role: str, bound_to: str, tenant: str
) -> None:
    answer = server.request("POST", PATH, server.key(role, bound_to), tenant, content=b"hello")
    if PEP not in INCLUDED_ROLES[role]:
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ACCESS_DENIED")
    elif bound_to in {tenant, "*"}:
        assert answer.status_code == 200, answer.text
        assert answer.json()["outcome"] == "ALLOW"
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "TENANT_MISMATCH")
