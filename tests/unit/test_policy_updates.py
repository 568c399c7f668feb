"""Updates of policies: signed in parts, read back, and refused if anything about them is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import policy_pb2 as pb
from pdp.auth.signatures import SignatureRefused, Signer, verify
from pdp.domain import api_key
from pdp.domain.followed_policies import (
    FOLLOWED_KINDS,
    FORMAT,
    FollowedPolicy,
    PolicyUpdate,
)
from pdp.domain.risk import DEFAULT_RISK_TABLE, risk_points, risk_table
from pdp.follower import updates
from pdp.follower.updates import ReadUpdate, UpdateReader, UpdateRefused
from pdp.messages import policy_updates
from pdp.messages.policy_updates import signed_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SIGNER: Final = Signer(b"s" * 32)
OTHER_SIGNER: Final = Signer(b"o" * 32)
MADE_AT: Final = 1_790_000_000.25
CONTENT: Final = "content-of-a-policy"
POINTS: Final = risk_points(DEFAULT_RISK_TABLE)


def policy(number: int, **fields: Any) -> FollowedPolicy:
    values: dict[str, Any] = {
        "platform": False,
        "kind": "static_policy",
        "id": f"{CONTENT}-{number}",
        "revision": number + 1,
        "body": {"pattern": CONTENT},
        **fields,
    }
    return FollowedPolicy(**values)


def update_of(*policies: FollowedPolicy, **fields: Any) -> PolicyUpdate:
    values: dict[str, Any] = {
        "installation": "installation",
        "tenant_id": "acme",
        "since": 3,
        "revision": 9,
        "policies": list(policies),
        **fields,
    }
    return PolicyUpdate(**values)


THREE: Final = update_of(policy(0), policy(1), policy(2, body=None))


def parts_of(
    update: PolicyUpdate = THREE,
    *,
    part_bytes: int = policy_updates.PART_BYTES,
    signer: Signer = SIGNER,
    made_at: float = MADE_AT,
    points: Any = POINTS,
) -> list[pb.WatchResponse]:
    """Returns the signed parts of an update."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy_updates, "PART_BYTES", part_bytes)
        return signed_parts(update, points, made_at, signer)


def signed(part: pb.PolicyUpdate, signer: Signer = SIGNER) -> pb.WatchResponse:
    """Returns a message as a server signs it."""
    content = part.SerializeToString()
    return pb.WatchResponse(
        update=content, signature=signer.sign(content), public_key=signer.public_key
    )


def changed_part(change: Callable[[pb.PolicyUpdate], object]) -> pb.WatchResponse:
    """Returns the only part of an update, changed before it was signed."""
    part = pb.PolicyUpdate.FromString(parts_of()[0].update)
    change(part)
    return signed(part)


def feed_all(reader: UpdateReader, messages: Iterable[pb.WatchResponse]) -> list[ReadUpdate]:
    return [read for message in messages if (read := reader.feed(message)) is not None]


def refusal(reader: UpdateReader, *messages: pb.WatchResponse) -> str:
    """Returns why the last of some messages is refused; no policy is in the text of the error."""
    assert feed_all(reader, messages[:-1]) == []
    with pytest.raises(UpdateRefused) as caught:
        reader.feed(messages[-1])
    error: BaseException | None = caught.value
    while error is not None:
        assert CONTENT not in f"{error}{error!r}"
        error = None if error.__suppress_context__ else error.__context__
    return str(caught.value)


_values: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
_policies: Final = st.builds(
    FollowedPolicy,
    st.booleans(),
    st.sampled_from(sorted(FOLLOWED_KINDS)),
    st.text(max_size=5),
    st.integers(0, 2**60),
    st.none() | st.dictionaries(st.text(max_size=5), _values, max_size=3),
)
_updates: Final = st.builds(
    PolicyUpdate,
    st.text(max_size=5),
    st.sampled_from(("acme", "rival")),
    st.integers(0, 2**60),
    st.integers(0, 2**60),
    st.lists(_policies, max_size=8),
)


