"""Writes transactions to a store until it is killed: `kill_writer.py URL`.

The summary of each change is `<transaction> <change> of <changes>`, so that a reader of the log can
recognise an incomplete transaction. The writer prints one line before it opens the store, and one
line after each commit: the transaction's number, the revision of its last change, and a digest of
all its changes.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from itertools import count
from typing import TYPE_CHECKING, Final

from pdp.domain.stored_entity import StoredEntity
from pdp.store import open_store

if TYPE_CHECKING:
    from pdp.store.port import Transaction

LONGEST_S: Final = 60
"""The longest run of a writer, longer than any test. Then it ends by itself."""

COUNTER: Final = "counter"


def last_transaction(transaction: Transaction) -> int:
    """Returns the number of the last transaction, which each transaction stores."""
    counter = transaction.get(COUNTER, "t0", COUNTER)
    return 0 if counter is None else int(counter.body["transaction"])


def write(transaction: Transaction) -> int:
    """Creates up to seven entities, updates one, and deletes those of two transactions ago."""
    number = last_transaction(transaction) + 1
    tenant, old_tenant = f"t{number % 3}", f"t{(number - 2) % 3}"
    old = [
        record
        for record in transaction.list("thing", old_tenant)
        if record.body["transaction"] == number - 2
    ]
    new = [
        StoredEntity(
            "thing",
            tenant,
            f"{number}-{n}",
            {"transaction": number, "text": f"{n} " * (number**3 % 2003)},
        )
        for n in range(number % 7 + 1)
    ]
    new.append(StoredEntity(COUNTER, "t0", COUNTER, {"transaction": number}))
    changes = len(new) + len(old)
    change = count(1)
    for record in new:
        transaction.put(record, actor="writer", summary=f"{number} {next(change)} of {changes}")
    for record in old:
        summary = f"{number} {next(change)} of {changes}"
        transaction.delete("thing", old_tenant, record.id, actor="writer", summary=summary)
    return number


def digest(transaction: Transaction) -> str:
    """Returns a digest of all changes in the transaction."""
    changes = [
        [change.revision, change.tenant_id, change.op, change.entity_id, change.after]
        for change in transaction.new_changes
    ]
    return hashlib.sha256(json.dumps(changes).encode()).hexdigest()


def main(url: str) -> None:
    """Writes transactions until the process is killed."""
    signal.alarm(LONGEST_S)
    print("opening", flush=True)
    store = open_store(url)
    while True:
        with store.write() as transaction:
            number = write(transaction)
        line = (number, transaction.new_changes[-1].revision, digest(transaction))
        print(*line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
