"""Decisions in this process: `pdp.Engine`."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import pdp
from pdp import Engine, InvalidArgument, Outcome, Request, Subject
from pdp.domain.static_policy import KIND, body_of
from pdp.domain.tenant import PLATFORM
from pdp.embedded.requests import RequestFields
from pdp.errors import ConfigError
from pdp.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

ATTACK = "1 UNION SELECT password FROM users"


def nested(depth: int) -> dict[str, Any]:
    """Returns arguments nested so deep."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


class TestPackage:
    """What `import pdp` gives."""

    def test_import_costs_nothing(self) -> None:
        """Nothing is loaded before it is asked for."""
        code = "import sys, pdp; print([name for name in sys.modules if name.startswith('pdp.')])"
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert output.stdout.strip() == b"[]"

    def test_engine_needs_no_server(self) -> None:
        """Who decides in-process does not load gRPC or the HTTP server."""
        code = "import sys; from pdp import Engine; print({'grpc', 'uvicorn'} & set(sys.modules))"
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert output.stdout.strip() == b"set()"

    @pytest.mark.parametrize("name", sorted(set(pdp.__all__) - {"__version__"}))
    def test_every_name_is_there(self, name: str) -> None:
        """All that is listed can be had."""
        assert getattr(pdp, name).__name__ == name
        assert name in dir(pdp)

    def test_unknown_names(self) -> None:
        """A name that is not listed is an AttributeError, as of any module."""
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            _ = pdp.Nothing  # type: ignore[attr-defined] # a checker refuses it, too

    def test_fields_of_a_request_are_keywords(self) -> None:
        """The keywords of `decide` are fields of `Request`, but for what the engine fills in."""
        assert set(RequestFields.__annotations__) == set(Request._fields) - {
            "usage_snapshot",
            "ner",
        }


class TestDecide:
    """What a decision is made from."""

    def test_three_ways_to_ask(self, engine: Engine) -> None:
        """Keywords, a Request and a mapping are the same request."""
        decisions = [
            engine.decide(text=ATTACK, tenant_id="acme", request_id="r"),
            engine.decide(Request(text=ATTACK, tenant_id="acme", request_id="r")),
            engine.decide({"content": {"text": ATTACK}, "tenant_id": "acme", "request_id": "r"}),
        ]
        for decision in decisions:
            assert decision.outcome is Outcome.BLOCK
            assert not decision.allowed
            assert decision.matches[0].policy_id == "sys_sqli_union"
            assert decision._replace(decision_id="") == decisions[0]._replace(decision_id="")

    @pytest.mark.parametrize("request_", [Request(text="hi"), {"content": {"text": "hi"}}])
    def test_keywords_on_top(self, engine: Engine, request_: Any) -> None:
        """Keywords replace fields of a request."""
        assert engine.decide(request_, text=ATTACK).outcome is Outcome.BLOCK

    def test_nothing_to_judge(self, engine: Engine) -> None:
        """An empty request is allowed, as over the wire."""
        assert engine.decide().outcome is Outcome.ALLOW

    def test_ids(self, engine: Engine) -> None:
        """Each decision has an id of its own; a request without one gets one."""
        first, second = engine.decide(), engine.decide()
        assert first.decision_id != second.decision_id
        assert first.request_id
        assert engine.decide(request_id="mine").request_id == "mine"

    def test_arguments_are_scanned(self, engine: Engine) -> None:
        """Strings in the arguments are judged like the text."""
        decision = engine.decide(tool="run", arguments={"a": [{"sql": ATTACK}, ("x",)]})
        assert decision.outcome is Outcome.BLOCK

    def test_explain(self, engine: Engine) -> None:
        """The trace is there when it is asked for."""
        assert engine.decide(explain=True).trace
        assert not engine.decide().trace

    def test_revision(self, engine: Engine) -> None:
        """A decision names the revision that it was made on."""
        assert engine.decide().revision == engine.revision > 0

    @pytest.mark.parametrize(
        ("fields", "at_fault"),
        [
            ({"action": "Database:table:drop"}, "action"),
            ({"tenant_id": "my tenant"}, "tenant_id"),
            ({"tenant_id": "acme\n"}, "tenant_id"),
            ({"text": "a" * 1_048_577}, "content.text"),
            ({"text": "\ud800"}, "content.text"),
            ({"text": "\ud800", "direction": "no"}, "request"),
            ({"direction": "sideways"}, "direction"),
            ({"tool": "t" * 257}, "tool"),
            ({"subject": Subject(user_id="u" * 257)}, "subject.user_id"),
            ({"subject": Subject(attributes={"a": b"bytes"})}, "subject.attributes"),
            ({"arguments": nested(33)}, "arguments"),
            ({"arguments": {"a": b"UNION SELECT"}}, "arguments"),
            ({"arguments": {"a": "\ud800"}}, "arguments"),
            ({"arguments": {1: "a"}}, "arguments"),
            ({"context": nested(33)}, "context"),
            ({"timestamp": float("nan")}, "timestamp"),
        ],
    )
    def test_bounds(self, engine: Engine, fields: dict[str, Any], at_fault: str) -> None:
        """A request that the contract refuses is refused here, by the same name."""
        with pytest.raises(InvalidArgument) as caught:
            engine.decide(**fields)
        assert at_fault in [violation.field for violation in caught.value.violations]

    def test_bounds_of_a_mapping(self, engine: Engine) -> None:
        """A misspelt field is refused, not left out."""
        with pytest.raises(InvalidArgument, match="contnet: unknown field"):
            engine.decide({"contnet": {"text": ATTACK}})

    def test_the_deepest_arguments(self, engine: Engine) -> None:
        """32 deep is allowed."""
        assert engine.decide(arguments=nested(32)).outcome is Outcome.ALLOW

    def test_a_text_by_itself_is_no_request(self, engine: Engine) -> None:
        """The likeliest mistake is answered with what to say instead."""
        wrong: Any = "hello"
        with pytest.raises(TypeError, match=r"not str; for a text say text=…"):
            engine.decide(wrong)

    def test_unknown_keywords(self, engine: Engine) -> None:
        """A misspelt keyword is a TypeError, as of any function."""
        with pytest.raises(TypeError):
            engine.decide(txt=ATTACK)  # type: ignore[call-arg] # the point


