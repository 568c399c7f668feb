"""The Python client decides by itself, also while the server is down, and allows no more."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import pdp_client as pdp
import pytest

from tests.support.central_servers import TENANT, central_server, wait_for_revision
from tests.support.servers import TIMEOUT_S, run_pdp
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.central_servers import CentralServer

pytestmark = pytest.mark.xdist_group("local decisions")

SHORT_S: Final = 0.5
"""How long a call may take that no server will answer."""

ATTACK: Final = {"tool": "sql", "arguments": {"query": "1; DROP TABLE users;"}}


@pytest.fixture
def central(tmp_path: Path) -> Iterator[CentralServer]:
    """A server to follow."""
    with central_server(tmp_path / "central") as server:
        yield server


def state_of(client: pdp.Client) -> pdp.LocalState:
    state = client.local_state
    assert state is not None
    return state


def begin(client: pdp.Client) -> pdp.Client:
    """Waits until a client has policies."""
    assert client.wait_until_ready(TIMEOUT_S)
    return client


def test_the_server_is_not_asked(central: CentralServer, tmp_path: Path) -> None:
    with begin(central.client(tmp_path / "f")) as client:
        assert client.decide({"content": "hello"}).allowed
        assert client.decide(ATTACK).reason_code == "STATIC_POLICY_BLOCK"
        redacted = client.decide({"content": "my card is 4111 1111 1111 1111"}).enforce()
        assert "4111" not in redacted.text
        batch = client.decide_batch([{"content": "hello"}, ATTACK])
        assert [each.allowed for each in batch] == [True, False]
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
        assert client.decide_payload("openai.chat_completions", body).allowed
        assert state_of(client).decided == 6
        assert state_of(client).asked == 0
        assert state_of(client).problem == ""
        assert state_of(client).age < TIMEOUT_S
    metrics = central.running.server.request("GET", "/metrics").text
    assert 'method="Decide"' not in metrics
    assert 'method="DecideBatch"' not in metrics


def test_a_request_that_is_not_valid_is_an_error(central: CentralServer, tmp_path: Path) -> None:
    with begin(central.client(tmp_path / "f")) as client:
        with pytest.raises(pdp.CallFailed) as error:
            client.decide({"action": "no action"})
        assert error.value.reason == "INVALID_ARGUMENT"
        assert error.value.violations[0].field == "action"


def test_a_tenant_that_cannot_be_followed_is_left_to_the_server(
    central: CentralServer, tmp_path: Path
) -> None:
    with central.client(tmp_path / "f", max_tenants=1) as client:
        assert client.wait_until_ready(TIMEOUT_S)
        with pytest.raises(pdp.CallFailed) as error:
            client.decide({"content": "hello", "tenant_id": "other"})
        assert error.value.reason == "TENANT_MISMATCH"  # of the server
        assert state_of(client).asked == 1
    local = pdp.Local(tmp_path / "g")
    with pdp.Client(central.address, tenant="no tenant", local=local) as client:
        assert not client.wait_until_ready(TIMEOUT_S)


def test_changes_come_into_force(central: CentralServer, tmp_path: Path) -> None:
    with begin(central.client(tmp_path / "f")) as client:
        assert client.decide({"content": "a platypus"}).allowed
        wait_for_revision(client, central.block("platypus"))
        assert not client.decide({"content": "a platypus"}).allowed
        off = central.running.request(
            "POST",
            "/api/admin/kill-switch/providers/openai/disable",
            central.running.admin,
            json={"reason": "security_event"},
        )
        assert off.status_code == 200, off.text
        asked = {"content": "hello", "model": {"provider": "openai", "model": "gpt-4o"}}
        wait_until(lambda: not client.decide(asked).allowed, "the kill switch is in force")
        assert state_of(client).asked == 0


def test_decisions_go_on_while_the_server_is_down(central: CentralServer, tmp_path: Path) -> None:
    with begin(central.client(tmp_path / "f")) as client:
        wait_for_revision(client, central.block("platypus"))
        central.stop()
        assert client.decide({"content": "hello"}).allowed
        assert not client.decide({"content": "a platypus"}).allowed
        wait_until(lambda: state_of(client).problem, "the client notices")
        held = client.decide({"content": "hi", "want_input_hash": True}, timeout=SHORT_S)
        assert held.reason_code == pdp.UNAVAILABLE
        central.start()
        wait_until(lambda: not state_of(client).problem, "the client follows again")
        wait_for_revision(client, central.block("wombat"))
        assert not client.decide({"content": "a wombat"}).allowed


def test_what_was_decided_is_reported_once(central: CentralServer, tmp_path: Path) -> None:
    with begin(central.client(tmp_path / "f")) as client:
        central.stop()
        made = [client.decide(ATTACK).decision_id for _ in range(3)]
        wait_until(lambda: state_of(client).unsent == 3, "the records wait")
    with central.client(tmp_path / "f") as again:  # another process, while the server is down
        wait_until(lambda: state_of(again).unsent == 3, "the records still wait")
        made.append(begin(again).decide(ATTACK).decision_id)
        central.start()
        wait_until(lambda: len(central.records()) == 4, "the records are reported")
        wait_until(lambda: state_of(again).unsent == 0, "nothing waits")
    records = central.records()
    assert sorted(each["decision_id"] for each in records) == sorted(made)
    assert {each["outcome"] for each in records} == {"BLOCK"}
    assert all(each["reported_by"].startswith("key:") for each in records)


def test_it_starts_while_the_server_is_down(central: CentralServer, tmp_path: Path) -> None:
    with begin(central.client(tmp_path / "f")) as client:
        wait_for_revision(client, central.block("platypus"))
        revision = state_of(client).revision
    central.stop()
    with begin(central.client(tmp_path / "f")) as client:
        assert client.decide({"content": "hello"}).allowed
        assert not client.decide({"content": "a platypus"}).allowed
        assert state_of(client).revision == revision
    with central.client(tmp_path / "elsewhere") as client:  # it has no policies
        assert client.decide({"content": "hello"}, timeout=SHORT_S).reason_code == pdp.UNAVAILABLE


def test_it_starts_from_policies_that_were_confirmed_before_they_changed(
    central: CentralServer, tmp_path: Path
) -> None:
    with begin(central.client(tmp_path / "f")) as client:
        wait_until(lambda: list((tmp_path / "f").rglob("*.latest")), "they are confirmed")
        wait_for_revision(client, central.block("platypus"))
    central.stop()
    with begin(central.client(tmp_path / "f")) as client:
        assert client.decide({"content": "hello"}).allowed
        assert not client.decide({"content": "a platypus"}).allowed


def test_old_policies_decide_nothing(central: CentralServer, tmp_path: Path) -> None:
    with central.client(tmp_path / "f", max_age=1e-6) as client:
        wait_until(lambda: state_of(client).revision > 0, "the policies are here")
        assert not client.wait_until_ready(0)
        assert client.decide({"content": "hello"}).allowed  # by the server
        assert state_of(client).asked == 1
        central.stop()
        denied = client.decide({"content": "hello"}, timeout=SHORT_S)
        assert denied.reason_code == pdp.UNAVAILABLE
        assert state_of(client).decided == 0


def test_a_revoked_credential_ends_it(central: CentralServer, tmp_path: Path) -> None:
    key = central.running.new_key("follower", TENANT)
    central.follower_key = key["key"]
    with begin(central.client(tmp_path / "f")) as client:
        assert client.decide({"content": "hello"}).allowed
        path = f"/api/admin/api-keys/{key['api_key']['id']}"
        revoked = central.running.request("DELETE", path, central.running.admin)
        assert revoked.is_success, revoked.text
        wait_until(lambda: state_of(client).revision == 0, "the policies are set aside")
        with pytest.raises(pdp.CallFailed) as error:
            client.decide({"content": "hello"})
        assert error.value.reason == "UNAUTHENTICATED"
        assert "refuses the credential" in state_of(client).problem
    central.stop()
    with central.client(tmp_path / "f") as client:  # the server cannot say that it is revoked
        wait_until(lambda: "cannot be reached" in state_of(client).problem, "it looks for policies")
        assert client.decide({"content": "hello"}, timeout=SHORT_S).reason_code == pdp.UNAVAILABLE


def test_a_role_that_may_not_follow_gets_the_servers_decisions(
    central: CentralServer, tmp_path: Path
) -> None:
    central.follower_key = central.running.key("pep", TENANT)
    with central.client(tmp_path / "f") as client:
        assert client.decide({"content": "hello"}).allowed
        assert not client.decide(ATTACK).allowed
        wait_until(lambda: "refuses" in state_of(client).problem, "the reason is shown")
        assert "needs the role follower" in state_of(client).problem
        assert state_of(client).decided == 0


def test_policies_of_another_server_decide_nothing(central: CentralServer, tmp_path: Path) -> None:
    printed = run_pdp(
        "policies",
        "signing-key",
        PDP_DATABASE_URL=central.running.server.database_url,
    )
    key = base64.b64decode(printed.stdout)
    with begin(central.client(tmp_path / "f", signing_key=key)) as client:
        assert client.decide({"content": "hello"}).allowed
        assert state_of(client).decided == 1
    with central.client(tmp_path / "g", signing_key=bytes(32)) as client:
        wait_until(lambda: "another key" in state_of(client).problem, "the key is refused")
        assert client.decide({"content": "hello"}).allowed  # by the server
        assert state_of(client).decided == 0


def test_policies_that_were_changed_on_disk_decide_nothing(
    central: CentralServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with begin(central.client(tmp_path / "f")) as client:
        wait_for_revision(client, central.block("platypus"))
    central.stop()
    [file] = (tmp_path / "f").rglob("*.policies")
    content = file.read_bytes()
    assert content.count(b"platypus") > 0
    file.write_bytes(content.replace(b"platypus", b"plotypus"))
    with central.client(tmp_path / "f") as client:
        wait_until(lambda: "cannot be reached" in state_of(client).problem, "it looks for policies")
        assert "what was kept on disk is not used: the signature" in caplog.text
        assert client.decide({"content": "hello"}, timeout=SHORT_S).reason_code == pdp.UNAVAILABLE


def test_too_many_unsent_records_decide_nothing(central: CentralServer, tmp_path: Path) -> None:
    with begin(central.client(tmp_path / "f", max_unsent=2)) as client:
        central.stop()
        client.decide(ATTACK)
        client.decide(ATTACK)
        wait_until(lambda: state_of(client).unsent == 2, "the records wait")
        assert client.decide({"content": "hello"}, timeout=SHORT_S).reason_code == pdp.UNAVAILABLE
        central.start()
        wait_until(lambda: state_of(client).unsent == 0, "the records are reported")
        assert client.decide({"content": "hello"}).allowed


def test_after_a_restore_it_starts_anew(central: CentralServer, tmp_path: Path) -> None:
    url = central.running.server.database_url
    backup = str(tmp_path / "pdp.backup")
    assert run_pdp("backup", backup, PDP_DATABASE_URL=url).returncode == 0
    with begin(central.client(tmp_path / "f")) as client:
        wait_for_revision(client, central.block("platypus"))
        central.stop()
        restored = run_pdp("restore", backup, "--force", PDP_DATABASE_URL=url)
        assert restored.returncode == 0, restored.stderr
        central.start()
        wait_until(
            lambda: client.decide({"content": "a platypus"}, timeout=SHORT_S).allowed,
            "the policies of the backup are in force",
        )
        wait_until(lambda: not state_of(client).problem, "the client is in step")
        wait_for_revision(client, central.block("wombat"))
        assert not client.decide({"content": "a wombat"}).allowed


def test_two_processes_can_share_a_directory(central: CentralServer, tmp_path: Path) -> None:
    with begin(central.client(tmp_path / "f")) as one, begin(central.client(tmp_path / "f")) as two:
        made = {each.decide(ATTACK).decision_id for each in (one, two)}
        wait_until(lambda: len(central.records()) == 2, "both are reported")
        assert {each["decision_id"] for each in central.records()} == made
        assert sorted(each.name for each in (tmp_path / "f").iterdir()) == ["0", "1"]
