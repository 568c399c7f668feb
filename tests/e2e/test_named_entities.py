"""Rules of type ner and llm on servers with models, without models and without the extras."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc
from pdp.cli.exit_codes import Exit
from pdp.client.remote import open_channel
from tests.support import ner_models, servers
from tests.support.rest.dlp import RULES, decide, rule
from tests.support.rest.packs import ok_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

EXTRAS = ("presidio_analyzer", "spacy", "onnxruntime", "numpy", "tokenizers")
NAMED = "Please call Greta Weber tomorrow ."
FOUND = {"detector_name": "Names", "detector_type": "ner", "entity_type": "PERSON"}
NO_MODEL = "no Presidio model is configured (PDP_NER_MODEL_DIR)"

_BLOCKER = f"""
from importlib.machinery import PathFinder

found = PathFinder.find_spec


def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {EXTRAS!r} else found(name, path, target)


PathFinder.find_spec = find_spec
"""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH that hides the extras."""
    directory = tmp_path_factory.mktemp("bare")
    (directory / "sitecustomize.py").write_text(_BLOCKER, encoding="utf-8")
    return str(directory)


@pytest.fixture(scope="module")
def bare_server(
    tmp_path_factory: pytest.TempPathFactory, bare_python: str
) -> Iterator[servers.Server]:
    """A server without the extras."""
    directory = tmp_path_factory.mktemp("bare-server")
    with servers.start(directory, command=servers.SERVE, PYTHONPATH=bare_python) as started:
        yield started


@pytest.fixture
def bare(bare_server: servers.Server, tenant: str) -> Iterator[httpx2.Client]:
    """A client of the server without extras, for a new tenant."""
    with bare_server.client(tenant) as client:
        yield client


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("models")
    return ner_models.spacy_model(base / "spacy"), ner_models.gliner_model(base / "gliner")


@pytest.fixture(scope="module")
def model_server(
    tmp_path_factory: pytest.TempPathFactory, models: tuple[Path, Path]
) -> Iterator[servers.Server]:
    """A server with both models. Requests wait until the models are loaded."""
    with servers.start(
        tmp_path_factory.mktemp("model-server"),
        PDP_NER_MODEL_DIR=str(models[0]),
        PDP_GLINER_MODEL_DIR=str(models[1]),
        PDP_NER_BUDGET_MS="60000",
    ) as started:
        yield started


@pytest.fixture
def modelled(model_server: servers.Server, tenant: str) -> Iterator[httpx2.Client]:
    """A client of the server with models, for a new tenant."""
    with model_server.client(tenant) as client:
        yield client


def names(client: httpx2.Client, tier: str = "redact", **fields: Any) -> Any:
    """Creates a rule that detects names of persons."""
    rule_body = {**FOUND, "action_tier": tier, "confidence_threshold": 0.5, "config_json": {}}
    return rule(client, **{**rule_body, **fields})


class TestWithoutExtras:
    def test_a_dry_run_finds_what_patterns_find(self, bare: httpx2.Client) -> None:
        body = {
            "rule_type": "ner",
            "pattern": "PERSON,EMAIL_ADDRESS",
            "sample_text": "Write to greta.weber@corp.com soon.",
        }
        answer = ok_json(bare.post(f"{RULES}/test", json=body))
        assert answer["valid_pattern"] is True
        assert answer["match_count"] == 1
        assert answer["matches"][0]["matched_text"] == "greta.weber@corp.com"
        assert answer["matches"][0]["entity_type"] == "EMAIL_ADDRESS"
        assert answer["error"] == f"could not look for PERSON: {NO_MODEL}"

    def test_rules_with_patterns_need_no_model(self, bare: httpx2.Client) -> None:
        names(bare, "block", entity_type="EMAIL_ADDRESS")
        answer = decide(bare, "Write to greta.weber@corp.com soon.")
        assert (answer["outcome"], answer["incomplete"]) == ("BLOCK", False)
        assert decide(bare, "Nothing here.")["outcome"] == "ALLOW"

    def test_rules_that_need_a_model_make_decisions_incomplete(self, bare: httpx2.Client) -> None:
        rule = names(bare)
        answer = decide(bare, NAMED)
        assert (answer["outcome"], answer["incomplete"]) == ("BLOCK", True)
        assert (answer["reason_code"], answer["status_hint"]) == ("ENGINE_ERROR", 503)
        assert answer["warnings"] == [
            {
                "policy_id": rule["id"],
                "message": f'Rule "Names" could not look for PERSON: {NO_MODEL}.',
            }
        ]

    def test_readiness_reports_missing_models(self, bare: httpx2.Client) -> None:
        checks = ok_json(bare.get("/readyz"))["checks"]
        assert checks["model_ner"] == NO_MODEL
        assert checks["model_llm"] == "no GLiNER model is configured (PDP_GLINER_MODEL_DIR)"

    def test_a_model_without_its_extra_stops_the_start(
        self, tmp_path: Path, bare_python: str, models: tuple[Path, Path]
    ) -> None:
        for variable, directory, extra in (
            ("PDP_NER_MODEL_DIR", models[0], "ner"),
            ("PDP_GLINER_MODEL_DIR", models[1], "gliner"),
        ):
            settings = {variable: str(directory), "PYTHONPATH": bare_python}
            with servers.launch(tmp_path, command=servers.SERVE, **settings) as server:
                assert server.wait() == Exit.CONFIG
            assert f"install pdp[{extra}] or unset it" in "".join(server.lines)


