"""A real nginx asks by `auth_request`, with the configuration of the page."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support.approvals import ApprovalTenant
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.doc_blocks import block_of
from tests.support.program_environments import unavailable
from tests.support.rest.limits import PATH as LIMITS
from tests.support.rest.packs import CHAINS, ok_json, pack, rule
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.programs

PAGE: Final = "integrations/nginx.md"
PATHS: Final = ("/usr/sbin", "/usr/local/sbin")

TENANT: Final = "acme"
USERS: Final = ("alice", "busy")
PASSWORD: Final = "correct-horse"

MAIN: Final = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/page.conf;
}}
"""
"""What a distribution's nginx.conf has around the configuration of the page."""


class Models:
    """The API behind nginx, which answers 200; `requests` has the headers of what reached it."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        models = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", "0")))
                models.requests.append({name.lower(): each for name, each in self.headers.items()})
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST  # noqa: N815 - the name is that of the base class

            def log_message(self, *_arguments: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Nginx:
    """A running nginx.

    Attributes:
        socket: its Unix socket.
        models: the API behind it.
        pdp: the server that it asks.
    """

    socket: Path
    models: Models
    pdp: AuthenticatedServer

    def ask(
        self, user: str = "alice", password: str = PASSWORD, method: str = "POST", **headers: str
    ) -> httpx2.Response:
        """Sends a request of a user."""
        credential = base64.b64encode(f"{user}:{password}".encode()).decode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx2.HTTPTransport(uds=str(self.socket))
        with httpx2.Client(transport=transport, timeout=TIMEOUT_S) as client:
            return client.request(
                method,
                "http://models.example/v1/chat/completions",
                headers={"Authorization": f"Basic {credential}", **named},
                content=b'{"model": "gpt-4o"}',
            )


def program() -> str:
    """Returns the path of nginx; without it, the test is skipped, or fails in CI."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *PATHS])
    found = shutil.which("nginx", path=path)
    if found is None:
        unavailable("nginx is not installed: apt-get install nginx-light")
    return found


