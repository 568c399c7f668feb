"""The Arrow schemas of record files. Types are fixed: none is inferred from the data.

How they evolve: a new release may append columns. It never changes the name, the type or the
meaning of a column, and never removes one. Readers select columns by name, take a missing one as
null, and ignore those that they do not know. `SCHEMA` rises with each new set of columns.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

SCHEMA: Final = 1
"""The version of the columns, which files have in their metadata as `pdp.schema`."""

SCHEMA_KEY: Final = b"pdp.schema"

STEP_KEY: Final = b"pdp.step"
COUNTED_FROM_KEY: Final = b"pdp.counted_from"
"""The keys in the metadata of the counts: the last step of the export, and since when decisions are
counted."""

HASH: Final = pa.binary(32)
_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXT: Final = pa.string()
_TEXTS: Final = pa.list_(_TEXT)

MATCH: Final = pa.struct(
    [
        (name, _TEXT)
        for name in (
            "layer", "policy_id", "name", "action", "severity", "scope", "would_be", "excepted_by",
            "approved_by",
        )
    ]
)  # fmt: skip
ENTITY: Final = pa.struct(
    [
        ("entity_type", _TEXT),
        ("category", _TEXT),
        ("detector_id", _TEXT),
        ("confidence", pa.float64()),
    ]
)

RECORDS: Final = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("record_hash", HASH, nullable=False),
        ("tenant_id", _TEXT),
        ("decision_id", _TEXT),
        ("request_id", _TEXT),
        ("session_id", _TEXT),
        ("time", _TIME),
        ("outcome", _TEXT),
        ("allowed", pa.bool_()),
        ("reason_code", _TEXT),
        ("message", _TEXT),
        ("risk_score", pa.int64()),
        ("risk_level", _TEXT),
        ("user_id", _TEXT),
        ("groups", _TEXTS),
        ("agent_id", _TEXT),
        ("customer_id", _TEXT),
        ("direction", _TEXT),
        ("channel", _TEXT),
        ("provider", _TEXT),
        ("model", _TEXT),
        ("action", _TEXT),
        ("tool", _TEXT),
        ("target_type", _TEXT),
        ("target_id", _TEXT),
        ("revision", pa.int64()),
        ("policy_hash", _TEXT),
        ("text_sha256", _TEXT),
        ("text_length", pa.int64()),
        ("tokens", pa.int64()),
        ("cost_usd", pa.float64()),
        ("duration_us", pa.float64()),
        ("pii_detected", pa.bool_()),
        ("incomplete", pa.bool_()),
        ("logging_level", _TEXT),
        ("sample_rate", pa.float64()),
        ("payload_format", _TEXT),
        ("input_hash", _TEXT),
        ("reported_by", _TEXT),
        ("frameworks", _TEXTS),
        ("matches", pa.list_(MATCH)),
        ("entities", pa.list_(ENTITY)),
        pa.field("body", _TEXT, nullable=False),
    ],
    metadata={SCHEMA_KEY: str(SCHEMA)},
)
"""A decision record. `body` is the whole record, byte for byte as the log has it."""

NODE: Final = pa.struct(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("level", pa.int64(), nullable=False),
        pa.field("removed", pa.bool_(), nullable=False),
        pa.field("hash", HASH, nullable=False),
    ]
)

CHAIN: Final = pa.schema(
    [
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("first_record", pa.int64(), nullable=False),
        pa.field("records", pa.int64(), nullable=False),
        pa.field("at", pa.int64(), nullable=False),
        pa.field("note", _TEXT, nullable=False),
        pa.field("previous", HASH, nullable=False),
        pa.field("hash", HASH, nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("converted", pa.int64(), nullable=False),
        pa.field("nodes", pa.list_(NODE), nullable=False),
    ],
    metadata={SCHEMA_KEY: str(SCHEMA)},
)
"""A batch of the hash chain, with the hash of each of its records, of all tenants."""

COUNTS: Final = pa.schema(
    [
        pa.field("tenant_id", _TEXT, nullable=False),
        pa.field("at", pa.int64(), nullable=False),
        pa.field("width", pa.int64(), nullable=False),
        pa.field("level", _TEXT, nullable=False),
        pa.field("outcome", _TEXT, nullable=False),
        pa.field("recorded", pa.bool_(), nullable=False),
        pa.field("decisions", pa.int64(), nullable=False),
    ]
)
"""How many decisions were made in a minute or an hour, recorded or not."""