class TestWithModels:
    def test_names_are_redacted(self, modelled: httpx2.Client) -> None:
        names(modelled)
        answer = decide(modelled, f"👩 {NAMED}")
        assert answer["outcome"] == "REDACT"
        assert answer["redacted_text"].endswith("call [REDACTED] tomorrow .")
        assert answer["incomplete"] is False
        assert answer["matches"][0]["name"] == "Names"

    def test_names_in_arguments_are_redacted(self, modelled: httpx2.Client) -> None:
        names(modelled)
        answer = decide(modelled, "", tool="send", arguments={"note": {"text": NAMED}})
        redacted = {"note": {"text": "Please call [REDACTED] tomorrow ."}}
        assert answer["redacted_arguments"] == redacted

    def test_gliner_accepts_any_label(self, modelled: httpx2.Client) -> None:
        fields = {"detector_type": "llm", "config_json": {"labels": ["falcon"]}}
        names(modelled, "block", detector_name="Code name", entity_type="CODE_NAME", **fields)
        answer = decide(modelled, "The falcon opens the door")
        assert (answer["outcome"], answer["incomplete"]) == ("BLOCK", False)
        assert decide(modelled, "The heron opens the door")["outcome"] == "ALLOW"

    def test_a_finding_below_the_threshold_is_ignored(self, modelled: httpx2.Client) -> None:
        names(modelled, confidence_threshold=0.99)
        assert decide(modelled, NAMED)["outcome"] == "ALLOW"

    def test_an_unknown_label_is_a_warning(self, modelled: httpx2.Client) -> None:
        names(modelled, entity_type="BLOOD_TYPE")
        answer = decide(modelled, NAMED)
        assert answer["incomplete"]
        assert "finds LOCATION, PERSON only" in answer["warnings"][0]["message"]

    def test_dry_runs_use_the_models(self, modelled: httpx2.Client) -> None:
        names(modelled)
        for kind, pattern, text, value in (
            ("ner", "PERSON", NAMED, "Greta Weber"),
            ("gliner", "falcon,heron", "the falcon", "falcon"),
        ):
            tried = {"rule_type": kind, "pattern": pattern, "sample_text": text}
            answer = ok_json(modelled.post(f"{RULES}/test", json=tried))
            assert [each["matched_text"] for each in answer["matches"]] == [value]
            assert answer["error"] is None
        request = {"request": {"content": {"text": NAMED}}}
        simulated = ok_json(modelled.post("/v1/simulate", json=request))
        assert simulated["decision"]["outcome"] == "REDACT"
        evaluated = ok_json(modelled.post(f"{RULES}/evaluate", json={"text": NAMED}))
        assert evaluated["final_action"] == "redact"
        assert evaluated["matched_rules"][0]["detector_type"] == "ner"

    def test_items_of_a_batch_are_searched(self, modelled: httpx2.Client) -> None:
        names(modelled)
        texts = [NAMED, "Nothing to see ."]
        items = [{"content": {"text": text}} for text in texts]
        answer = ok_json(modelled.post("/v1/decide/batch", json={"requests": items}))
        assert [each["outcome"] for each in answer["responses"]] == ["REDACT", "ALLOW"]

    def test_a_name_in_two_chunks_is_redacted(
        self, model_server: servers.Server, modelled: httpx2.Client, tenant: str
    ) -> None:
        names(modelled)
        filler = "The weather is fine . " * 30
        text = f"{filler}{NAMED} {filler}{NAMED} {filler}"
        cut = text.index("Greta") + 3
        chunks = [
            pb.StreamChunk(text=text[:cut]),
            pb.StreamChunk(text=text[cut:]),
            pb.StreamChunk(last=True),
        ]
        messages = [pb.DecideStreamRequest(chunk=chunk) for chunk in chunks]
        messages[0].request.tenant_id = tenant
        with open_channel(model_server.grpc_address) as channel:
            stub = decide_pb2_grpc.DecideServiceStub(channel)
            answers = list(stub.DecideStream(iter(messages), timeout=servers.TIMEOUT_S))
        out = "".join(each.release.released_text for each in answers)
        assert out == text.replace("Greta Weber", "[REDACTED]")

    def test_readiness_reports_loaded_models(self, modelled: httpx2.Client) -> None:
        names(modelled)
        decide(modelled, NAMED)  # which waits until they are
        assert ok_json(modelled.get("/readyz"))["checks"]["model_ner"] == "loaded"


def test_a_directory_without_a_model_stops_the_start(tmp_path: Path) -> None:
    with servers.launch(tmp_path, PDP_NER_MODEL_DIR=str(tmp_path / "none")) as server:
        assert server.wait() == Exit.CONFIG
    assert "PDP_NER_MODEL_DIR" in "".join(server.lines)


def test_extras_are_not_imported_without_a_model() -> None:
    code = (
        "import sys, pdp.cli.main, pdp.server.app; "
        f"print(sorted(set({EXTRAS!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_embedded_command_uses_the_models_of_its_settings(
    tmp_path: Path, models: tuple[Path, Path]
) -> None:
    database = f"sqlite:///{tmp_path}/pdp.db"
    with (
        servers.start(tmp_path, PDP_DATABASE_URL=database) as server,
        server.client("acme") as client,
    ):
        names(client)
    command = ("decide", "--embedded", "--tenant", "acme", "--text", NAMED, "--json")
    without = servers.json_output(servers.run_pdp(*command, PDP_DATABASE_URL=database))
    assert (without["outcome"], without["incomplete"]) == ("BLOCK", True)
    answer = servers.json_output(
        servers.run_pdp(
            *command,
            PDP_DATABASE_URL=database,
            PDP_NER_MODEL_DIR=str(models[0]),
            PDP_NER_BUDGET_MS="60000",
        )
    )
    assert answer["redacted_text"] == "Please call [REDACTED] tomorrow ."
