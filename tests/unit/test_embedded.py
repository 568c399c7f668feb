"""The embedded engine, `pdp.Engine`: requests, decisions and opening."""

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
    """Returns arguments with `depth` levels."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


class TestPackage:
    """The public names of the package `pdp`."""

    def test_the_import_loads_no_modules(self) -> None:
        """A module is loaded when one of its names is used."""
        code = "import sys, pdp; print([name for name in sys.modules if name.startswith('pdp.')])"
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert output.stdout.strip() == b"[]"

    def test_the_engine_does_not_load_a_server(self) -> None:
        """An embedded engine needs neither gRPC nor the HTTP server."""
        code = "import sys; from pdp import Engine; print({'grpc', 'uvicorn'} & set(sys.modules))"
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert output.stdout.strip() == b"set()"

    @pytest.mark.parametrize("name", sorted(set(pdp.__all__) - {"__version__"}))
    def test_every_public_name_can_be_imported(self, name: str) -> None:
        assert getattr(pdp, name).__name__ == name
        assert name in dir(pdp)

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            _ = pdp.Nothing  # type: ignore[attr-defined] # mypy refuses it too

    def test_the_fields_of_a_request_are_the_keywords_of_decide(self) -> None:
        """The engine sets the other fields itself."""
        assert set(RequestFields.__annotations__) == set(Request._fields) - {
            "usage_snapshot",
            "ner",
            "place",
            "payload_format",
            "caller",
            "passed",
            "server_time",
        }


class TestDecide:
    """Requests, and the decisions on them."""

    def test_keywords_a_request_and_a_mapping_are_equivalent(self, engine: Engine) -> None:
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
    def test_keywords_replace_fields_of_a_request(self, engine: Engine, request_: Any) -> None:
        assert engine.decide(request_, text=ATTACK).outcome is Outcome.BLOCK

    def test_an_empty_request_is_allowed(self, engine: Engine) -> None:
        """It is also allowed over gRPC and HTTP."""
        assert engine.decide().outcome is Outcome.ALLOW

    def test_each_decision_has_its_own_id(self, engine: Engine) -> None:
        """A request without an id gets one."""
        first, second = engine.decide(), engine.decide()
        assert first.decision_id != second.decision_id
        assert first.request_id
        assert engine.decide(request_id="mine").request_id == "mine"

    def test_arguments_are_scanned(self, engine: Engine) -> None:
        """Strings in the arguments are scanned like the text."""
        decision = engine.decide(tool="run", arguments={"a": [{"sql": ATTACK}, ("x",)]})
        assert decision.outcome is Outcome.BLOCK

    def test_a_trace_is_returned_only_on_request(self, engine: Engine) -> None:
        assert engine.decide(explain=True).trace
        assert not engine.decide().trace

    def test_a_decision_has_the_revision_of_its_policies(self, engine: Engine) -> None:
        assert engine.decide().revision == engine.revision > 0

    @pytest.mark.parametrize(
        ("fields", "invalid_field"),
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
    def test_an_invalid_request_is_refused(
        self, engine: Engine, fields: dict[str, Any], invalid_field: str
    ) -> None:
        """The error names the field as in the contract."""
        with pytest.raises(InvalidArgument) as caught:
            engine.decide(**fields)
        assert invalid_field in [violation.field for violation in caught.value.violations]

    def test_an_unknown_field_of_a_mapping_is_refused(self, engine: Engine) -> None:
        """A misspelt field is not ignored."""
        with pytest.raises(InvalidArgument, match="contnet: unknown field"):
            engine.decide({"contnet": {"text": ATTACK}})

    def test_arguments_can_be_nested_32_deep(self, engine: Engine) -> None:
        assert engine.decide(arguments=nested(32)).outcome is Outcome.ALLOW

    def test_a_text_instead_of_a_request_is_a_type_error(self, engine: Engine) -> None:
        """It is the most likely mistake, so the message says what to write instead."""
        text: Any = "hello"
        with pytest.raises(TypeError, match=r"not str; for a text say text=…"):
            engine.decide(text)

    def test_an_unknown_keyword_is_a_type_error(self, engine: Engine) -> None:
        with pytest.raises(TypeError):
            engine.decide(txt=ATTACK)  # type: ignore[call-arg] # invalid on purpose


class TestOpening:
    """Opening an engine: its store and its risk file."""

    @pytest.mark.parametrize("url", ["nonsense", "sqlite:///", "mysql://host/db"])
    def test_an_invalid_url_is_refused(self, url: str) -> None:
        """The message shows a valid URL."""
        with pytest.raises(ConfigError, match="sqlite:///"):
            Engine.open(url)

    def test_the_default_url_is_that_of_the_server(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is read from the environment."""
        Engine.open(url).close()
        monkeypatch.setenv("PDP_DATABASE_URL", url)
        with Engine.open() as engine:
            assert engine.decide(text=ATTACK).outcome is Outcome.BLOCK

    def test_a_risk_file_replaces_risk_points(self, url: str, tmp_path: Path) -> None:
        file = tmp_path / "risk.toml"
        file.write_text("[severity]\ncritical = 77\nmedium = 1\nlow = 1\n[dlp]\nlog_only = 7\n")
        with Engine.open(url, risk_file=file) as engine:
            assert engine.decide(text=ATTACK).risk.score == 77
            decision = engine.decide(text="Write to ann.miller@corp-mail.com, please.")
            assert decision.risk.score == 7

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
    def test_an_invalid_risk_file_is_refused(
        self, url: str, tmp_path: Path, text: str, message: str
    ) -> None:
        """It is read before the store is opened."""
        file = tmp_path / "risk.toml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            Engine.open(url, risk_file=file)
        assert not (tmp_path / "pdp.db").exists()

    def test_a_new_store_has_the_system_policies_of_the_release(
        self, engine: Engine, url: str
    ) -> None:
        store = open_store(url)
        with store.view() as reader:
            policies = [entity.body for entity in reader.list(KIND, PLATFORM)]
        store.close()
        assert len(policies) >= 40
        compiled = engine._policies._publisher.platform.policies.of_kind(KIND)
        assert {each["id"]: each for each in policies} == {
            policy_id: body_of(policy) for policy_id, policy in compiled.items()
        }


def test_every_public_member_has_a_docstring() -> None:
    for name, member in inspect.getmembers(Engine):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name
