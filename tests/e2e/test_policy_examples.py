"""The examples of `docs/policy-examples.md`: each is accepted, and does what the page says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.test_documentation import ROOT, blocks, includes, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import Server

PAGE: Final = ROOT / "docs/policy-examples.md"
BLOCK: Final = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REQUEST: Final = re.compile(r"`(POST|PUT) (/\S+)`")
KINDS: Final = ("static policy", "override", "pack", "rule", "chain", "alert", "limit")


def examples() -> Iterator[tuple[str, str, str]]:
    """Yields the method, path and body of each request; for an answer, the first two are empty."""
    page = PAGE.read_text(encoding="utf-8")
    end = 0
    for block in BLOCK.finditer(page):
        before = page[end : block.start()]
        requests = REQUEST.findall(before)
        if before.strip() == "is answered with:":
            yield "", "", block[1]
        else:
            [(method, path)] = requests
            yield method, path, block[1]
        end = block.end()


def test_every_example_is_accepted_and_does_what_the_page_says(server: Server) -> None:
    pack_id, answered = "", 0
    answer: Any = {}
    with server.client("examples-of-the-page") as client:
        for method, path, text in examples():
            body: Any = json.loads(text.replace("PACK_ID", pack_id))
            if not method:
                assert includes(answer, body), (body, answer)
                lists = [name for name, value in body.items() if isinstance(value, list)]
                assert all(len(answer[name]) >= len(body[name]) for name in lists)
                answered += 1
                continue
            reply = client.request(method, path.replace("PACK_ID", pack_id), json=body)
            assert reply.status_code in {200, 201}, (path, reply.text)
            answer = reply.json()
            if path.endswith("/policy-packs"):
                pack_id = answer["id"]
            if path != "/v1/decide":
                codes = {each["code"] for each in answer.get("warnings", ())}
                assert codes <= {"OVERRIDE_IS_WEAKER", "PACK_IN_NO_CHAIN"}, answer
    assert answered == 5


def test_the_command_sends_a_policy(server: Server, tmp_path: Path) -> None:
    [(_, command)] = [each for each in blocks(str(PAGE)) if each[0] == "sh"]
    method, path, policy = next(examples())
    assert f"{method} {path}" == "POST /api/v1/static-policies"
    file = tmp_path / "policy.json"
    file.write_text(policy, encoding="utf-8")
    done = run("sh", command.replace("policy.json", str(file)), server)
    assert json.loads(done.stdout)["success"] is True


def test_every_kind_has_an_example() -> None:
    headings = re.findall(r"^## An? (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(KINDS)
