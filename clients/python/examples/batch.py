"""Prints what may go out of several texts: `python clients/python/examples/batch.py TEXT…`.

`PDP_SERVER` is the address of the PDP; by default 127.0.0.1:50051.
"""

from __future__ import annotations

import sys

import pdp_client as pdp


def main(texts: list[str]) -> None:
    """Asks for all decisions in one call."""
    with pdp.Client() as client:
        for decision in client.decide_batch([{"content": text} for text in texts]):
            try:
                result = decision.enforce().text
            except pdp.NotPermitted as refusal:
                result = refusal.reason
            print(f"{decision.outcome:6} {result}")


if __name__ == "__main__":
    main(sys.argv[1:])
