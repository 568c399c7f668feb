"""Texts in chunks in the servicer: memory for open texts, bounds, and models."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.admin.published_policies import PublishedPolicies
from pdp.admin.static_policies import StaticPolicies
from pdp.admin.workspace import Workspace
from pdp.auth.principal import principal_for
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.decisions import stream_ids, text_streams
from pdp.decisions.batches import GROUP
from pdp.decisions.decider import Decider
from pdp.decisions.recording import DecisionRecorder
from pdp.decisions.text_stream import HOLD_BACK, MAX_TEXT_BYTES, STEP
from pdp.decisions.text_streams import NAME_OVERLAP, TextStreams
from pdp.domain.dlp_rule import KIND, NER, DlpRule, body_of
from pdp.domain.ner import NamedEntity, NerFindings
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.static_policy import StaticPolicy
from pdp.domain.stored_entity import StoredEntity
from pdp.transport.call import Call, Session
from pdp.transport.decision_observer import DecisionObserver
from pdp.transport.methods import methods
from pdp.transport.metrics import Metrics
from pdp.transport.servicers.decide import DecideServicer
from pdp.usage.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pdp.domain.ner import EntityLabel

STREAM = next(method for method in methods() if method.name == "DecideStream")
BATCH = next(method for method in methods() if method.name == "DecideBatch")
WORDS = "word " * 100


class Names:
    """A model that finds every "Greta", and records the texts that it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.active_calls = self.max_active_calls = 0

    async def find(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NerFindings:
        self.texts += (text for _, text in texts)
        self.active_calls += 1
        self.max_active_calls = max(self.max_active_calls, self.active_calls)
        await asyncio.sleep(0)
        self.active_calls -= 1
        return NerFindings(
            tuple(
                NamedEntity(each, 0.9, at, at + 5, path)
                for each in labels
                for path, text in texts
                for at in range(len(text))
                if text.startswith("Greta", at)
            )
        )


class Node:
    """A servicer with its own store."""

    def __init__(self, url: str) -> None:
        self.store = open_policies(url)
        self.publisher = create_publisher(self.store, DEFAULT_RISK_TABLE)
        self.workspace = Workspace(self.store, self.publisher)
        self.metrics = Metrics()
        self.meter = Meter()
        self.names = Names()
        decider = Decider(
            PublishedPolicies(self.publisher, self.workspace),
            self.meter,
            self.names,
            DecisionRecorder(),
            DecisionObserver(self.metrics).observe,
        )
        self.streams = TextStreams(decider)
        self.servicer = DecideServicer(decider, self.streams)
        self.session = Session()

    async def send(
        self,
        text: str,
        *,
        stream_id: str = "",
        last: bool = False,
        request: pb.DecideRequest | None = None,
    ) -> pb.DecideStreamResponse:
        chunk = pb.StreamChunk(stream_id=stream_id, text=text, last=last)
        message = pb.DecideStreamRequest(chunk=chunk, request=request)
        call = Call(
            STREAM,
            {"x-tenant-id": "acme"},
            "grpc",
            principal=principal_for("me", frozenset(), frozenset({"acme"}), "api_key"),
            session=self.session,
        )
        return await self.servicer.stream_message(call, message)

    async def look_for_names(self) -> None:
        """Creates a rule that redacts names."""
        rule = DlpRule("r", "Names", NER, "PERSON", "redact")
        with self.store.write() as transaction:
            transaction.put(
                StoredEntity(KIND, "acme", rule.id, body_of(rule), name=rule.detector_name),
                actor="me",
                summary="",
            )
        await self.workspace.catch_up()

    @property
    def open_texts(self) -> tuple[int, int]:
        """The number of open texts, and of their characters in memory."""
        return self.streams.open, self.streams.held

    def decisions(self) -> str:
        """Returns the metrics that count decisions."""
        lines = self.metrics.render().decode().splitlines()
        return "\n".join(line for line in lines if line.startswith("pdp_decisions_total{"))


@pytest.fixture
def node(url: str) -> Iterator[Node]:
    new_node = Node(url)
    yield new_node
    new_node.workspace.close()
    new_node.store.close()


async def test_the_memory_of_a_text_is_freed_when_it_ends(node: Node) -> None:
    await node.send(WORDS)
    assert node.open_texts == (1, len(WORDS))
    await node.send(WORDS, stream_id="other")
    assert node.open_texts == (2, 2 * len(WORDS))
    await node.send("", last=True)
    assert node.open_texts == (1, len(WORDS))
    await node.send("é" * MAX_TEXT_BYTES, stream_id="other")
    assert node.open_texts == (0, 0)


async def test_the_end_of_a_call_frees_its_open_texts_and_counts_them(node: Node) -> None:
    await node.send(WORDS)
    await node.send(WORDS, stream_id="other")
    assert node.decisions() == ""
    node.session.end()
    assert node.open_texts == (0, 0)
    assert 'outcome="ALLOW"' in node.decisions()
    assert node.decisions().endswith(" 2.0")


async def test_a_text_counts_as_one_decision(node: Node) -> None:
    for _ in range(10):
        await node.send(WORDS)
    await node.send("", last=True)
    assert node.decisions().endswith(" 1.0")


async def test_too_many_open_texts_or_characters_are_refused(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_streams, "MAX_HELD", 2 * len(WORDS))
    await node.send(WORDS)
    await node.send(WORDS, stream_id="other")
    answer = await node.send("more", stream_id="third")
    assert answer.response.reason_code == "RATE_LIMITED"
    assert answer.release.closed
    closed = await node.send("more", stream_id="other")
    assert closed.response.reason_code == "RATE_LIMITED"
    assert node.open_texts == (1, len(WORDS))
    monkeypatch.setattr(text_streams, "MAX_OPEN_IN_PROCESS", 1)
    assert (await node.send("x", stream_id="fourth")).response.status_hint == 429


async def test_a_call_may_send_a_bounded_number_of_texts(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_ids, "MAX_TEXTS", 2)
    for name in ("one", "two"):
        assert (await node.send("x", stream_id=name, last=True)).release.released_text == "x"
    answer = await node.send("x", stream_id="three", last=True)
    assert "begin another call" in answer.response.message


@pytest.mark.parametrize(
    "first",
    [
        pb.DecideRequest(tenant_id="other"),
        pb.DecideRequest(content=pb.Content(text="said twice")),
        pb.DecideRequest(direction="sideways"),
    ],
    ids=["tenant", "text", "direction"],
)
async def test_a_text_with_an_invalid_first_message_releases_nothing(
    node: Node, first: pb.DecideRequest
) -> None:
    first_answer = await node.send("4111 1111 ", request=first)
    second_answer = await node.send("1111 1111", last=True)
    for answer in (first_answer, second_answer):
        assert answer.response.outcome == pb.OUTCOME_BLOCK
        assert (answer.release.released_text, answer.release.closed) == ("", True)
    assert node.open_texts == (0, 0)


async def test_a_text_of_another_tenant_is_refused(node: Node) -> None:
    answer = await node.send("x", request=pb.DecideRequest(tenant_id="other"), last=True)
    assert answer.response.reason_code == "TENANT_MISMATCH"
    assert answer.release.released_text == ""


async def test_a_text_is_blocked_if_its_policies_cannot_be_loaded(node: Node, url: str) -> None:
    policies = StaticPolicies(node.workspace)
    await policies.create("acme", "me", StaticPolicy("", "No", "custom", "never", "block"))
    late = Node(url)
    late.store.close()
    answer = await late.send(WORDS)
    assert answer.response.outcome == pb.OUTCOME_BLOCK
    assert answer.response.incomplete
    assert answer.release.closed
    late.workspace.close()


async def test_models_get_only_the_new_part_of_a_text_and_an_overlap(node: Node) -> None:
    await node.look_for_names()
    text = f"{WORDS}my name is Greta. {WORDS}Greta again. {WORDS}"
    answers = [
        await node.send(text[start : start + 50], last=start + 50 >= len(text))
        for start in range(0, len(text), 50)
    ]
    released = "".join(each.release.released_text for each in answers)
    assert released == text.replace("Greta", "[REDACTED]")
    assert max(map(len, node.names.texts)) <= HOLD_BACK + NAME_OVERLAP + 2 * 50 + STEP
    assert len(node.names.texts) < len(answers)


async def test_a_large_text_does_not_block_the_event_loop(node: Node) -> None:
    large = WORDS * 300
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(count())
    answer = await node.send(large, last=True)
    others.cancel()
    assert answer.release.released_text == large
    assert turns > 1


async def test_items_of_a_batch_use_models_together_and_stay_in_order(node: Node) -> None:
    await node.look_for_names()
    texts = [f"{number} Greta" if number % 2 else str(number) for number in range(100)]
    items = [pb.DecideRequest(content=pb.Content(text=text)) for text in texts]
    call = Call(BATCH, {}, "grpc", tenant_id="acme")
    answer = await node.servicer.batch(call, pb.DecideBatchRequest(requests=items))
    assert [each.redacted_text for each in answer.responses] == [
        f"{number} [REDACTED]" if number % 2 else "" for number in range(100)
    ]
    assert node.names.max_active_calls == GROUP
