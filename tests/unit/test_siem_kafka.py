"""The Kafka connector against a fake broker on a real socket."""

from __future__ import annotations

import pytest

from pdp.errors import ConfigError
from pdp.export.siem import kafka
from pdp.export.siem.base import DeliveryFailed
from tests.support.kafka_broker import Broker
from tests.support.siem import connected, events, uids

NOT_LEADER = 6
REBALANCE = 43
"""An error code that a producer does not retry."""


async def test_events_are_messages_of_an_idempotent_producer() -> None:
    async with Broker("audit") as broker:
        environ = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "KAFKA_TOPIC": "audit"}
        async with connected("kafka", **environ) as connector:
            assert await connector.send(events(3)) == []
            assert await connector.check() == ""
            assert connector.config_summary() == {
                "bootstrap_servers": broker.address,
                "topic": "audit",
                "security_protocol": "PLAINTEXT",
            }
    assert [each.value for each in broker.messages] == [each.body for each in events(3)]
    assert {each.key for each in broker.messages} == {b"acme"}
    assert [each.headers for each in broker.messages] == [[("uid", u.encode())] for u in uids(3)]
    assert {each.producer_id for each in broker.messages} == {4711}


async def test_a_temporary_error_is_retried() -> None:
    async with Broker("pdp-audit") as broker:
        broker.errors = [NOT_LEADER, NOT_LEADER]
        async with connected("kafka", KAFKA_BOOTSTRAP_SERVERS=broker.address) as connector:
            assert await connector.send(events(2)) == []
    assert [each.value for each in broker.messages] == [each.body for each in events(2)]


async def test_a_permanent_error_fails_the_delivery_and_the_next_one_reconnects() -> None:
    async with Broker("pdp-audit") as broker:
        broker.errors = [REBALANCE]
        async with connected("kafka", KAFKA_BOOTSTRAP_SERVERS=broker.address) as connector:
            with pytest.raises(DeliveryFailed):
                await connector.send(events(1))
            assert await connector.send(events(1)) == []
    assert len(broker.messages) == 1


async def test_without_a_broker_deliveries_fail() -> None:
    async with Broker("pdp-audit") as closed_broker:
        address = closed_broker.address
    async with connected("kafka", KAFKA_BOOTSTRAP_SERVERS=address) as connector:
        with pytest.raises(DeliveryFailed, match="KafkaConnectionError"):
            await connector.send(events(1))
        with pytest.raises(DeliveryFailed):
            await connector.check()


async def test_the_health_check_fails_without_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_TIMEOUT_MS", 200)
    async with Broker("pdp-audit") as broker:
        broker.has_topic = False
        async with connected("kafka", KAFKA_BOOTSTRAP_SERVERS=broker.address) as connector:
            with pytest.raises(DeliveryFailed):
                await connector.check()


async def test_without_the_extra_the_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"install pdp\[kafka\]"):
        async with connected("kafka", KAFKA_BOOTSTRAP_SERVERS="localhost:9092"):
            pass