class TestRoundTrip:
    @given(_updates, st.sampled_from((1, 20, 60, 512 * 1024)))
    def test_what_is_read_is_what_was_signed(self, update: PolicyUpdate, part_bytes: int) -> None:
        parts = parts_of(update, part_bytes=part_bytes)
        (read,) = feed_all(UpdateReader(update.tenant_id, SIGNER.public_key), parts)
        assert read.update == update
        assert read.parts == parts

    def test_an_update_of_many_policies_has_several_parts(self) -> None:
        update = update_of(*(policy(number) for number in range(100)))
        parts = parts_of(update, part_bytes=1000)
        assert 3 < len(parts) < 100
        reader = UpdateReader("acme", SIGNER.public_key)
        assert [reader.feed(part) is None for part in parts] == [True] * (len(parts) - 1) + [False]

    def test_an_update_without_policies_has_one_part(self) -> None:
        (part,) = parts_of(update_of())
        read = UpdateReader("acme").feed(part)
        assert read is not None
        assert read.update == update_of()

    def test_the_time_and_the_risk_points_are_those_of_the_server(self) -> None:
        points = {**POINTS, "limit": 7, "severity": {**POINTS["severity"], "low": 1}}
        (read,) = feed_all(UpdateReader("acme"), parts_of(made_at=MADE_AT + 1e-6, points=points))
        assert read.made_at == pytest.approx(MADE_AT + 1e-6, abs=1e-7)
        table = risk_table(json.loads(read.risk_points))
        assert (table.limit, table.severity["low"]) == (7, 1)
        assert table.bands == DEFAULT_RISK_TABLE.bands

    def test_a_reader_reads_one_update_after_the_other(self) -> None:
        later = THREE._replace(since=9, revision=12)
        messages = [*parts_of(part_bytes=1), *parts_of(later, part_bytes=1)]
        reads = feed_all(UpdateReader("acme"), messages)
        assert [each.update for each in reads] == [THREE, later]
        assert [len(each.parts) for each in reads] == [4, 4]

    def test_the_tenant_and_the_key_of_the_first_message_stay(self) -> None:
        reader = UpdateReader("")
        feed_all(reader, parts_of())
        assert reader.public_key == SIGNER.public_key
        assert "another tenant" in refusal(reader, *parts_of(update_of(tenant_id="rival")))
        assert "another key" in refusal(reader, *parts_of(signer=OTHER_SIGNER))


@st.composite
def _edits(draw: st.DrawFn) -> tuple[str, int, int, int]:
    """Returns a field of a message, a place in it, and what is done there."""
    field = draw(st.sampled_from(("update", "signature", "public_key")))
    return field, draw(st.integers(0, 10_000)), draw(st.integers(1, 255)), draw(st.integers(0, 2))


def edited(message: pb.WatchResponse, edit: tuple[str, int, int, int]) -> pb.WatchResponse:
    """Returns a message with one byte that is changed, removed or added."""
    field, place, difference, what = edit
    content = bytearray(getattr(message, field))
    place %= len(content)
    if what == 0:
        content[place] ^= difference
    elif what == 1:
        del content[place]
    else:
        content.insert(place, difference)
    changed = pb.WatchResponse()
    changed.CopyFrom(message)
    setattr(changed, field, bytes(content))
    return changed


class TestSignature:
    @given(_edits(), st.sampled_from((b"", SIGNER.public_key)))
    def test_an_update_with_a_changed_byte_is_refused(
        self, edit: tuple[str, int, int, int], pinned: bytes
    ) -> None:
        (message,) = parts_of()
        refusal(UpdateReader("acme", pinned), edited(message, edit))

    def test_an_update_with_another_key_than_the_pinned_one_is_refused(self) -> None:
        reader = UpdateReader("acme", SIGNER.public_key)
        assert "another key" in refusal(reader, *parts_of(signer=OTHER_SIGNER))

    def test_the_key_cannot_be_exchanged_on_the_way(self) -> None:
        (message,) = parts_of()
        message.public_key = OTHER_SIGNER.public_key
        assert "not valid" in refusal(UpdateReader("acme"), message)
        assert "another key" in refusal(UpdateReader("acme", SIGNER.public_key), message)

    def test_the_name_of_the_pinned_key_does_not_help_another_one(self) -> None:
        (message,) = parts_of(signer=OTHER_SIGNER)
        message.public_key = SIGNER.public_key
        assert "not valid" in refusal(UpdateReader("acme", SIGNER.public_key), message)

    def test_the_key_of_the_parts_of_an_update_is_the_same(self) -> None:
        first, *_ = parts_of(part_bytes=1)
        _, second, *_ = parts_of(part_bytes=1, signer=OTHER_SIGNER)
        assert "another key" in refusal(UpdateReader("acme"), first, second)

    @pytest.mark.parametrize("field", ["signature", "public_key"])
    def test_an_update_without_a_signature_or_a_key_is_refused(self, field: str) -> None:
        (message,) = parts_of()
        message.ClearField(field)  # type: ignore[arg-type] # each is a field
        refusal(UpdateReader("acme"), message)

    def test_an_empty_message_is_refused(self) -> None:
        refusal(UpdateReader(""), pb.WatchResponse())

    def test_a_refused_message_does_not_set_the_key(self) -> None:
        (forged,) = parts_of()
        forged.public_key = OTHER_SIGNER.public_key
        reader = UpdateReader("acme")
        refusal(reader, forged)
        assert reader.public_key == b""
        assert len(feed_all(reader, parts_of())) == 1

    def test_a_signature_for_another_purpose_does_not_count(self) -> None:
        (message,) = parts_of()
        verify(SIGNER.public_key, message.update, message.signature)
        message.signature = SIGNER._key.sign(message.update)
        with pytest.raises(SignatureRefused):
            verify(SIGNER.public_key, message.update, message.signature)
        refusal(UpdateReader("acme"), message)

    @pytest.mark.parametrize("length", [0, 31, 33])
    def test_a_private_key_has_32_bytes(self, length: int) -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            Signer(b"k" * length)

    def test_signed_bytes_that_are_no_update_are_refused(self) -> None:
        content = b"\xff\xff\xff"
        message = pb.WatchResponse(
            update=content, signature=SIGNER.sign(content), public_key=SIGNER.public_key
        )
        assert "not a message" in refusal(UpdateReader("acme"), message)


