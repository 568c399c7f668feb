"""The examples of the page on compliance bundles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.test_documentation import blocks, includes, run

if TYPE_CHECKING:
    from tests.support.servers import Server


def test_the_examples_work_from_top_to_bottom(server: Server) -> None:
    examples = blocks("docs/compliance.md")
    assert [language for language, _ in examples] == ["sh", "json"] * 3
    for (language, code), (_, expected) in zip(examples[::2], examples[1::2], strict=True):
        ran = run(language, code, server)
        assert ran.returncode == 0, ran.stderr
        assert includes(json.loads(ran.stdout), json.loads(expected)), ran.stdout
