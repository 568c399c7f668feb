"""Workers and embedded engines of one database share one log of decision records."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from pdp import Engine
from pdp._gen.pdp.v1 import decide_pb2, decide_pb2_grpc
from pdp.bootstrap.recording import RecordingOptions
from pdp.client.remote import open_channel
from pdp.domain.audit_log import RecordFilter
from pdp.errors import ConfigError
from pdp.store import open_audit_log
from tests.support import servers

if TYPE_CHECKING:
    from pathlib import Path

ATTACK: Final = "1 UNION SELECT password FROM users"


def recorded(folder: Path) -> set[str]:
    with closing(open_audit_log(f"sqlite:///{folder}/audit.db")) as log:
        assert log.verify().problems == ()
        rows = log.follow(RecordFilter("default"), after=0, limit=10_000).records
        return {json.loads(each.body)["decision_id"] for each in rows}


def ask(address: str, count: int) -> list[str]:
    """Requests decisions on a new connection, which the kernel gives to one of the workers."""
    request = decide_pb2.DecideRequest(content=decide_pb2.Content(text=ATTACK))
    with open_channel(address) as channel:
        stub = decide_pb2_grpc.DecideServiceStub(channel)
        grpc.channel_ready_future(channel).result(servers.TIMEOUT_S)
        return [stub.Decide(request, timeout=servers.TIMEOUT_S).decision_id for _ in range(count)]


def test_workers_and_engines_write_one_hash_chain(tmp_path: Path) -> None:
    with servers.start_workers(tmp_path) as server:
        with (
            ThreadPoolExecutor(6) as pool,
            Engine.open(f"sqlite:///{tmp_path}/pdp.db") as engine,
        ):
            futures = [pool.submit(ask, server.grpc_address, 15) for _ in range(6)]
            mine = [engine.decide(text=ATTACK).decision_id for _ in range(15)]
            answered = {each for future in futures for each in future.result()} | set(mine)
        assert len(answered) == 7 * 15
        assert recorded(tmp_path) == answered


class TestEngine:
    def test_a_decision_is_on_disk_when_it_is_returned(self, tmp_path: Path) -> None:
        with Engine.open(f"sqlite:///{tmp_path}/pdp.db") as engine:
            blocked = engine.decide(text=ATTACK)
            engine.decide(text="hello")
            assert recorded(tmp_path) == {blocked.decision_id}

    def test_async_records_are_written_when_the_engine_closes(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/pdp.db"
        options = replace(RecordingOptions.beside(url), durable=False)
        with Engine.open(url, records=options) as engine:
            ids = {engine.decide(text=ATTACK).decision_id for _ in range(50)}
        assert recorded(tmp_path) == ids

    def test_many_threads_record_all_decisions(self, tmp_path: Path) -> None:
        with (
            Engine.open(f"sqlite:///{tmp_path}/pdp.db") as engine,
            ThreadPoolExecutor(8) as pool,
        ):
            ids = {
                each.decision_id
                for each in pool.map(lambda _: engine.decide(text=ATTACK), range(200))
            }
            assert recorded(tmp_path) == ids
            assert len(ids) == 200

    def test_a_key_that_does_not_match_the_log_is_refused(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/pdp.db"
        Engine.open(url, records=replace(RecordingOptions.beside(url), key=b"k" * 32)).close()
        with pytest.raises(ConfigError, match="PDP_AUDIT_KEY_FILE"):
            Engine.open(url)


def test_a_key_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("short\n")
    with servers.launch(tmp_path / "data", PDP_AUDIT_KEY_FILE=str(key)) as server:
        assert server.wait() == 78
    assert any("at least 32" in line for line in server.lines)