class TestOpening:
    """How a store is found, and what makes it unusable."""

    @pytest.mark.parametrize("url", ["nonsense", "sqlite:///", "mysql://host/db"])
    def test_unusable_addresses(self, url: str) -> None:
        """What is no address of a store is refused with what to write."""
        with pytest.raises(ConfigError, match="sqlite:///"):
            Engine.open(url)

    def test_the_environment(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without an address it is the server's."""
        Engine.open(url).close()
        monkeypatch.setenv("PDP_DATABASE_URL", url)
        with Engine.open() as engine:
            assert engine.decide(text=ATTACK).outcome is Outcome.BLOCK

    def test_risk_file(self, url: str, tmp_path: Path) -> None:
        """Risk points can be replaced."""
        file = tmp_path / "risk.toml"
        file.write_text("[severity]\ncritical = 77\nmedium = 1\nlow = 1\n[dlp]\nlog_only = 7\n")
        with Engine.open(url, risk_file=file) as engine:
            assert engine.decide(text=ATTACK).risk.score == 77
            logged = engine.decide(text="Write to ann.miller@corp-mail.com, please.")
            assert logged.risk.score == 7

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("sevrity = 1", "sets sevrity"),
            ("[severity]\nlow = 101", "0 to 100"),
            ("[dlp]\nredact = -1", "0 to 100"),
            ("engine_error = 'x'", "0 to 100"),
            ("engine_error = true", "engine_error must be a whole number"),
            ("severity = 3", "severity must be a table"),
            ("[severity]\nhihg = 5", "severity sets hihg; it may set critical, high, low, medium"),
            ("[dlp]\nblock = {}", "dlp: block must be"),
            ("bands = []", "sets bands"),
            ("not toml", "cannot be read"),
        ],
    )
    def test_bad_risk_files(self, url: str, tmp_path: Path, text: str, message: str) -> None:
        """A risk file with a fault is refused, before the store is opened."""
        file = tmp_path / "risk.toml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            Engine.open(url, risk_file=file)
        assert not (tmp_path / "pdp.db").exists()

    def test_the_catalog_is_there(self, engine: Engine, url: str) -> None:
        """A new store has this release's system policies."""
        store = open_store(url)
        with store.read() as reader:
            policies = [record.body for record in reader.list(KIND, PLATFORM)]
        store.close()
        assert len(policies) >= 40
        held = engine._policies._publisher.platform.policies.of_kind(KIND)
        assert {each["id"]: each for each in policies} == {
            policy_id: body_of(policy) for policy_id, policy in held.items()
        }


def test_documented() -> None:
    """Every public member says what it does."""
    for name, member in inspect.getmembers(Engine):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name
