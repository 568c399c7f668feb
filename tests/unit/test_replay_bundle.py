"""The policies of a replay as a text: complete, the same for the same policies, without secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import simulate_pb2
from pdp.cli.request import to_message
from pdp.client.local import LocalClient
from pdp.decisions.policy_hash import PolicyHasher
from pdp.domain.audit_log import RecordFilter
from pdp.errors import ConfigError
from pdp.replay_runs.bundle import compile_bundle, write_bundle
from pdp.replay_runs.loading import load_policies
from pdp.replay_runs.results import RESULTS
from pdp.replay_runs.task import UNREADABLE, ReplayTask, replay_bodies
from tests.support.audit_logs import body

if TYPE_CHECKING:
    from pdp.replay_runs.bundle import ReplayPolicies

SECRET: Final = "s3cr3t-t0k3n"
OVERLAY: Final = {
    "static_policies": [
        {"name": "No rivals", "category": "custom", "pattern": "(?i)rival", "action": "block"}
    ]
}


@pytest.fixture(name="database", scope="module")
def _database(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('bundle')}/pdp.db"
    calls: list[tuple[str, dict[str, Any]]] = [
        (
            "UpdateOrgPolicy",
            {
                "logging_level": "full",
                "alert_rules": [
                    {
                        "name": "All",
                        "notify": {"slack_webhook_url": f"https://hooks.example/{SECRET}"},
                    }
                ],
            },
        ),
        ("CreateApiKey", {"name": "ci", "role": "pep"}),
    ]
    with LocalClient(url) as client:
        for name, fields in calls:
            client.call(name, to_message(name, fields), "acme")
    return url


def policies_of(database: str, overlay: dict[str, Any] | None = None) -> ReplayPolicies:
    message = None
    if overlay is not None:
        request = to_message("Replay", {"overlay": overlay})
        assert isinstance(request, simulate_pb2.ReplayRequest)
        message = request.overlay
    return load_policies(database, "acme", overlay=message)


def test_the_compiled_policies_are_those_that_were_written(database: str) -> None:
    policies = policies_of(database, OVERLAY)
    compiled = compile_bundle(write_bundle(policies))
    hasher = PolicyHasher()
    for before, after in zip(policies, compiled, strict=True):
        assert hasher.of(before) == hasher.of(after)
        assert before.patterns.compiled.keys() == after.patterns.compiled.keys()
        assert [layer.name for layer in before.layers] == [layer.name for layer in after.layers]
    assert compiled.before.platform is compiled.after.platform


def test_the_text_has_no_credential_and_no_address(database: str) -> None:
    text = write_bundle(policies_of(database, OVERLAY))
    assert "No rivals" in text
    assert SECRET not in text
    assert "hooks.example" not in text
    kinds = {kind for side in json.loads(text)["platforms"] for kind, _, _ in side}
    assert "api_key" not in kinds


def test_equal_policies_have_equal_texts(database: str) -> None:
    assert write_bundle(policies_of(database)) == write_bundle(policies_of(database))


def test_a_host_that_reads_policies_in_another_way_is_refused(database: str) -> None:
    value = json.loads(write_bundle(policies_of(database)))
    value["sides"][1]["hash"] = "0" * 64
    with pytest.raises(ConfigError, match="same release everywhere"):
        compile_bundle(json.dumps(value))
    with pytest.raises(ConfigError, match="another release"):
        compile_bundle(json.dumps({**value, "format": 2}))


def test_the_key_changes_with_everything_that_results_depend_on(database: str) -> None:
    before, after = policies_of(database), policies_of(database, OVERLAY)
    acme = RecordFilter("acme")
    keys = {
        ReplayTask.of(before, acme).key("1", "local"),
        ReplayTask.of(after, acme).key("1", "local"),
        ReplayTask.of(after, RecordFilter("acme", since=1.0)).key("1", "local"),
        ReplayTask.of(after, acme).key("2", "local"),
        ReplayTask.of(after, acme).key("2", "spark"),
    }
    assert len(keys) == 5
    assert ReplayTask.of(after, acme).key("2", "spark") in keys


def test_what_is_no_record_is_counted_and_not_replayed(database: str) -> None:
    task = ReplayTask.of(policies_of(database, OVERLAY), RecordFilter("acme"))
    newer = json.dumps({**json.loads(body(9)), "outcome": "OUTCOME_OF_A_NEWER_RELEASE"})
    bodies = [(1, body(1)), (2, "{}"), (3, newer), (4, body(4, tenant_id="other")), (5, "[]")]
    rows = [row for batch in replay_bodies(task, bodies) for row in batch.to_pylist()]
    assert [(row["sequence"], row["not_replayed"]) for row in rows] == [
        (1, None),
        (2, UNREADABLE),
        (3, UNREADABLE),
        (5, UNREADABLE),
    ]
    assert list(rows[0]) == RESULTS.names
