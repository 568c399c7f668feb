"""JSON for the messages of the contracts, by their descriptors (docs/decide.md, JSON rules).

It differs from protobuf's own JSON mapping:

- names are in snake_case,
- 64-bit integers are numbers,
- enum values have no prefix,
- fields without presence are always written, and
- an error names all invalid fields of a body, each with its path.

The steps for a message type are planned once, at its first use.
"""

from __future__ import annotations

from pdp.jsonpb.decoding import check_decodable, decode, decode_into
from pdp.jsonpb.encoding import check_encodable, encode
from pdp.jsonpb.text import check_textual, decode_text
from pdp.strictjson.parsing import decode_json
from pdp.strictjson.problems import InvalidValue, Problems

__all__ = [
    "InvalidValue",
    "Problems",
    "check_decodable",
    "check_encodable",
    "check_textual",
    "decode",
    "decode_into",
    "decode_json",
    "decode_text",
    "encode",
]