@contextmanager
def running_nginx(folder: Path, pdp_address: str, key: str, models: str) -> Iterator[Path]:
    """Runs nginx with the page's configuration; yields its Unix socket."""
    socket = folder / "nginx.sock"
    page = (
        block_of(PAGE, "nginx")
        .replace("listen 127.0.0.1:8000;", f"listen unix:{socket};")
        .replace("server 127.0.0.1:8080;", f"server {pdp_address};")
        .replace("server 127.0.0.1:9000;", f"server {models};")
        .replace("/etc/nginx/model-users", str(folder / "users"))
        .replace("aa_live_KEY", key)
    )
    for changed in (str(socket), pdp_address, models, str(folder / "users"), key):
        assert changed in page
    (folder / "page.conf").write_text(page)
    (folder / "users").write_text("".join(f"{user}:{{PLAIN}}{PASSWORD}\n" for user in USERS))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    process = subprocess.Popen(
        [program(), "-e", str(folder / "error.log"), "-p", str(folder), "-c", "nginx.conf"],
        stdin=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: socket.exists() or process.poll() is not None, "nginx listens")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield socket
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Nginx in front of an API, and the server that it asks."""
    program()
    models = Models()
    try:
        with authenticated_server(tmp_path_factory.mktemp("pdp")) as pdp:
            folder = tmp_path_factory.mktemp("nginx")
            address = urlsplit(pdp.server.http_url).netloc
            key = pdp.key("pep", TENANT)
            bound = {"scope": "user", "subject_id": "busy", "daily_request_limit": 0}
            limit = pdp.request("POST", LIMITS, pdp.key("admin", TENANT), json=bound)
            assert limit.status_code == 201, limit.text
            with running_nginx(folder, address, key, models.address) as socket:
                yield Nginx(socket, models, pdp)
    finally:
        models.close()


def test_a_request_that_may_pass_reaches_the_api(nginx: Nginx) -> None:
    before = len(nginx.models.requests)
    answer = nginx.ask()
    assert (answer.status_code, answer.text) == (200, "ok")
    (request,) = nginx.models.requests[before:]
    assert request["x-pdp-decision-id"] == answer.headers["x-pdp-decision-id"]


def test_a_denial_is_403_with_the_reason_and_the_decision(nginx: Nginx) -> None:
    """A model that is off has a status hint of 503; nginx would take that for an outage."""
    admin = nginx.pdp.admin
    path = "/api/admin/kill-switch/providers/google"
    assert nginx.pdp.request("POST", f"{path}/disable", admin, json={"reason": "other"}).is_success
    before = len(nginx.models.requests)
    answer = nginx.ask(X_Model="gemini-2.5-pro")
    nginx.pdp.request("POST", f"{path}/enable", admin)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "MODEL_KILL_SWITCH"
    assert answer.headers["x-pdp-decision-id"]
    assert len(nginx.models.requests) == before


def test_a_limit_is_429(nginx: Nginx) -> None:
    answer = nginx.ask("busy")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "LIMIT_EXCEEDED")
    assert nginx.ask("alice").status_code == 200


def test_the_headers_of_the_client_do_not_count(nginx: Nginx) -> None:
    """Neither to name a user, nor to name a tenant, nor to change how the check is read."""
    smuggled = {
        "X_PDP_User": "alice",
        "X_PDP_Unknown": "a broken check",
        "X_Tenant_ID": "other",
        "X_API_Key": "aa_live_000000000000_wrong",
        "X_Forwarded_Uri": "/x",
        "X_PDP_Supported_Obligations": "REDACT",
    }
    assert nginx.ask(**smuggled).status_code == 200
    assert nginx.ask("busy", **smuggled).status_code == 429


def test_a_wrong_password_is_401_and_asks_for_no_decision(nginx: Nginx) -> None:
    decisions = decisions_of(nginx)
    answer = nginx.ask(password="wrong")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert decisions_of(nginx) == decisions
    assert nginx.ask().status_code == 200
    assert decisions_of(nginx) == decisions + 1


def decisions_of(nginx: Nginx) -> float:
    """Returns how many checks the server has answered."""
    lines = nginx.pdp.server.request("GET", "/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("pdp_decisions_total{"))


def test_the_check_itself_cannot_be_called(nginx: Nginx) -> None:
    transport = httpx2.HTTPTransport(uds=str(nginx.socket))
    with httpx2.Client(transport=transport, timeout=TIMEOUT_S) as client:
        answer = client.get("http://models.example/pdp-check", headers={"X-PDP-User": "alice"})
    assert answer.status_code == 404


def test_a_person_lets_a_held_request_pass(nginx: Nginx) -> None:
    """A second one for an approval, and the user for a prompt; no token reaches the API."""
    actions = (
        ("gpt-4.1", {"type": "ESCALATE", "message": "This model needs an approval."}),
        ("gpt-4.1-mini", {"type": "PROMPT", "prompt_message": "This model?"}),
    )
    rules = [
        {"name": model, "sequence": index, "conditions": {"models": [model]}, "action": action}
        for index, (model, action) in enumerate(actions, 1)
    ]
    tenant = ApprovalTenant(nginx.pdp, TENANT, rules)
    before = len(nginx.models.requests)

    held = nginx.ask(X_Model="gpt-4.1")
    assert held.status_code == 403
    error = held.json()["error"]
    assert error["code"] == "CHAIN_ESCALATE"
    approval = tenant.approval(error["approval_id"])
    assert error["expires_at"] == approval["expires_at"]
    assert nginx.ask(X_Model="gpt-4.1").status_code == 403
    assert tenant.answer("approve", approval["id"], tenant.bob)[0] == 200
    assert nginx.ask(X_Model="gpt-4.1").status_code == 200
    assert nginx.ask(X_Model="gpt-4.1").status_code == 403

    asked = nginx.ask(X_Model="gpt-4.1-mini").json()["error"]
    assert asked.keys() == {"code", "message", "confirmation", "expires_at"}
    for tokens, status in (("x y", 403), (asked["confirmation"], 200), ("x.y.z", 403)):
        answer = nginx.ask(X_Model="gpt-4.1-mini", X_PDP_Tokens=tokens)
        assert answer.status_code == status
    passed = nginx.models.requests[before:]
    assert len(passed) == 2
    assert not any("x-pdp-tokens" in each for each in passed)


def test_the_chain_of_the_tenant_decides(nginx: Nginx) -> None:
    action = {"type": "BLOCK", "message": "Not this model."}
    key = {"X-API-Key": nginx.pdp.key("admin", TENANT)}
    with nginx.pdp.server.client(TENANT, **key) as client:
        pack_id = pack(client)["id"]
        rule(client, pack_id, "R", sequence=1, conditions={"models": ["gpt-4o"]}, action=action)
        ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": pack_id}]}))
    answer = nginx.ask(X_Model="gpt-4o")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CHAIN_BLOCK")
    assert nginx.ask(X_Model="gpt-4o-mini").status_code == 200


def test_without_the_server_nothing_passes(tmp_path: Path) -> None:
    models = Models()
    try:
        with running_nginx(tmp_path, "127.0.0.1:1", "aa_live_x", models.address) as socket:
            answer = Nginx(socket, models, None).ask()  # type: ignore[arg-type] # there is none
    finally:
        models.close()
    assert answer.status_code == 403
    assert models.requests == []


def test_with_a_wrong_key_nothing_passes(nginx: Nginx, tmp_path: Path) -> None:
    address = urlsplit(nginx.pdp.server.http_url).netloc
    models = Models()
    try:
        with running_nginx(tmp_path, address, "aa_live_wrong", models.address) as socket:
            answer = Nginx(socket, models, nginx.pdp).ask()
    finally:
        models.close()
    assert answer.status_code == 401
    assert models.requests == []
