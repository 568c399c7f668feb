"""Kinds of redaction in decisions, streams and records, and the key that they depend on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings

from pdp.admin.change_log import mask_secrets
from pdp.admin.install.keys import REDACTION_KIND as KEY_KIND
from pdp.admin.install.keys import install_keys
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.decisions.record_builder import PendingRecord, RecordBuilder
from pdp.domain import dlp_rule
from pdp.domain.dlp_rule import DlpCustomisation
from pdp.domain.effective_dlp_rules import rule_in_bundle
from pdp.domain.installation_keys import InstallationKeys
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_set import PolicySet
from pdp.domain.redaction_kind import HASH, MASK, PLACEHOLDER
from pdp.domain.request import Entity, Request, Subject
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant, update_platform
from pdp.engine.evaluate import evaluate
from pdp.engine.rules.matching import MAX_SPANS
from pdp.engine.text.pseudonyms import FULL_MASK
from tests.support.dlp import CARD, DETECTORS, policies, rule
from tests.support.text_streams import chunked, stream

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.domain.decision import Decision
    from pdp.engine.snapshot import Snapshot

KEY: Final = bytes(32)


def snapshot_of(kind: str, key: bytes = KEY, tenant: str = "t") -> Snapshot:
    """Returns a tenant whose rules redact cards and addresses by a kind, and some by a text."""
    own = policies(
        [
            rule("card", "card", redaction=kind),
            rule("mail", "mail", redaction=kind),
            rule("fixed", pattern="FIXED-[0-9]+"),
        ],
        org=OrgPolicy(logging_level="full"),
    )
    platform = compile_platform(PolicySet(), {"luhn": lambda _: True}, detectors=DETECTORS)
    platform = compile_platform(
        platform.policies,
        platform.validators,
        detectors=DETECTORS,
        keys=InstallationKeys(redaction=key),
    )
    return compile_tenant(platform, tenant, own, 1)


def ask(snapshot: Snapshot, text: str = "", **fields: object) -> Decision:
    """Returns a decision on a text."""
    fields = {"request_id": "r", "subject": Subject(), **fields}
    return evaluate(snapshot, Request(text=text, **fields), "id")  # type: ignore[arg-type]


class TestSessions:
    def test_a_placeholder_is_the_same_in_all_turns_of_a_session(self) -> None:
        snapshot = snapshot_of(PLACEHOLDER)
        first = ask(snapshot, f"card {CARD}", session_id="s", request_id="1")
        later = ask(
            snapshot,
            "again",
            arguments={"card": CARD, "number": int(CARD), "json": f'{{"c": "{CARD}"}}'},
            session_id="s",
            request_id="2",
        )
        assert first.redacted_text is not None
        placeholder = first.redacted_text.removeprefix("card ")
        assert later.redacted_arguments == {
            "card": placeholder,
            "number": placeholder,
            "json": f'{{"c": "{placeholder}"}}',
        }

    def test_another_session_or_tenant_has_another_placeholder(self) -> None:
        snapshot = snapshot_of(PLACEHOLDER)
        texts = [
            ask(snapshot, CARD, session_id="s").redacted_text,
            ask(snapshot, CARD, session_id="other").redacted_text,
            ask(snapshot_of(PLACEHOLDER, tenant="u"), CARD, session_id="s").redacted_text,
        ]
        assert len(set(texts)) == 3

    def test_without_a_session_the_request_is_the_session(self) -> None:
        snapshot = snapshot_of(PLACEHOLDER)
        text = ask(snapshot, f"{CARD} {CARD}", request_id="1").redacted_text
        assert text is not None
        assert len(set(text.split())) == 1
        assert ask(snapshot, f"{CARD} {CARD}", request_id="1").redacted_text == text
        assert ask(snapshot, f"{CARD} {CARD}", request_id="2").redacted_text != text

    def test_a_hash_is_the_same_in_all_sessions(self) -> None:
        snapshot = snapshot_of(HASH)
        texts = {ask(snapshot, CARD, session_id=each).redacted_text for each in "ab"}
        assert len(texts) == 1


class TestWithoutAKey:
    @pytest.mark.parametrize("kind", [HASH, PLACEHOLDER])
    def test_the_value_is_withheld(self, kind: str) -> None:
        assert ask(snapshot_of(kind, b""), f"card {CARD}").redacted_text == "card [REDACTED]"

    def test_a_mask_needs_none(self) -> None:
        assert ask(snapshot_of(MASK, b""), CARD).redacted_text == "************1111"


class TestBounds:
    @pytest.mark.parametrize(("count", "is_whole"), [(MAX_SPANS, False), (MAX_SPANS + 1, True)])
    def test_too_many_values_show_nothing(self, count: int, is_whole: bool) -> None:
        decision = ask(snapshot_of(MASK), " ".join([CARD] * count))
        assert (decision.redacted_text == FULL_MASK) is is_whole

    def test_a_finding_of_the_caller_without_a_place_shows_nothing(self) -> None:
        found = (Entity("CREDIT_CARD", 1.0, 0, 0),)
        decision = ask(snapshot_of(MASK), "one two three 12345678", entities=found)
        assert decision.redacted_text == "[REDACTED]"


class TestRecords:
    @pytest.mark.parametrize("kind", [MASK, HASH, PLACEHOLDER])
    def test_a_record_shows_nothing_of_a_value(self, kind: str) -> None:
        snapshot = snapshot_of(kind)
        text = f"{CARD}, ada@example.com, FIXED-1"
        request = Request(text=text, request_id="r", arguments={"n": int(CARD)})
        pending = PendingRecord(snapshot, request, evaluate(snapshot, request, "id"), 0.0)
        record = RecordBuilder().make(pending).record
        assert record.redacted_text == "[CREDIT_CARD], [EMAIL_ADDRESS], [REDACTED]"
        assert record.redacted_arguments == {"n": "[CREDIT_CARD]"}


@pytest.mark.parametrize("kind", [MASK, HASH, PLACEHOLDER])
def test_a_stream_releases_what_one_request_would(kind: str) -> None:
    snapshot = snapshot_of(kind)

    @settings(max_examples=20)
    @given(chunked())
    def check(chunks: list[str]) -> None:
        whole = evaluate(snapshot, Request(text="".join(chunks), direction="output"), "id")
        expected = "".join(chunks) if whole.redacted_text is None else whole.redacted_text
        assert stream(snapshot, chunks).text == expected

    check()


class TestKey:
    def test_it_is_created_once(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/pdp.db"
        keys = set()
        for _ in range(2):
            store = open_policies(url)
            install_keys(store)
            keys.add(create_publisher(store, DEFAULT_RISK_TABLE).platform.keys.redaction)
            store.close()
        (key,) = keys
        assert len(key) == 32

    def test_two_installations_have_different_ones(self, tmp_path: Path) -> None:
        keys = set()
        for name in "ab":
            store = open_policies(f"sqlite:///{tmp_path}/{name}.db")
            keys.add(create_publisher(store, DEFAULT_RISK_TABLE).platform.keys.redaction)
            store.close()
        assert len(keys) == 2

    def test_the_change_log_does_not_show_it(self, tmp_path: Path) -> None:
        store = open_policies(f"sqlite:///{tmp_path}/pdp.db")
        with store.view() as reader:
            (entity,) = reader.list(KEY_KIND, PLATFORM)
        store.close()
        assert mask_secrets(entity.body) == {"secret": "***"}
        assert KEY_KIND not in ENTITY_CLASSES

    def test_a_change_of_the_platform_keeps_it(self, tmp_path: Path) -> None:
        store = open_policies(f"sqlite:///{tmp_path}/pdp.db")
        platform = create_publisher(store, DEFAULT_RISK_TABLE).platform
        with store.write() as transaction:
            entity = transaction.list(dlp_rule.KIND, PLATFORM)[0]
            transaction.put(entity, actor="test", summary="")
            changed = update_platform(platform, transaction.new_changes)
        store.close()
        assert changed is not platform
        assert changed.keys.redaction == platform.keys.redaction

    def test_it_is_not_printed(self) -> None:
        platform = snapshot_of(HASH, b"k" * 32).platform
        assert not re.search("k{32}", repr(platform))


class TestBundles:
    @pytest.mark.parametrize("enabled", [True, False])
    def test_a_rule_that_a_bundle_requires_cannot_mask(self, enabled: bool) -> None:
        shipped = rule("card", "card")
        masked = rule_in_bundle(shipped, DlpCustomisation("card", redaction=MASK), enabled=enabled)
        hashed = rule_in_bundle(shipped, DlpCustomisation("card", redaction=HASH), enabled=enabled)
        assert masked.redaction == ("" if enabled else MASK)
        assert hashed.redaction == HASH
