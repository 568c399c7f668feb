"""Apache Kafka, through an idempotent producer. Requires the extra `kafka`."""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pdp.errors import ConfigError
from pdp.export.siem.base import ConnectorSpec, DeliveryFailed, Event, Refusal
from pdp.export.siem.environment import Environment, EnvironmentVariable
from pdp.export.siem.secret_mask import SecretMask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable(
        "KAFKA_BOOTSTRAP_SERVERS", "brokers, such as `host:9092,other:9092`", "", True
    ),
    EnvironmentVariable("KAFKA_TOPIC", "topic", "pdp-audit"),
    EnvironmentVariable(
        "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", "PLAINTEXT"
    ),
    EnvironmentVariable(
        "KAFKA_SASL_MECHANISM", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", "SCRAM-SHA-512"
    ),
    EnvironmentVariable("KAFKA_SASL_USERNAME", "user name, for a SASL protocol"),
    EnvironmentVariable("KAFKA_SASL_PASSWORD", "password of the user", "", False, True),
    EnvironmentVariable(
        "KAFKA_SSL_CA_FILE", "CA certificates to trust instead of those of the system"
    ),
)
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TIMEOUT_MS: Final = 30_000


class KafkaConnector:
    """Sends events as messages. The key is the tenant, so the events of a tenant stay in order.

    The producer is idempotent: its own retries cause no duplicates.
    """

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 900_000

    def __init__(self, environment: Environment) -> None:
        if find_spec("aiokafka") is None:
            raise ConfigError("KAFKA_BOOTSTRAP_SERVERS is set: install pdp[kafka], or unset it")
        self._servers = environment.text("KAFKA_BOOTSTRAP_SERVERS")
        self._topic = environment.text("KAFKA_TOPIC")
        self._protocol = environment.choice("KAFKA_SECURITY_PROTOCOL", _PROTOCOLS)
        self._options: dict[str, Any] = {"security_protocol": self._protocol}
        ca_file = environment.file("KAFKA_SSL_CA_FILE")
        if self._protocol.endswith("SSL"):
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
            self._options["ssl_context"] = context
        if self._protocol.startswith("SASL"):
            self._options |= _credentials(environment)
        self._mask = SecretMask(environment.secrets())
        self._producer: Any = None

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events."""
        return {
            "bootstrap_servers": self._servers,
            "topic": self._topic,
            "security_protocol": self._protocol,
        }

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Sends a batch, and returns when all replicas have acknowledged all of it."""
        from aiokafka.errors import (  # noqa: PLC0415 - an extra
            KafkaError,
            MessageSizeTooLargeError,
        )

        producer = await self._started_producer()
        refusals: list[Refusal] = []
        acknowledgements = []
        try:
            for position, event in enumerate(events):
                key = event.document["metadata"]["tenant_uid"].encode()
                headers = [("uid", event.uid.encode())]
                try:
                    future = await producer.send(self._topic, event.body, key=key, headers=headers)
                except MessageSizeTooLargeError:
                    refusals.append(Refusal(position, "larger than the limit of the broker"))
                else:
                    acknowledgements.append(future)
            for future in acknowledgements:
                await future
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise DeliveryFailed(self._describe(error)) from error
        return refusals

    async def check(self) -> str:
        """Requests the partitions of the topic from the brokers."""
        from aiokafka.errors import KafkaError  # noqa: PLC0415 - an extra

        producer = await self._started_producer()
        try:
            partitions = await producer.partitions_for(self._topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise DeliveryFailed(self._describe(error)) from error
        if not partitions:
            raise DeliveryFailed(f"topic {self._topic} has no partitions")
        return ""

    async def _started_producer(self) -> Any:
        from aiokafka import AIOKafkaProducer  # noqa: PLC0415 - an extra
        from aiokafka.errors import KafkaError  # noqa: PLC0415

        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers,
                client_id="pdp",
                enable_idempotence=True,
                request_timeout_ms=_TIMEOUT_MS,
                **self._options,
            )
            try:
                await producer.start()
            except (KafkaError, OSError, TimeoutError) as error:
                await producer.stop()
                raise DeliveryFailed(self._describe(error)) from error
            self._producer = producer
        return self._producer

    def _describe(self, error: BaseException) -> str:
        return self._mask.apply(f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Closes all connections."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


def _credentials(environment: Environment) -> dict[str, Any]:
    if not (environment.has("KAFKA_SASL_USERNAME") and environment.has("KAFKA_SASL_PASSWORD")):
        raise ConfigError(
            "KAFKA_SECURITY_PROTOCOL requires SASL: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        )
    return {
        "sasl_mechanism": environment.choice("KAFKA_SASL_MECHANISM", _MECHANISMS),
        "sasl_plain_username": environment.text("KAFKA_SASL_USERNAME"),
        "sasl_plain_password": environment.text("KAFKA_SASL_PASSWORD"),
    }


SPEC: Final = ConnectorSpec(
    "kafka", "Apache Kafka", KafkaConnector.__name__, VARIABLES, KafkaConnector
)