def _mixed(**fields: Any) -> list[pb.WatchResponse]:
    """Returns the first part of an update, and the second part of one that differs in fields."""
    made_at, points = fields.pop("made_at", MADE_AT), fields.pop("points", POINTS)
    first, *_ = parts_of(part_bytes=1)
    _, second, *_ = parts_of(THREE._replace(**fields), part_bytes=1, made_at=made_at, points=points)
    return [first, second]


ORDERS: Final = ((1,), (3,), (0, 0), (0, 2), (0, 3), (0, 1, 1), (0, 1, 0), (0, 1, 3))
"""Orders of four parts, each up to the first part that is wrong."""


class TestParts:
    @pytest.mark.parametrize("order", ORDERS, ids=str)
    def test_parts_in_a_wrong_order_are_refused(self, order: Sequence[int]) -> None:
        parts = parts_of(part_bytes=1)
        assert len(parts) == 4
        refusal(UpdateReader("acme"), *(parts[number] for number in order))

    def test_an_update_without_its_first_part_is_refused(self) -> None:
        _, second, *_ = parts_of(part_bytes=1)
        assert "no first part" in refusal(UpdateReader("acme"), second)

    def test_an_update_that_ends_early_is_not_read(self) -> None:
        *parts, _ = parts_of(part_bytes=1)
        reader = UpdateReader("acme")
        assert feed_all(reader, parts) == []
        assert "belong together" in refusal(reader, *parts_of())

    @pytest.mark.parametrize(
        "fields",
        [
            {"installation": "another"},
            {"since": 0},
            {"since": 4},
            {"revision": 10},
            {"made_at": MADE_AT + 1e-6},
            {"points": {**POINTS, "limit": 41}},
            {"tenant_id": "rival"},
        ],
        ids=str,
    )
    def test_parts_of_two_updates_are_not_mixed(self, fields: dict[str, Any]) -> None:
        refusal(UpdateReader("acme"), *_mixed(**fields))
        assert feed_all(UpdateReader("acme"), _mixed()) == []


class TestContents:
    def test_an_update_of_another_tenant_is_refused(self) -> None:
        parts = parts_of(update_of(tenant_id="rival"))
        assert "another tenant" in refusal(UpdateReader("acme", SIGNER.public_key), *parts)

    @pytest.mark.parametrize("number", [0, FORMAT + 1])
    def test_another_format_is_refused(self, number: int) -> None:
        message = changed_part(lambda part: setattr(part, "format", number))
        assert f"format {number}" in refusal(UpdateReader("acme"), message)

    @pytest.mark.parametrize("kind", ["", "a_new_kind", api_key.KIND, "signing_key"])
    def test_a_kind_that_is_not_followed_is_refused(self, kind: str) -> None:
        parts = parts_of(update_of(policy(0), policy(1, kind=kind)))
        assert "update this program" in refusal(UpdateReader("acme"), *parts)

    def test_a_removed_policy_of_an_unknown_kind_is_refused(self) -> None:
        parts = parts_of(update_of(policy(0, kind="a_new_kind", body=None)))
        assert "a_new_kind" in refusal(UpdateReader("acme"), *parts)

    @pytest.mark.parametrize(
        "body", [f'{{"{CONTENT}"', CONTENT, "[" * 100_000], ids=["object", "word", "deep"]
    )
    def test_a_body_that_is_no_json_is_refused(self, body: str) -> None:
        def change(part: pb.PolicyUpdate) -> None:
            part.states[1].body_json = body

        refusal(UpdateReader("acme"), changed_part(change))


class TestSize:
    def test_an_update_of_too_many_bytes_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The bytes of all its parts count, and no part more is kept."""
        parts = parts_of(part_bytes=1)
        size = sum(len(part.update) for part in parts)
        monkeypatch.setattr(updates, "MAX_UPDATE_BYTES", size - 1)
        assert f"{size - 1} bytes" in refusal(UpdateReader("acme"), *parts)

    def test_each_update_is_counted_on_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parts = parts_of(part_bytes=1)
        monkeypatch.setattr(updates, "MAX_UPDATE_BYTES", sum(len(part.update) for part in parts))
        assert len(feed_all(UpdateReader("acme"), [*parts, *parts, *parts])) == 3
