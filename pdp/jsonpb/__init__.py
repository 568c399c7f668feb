"""JSON for the contracts' messages, by their descriptors (decide.md, JSON rules).

It differs from protobuf's own JSON: names are snake_case, 64-bit integers are numbers, enums lose
their prefix, fields without presence are always written, and a body's faults are all reported,
each with its path. What is to be done for a message type is worked out once, at its first use.
"""

from __future__ import annotations

from pdp.jsonpb.decoding import check_decodable, collect, decode
from pdp.jsonpb.encoding import check_encodable, encode
from pdp.jsonpb.parsing import decode_json
from pdp.jsonpb.refusal import Problems, ValueRefused
from pdp.jsonpb.text import check_textual, decode_text

__all__ = [
    "Problems",
    "ValueRefused",
    "check_decodable",
    "check_encodable",
    "check_textual",
    "collect",
    "decode",
    "decode_json",
    "decode_text",
    "encode",
]
