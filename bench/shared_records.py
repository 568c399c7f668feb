"""`python -m bench.shared_records`: how fast replicas append to one log in PostgreSQL.

It starts a PostgreSQL of its own, which writes to disk as in production, and processes that append
batches as a recorder does under load. The processor time is that of a process, and of the database.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from demo.postgres import PostgresServer
from pdp.store import open_audit_log

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

_BODY: Final = (
    '{"version":1,"decision_id":"%s","request_id":"r%s","time":1772064000.5,"tenant_id":"acme",'
    '"outcome":"BLOCK","risk":{"score":70,"level":"high","factors":[]},"subject":{"user_id":"u%s",'
    '"groups":[],"agent_id":"a","risk_score":null},"matches":[{"layer":"static","policy_id":"p%s",'
    '"name":"No rivals","action":"block","severity":"high","reason":"matches"}],"redacted_text":"'
    + "x" * 800
    + '"}'
)
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """What each process does.

    Attributes:
        url: the database.
        batch: the records of a batch.
        seconds: for how long.
    """

    url: str
    batch: int
    seconds: float


class Appended(NamedTuple):
    """What a process has done.

    Attributes:
        records: how many it has appended.
        cpu_s: its processor time meanwhile.
    """

    records: int
    cpu_s: float


def main() -> None:
    """Runs the measurements, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--replicas", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 32, 256])
    arguments = parser.parse_args()
    title = f"{'replicas':>8} {'records a batch':>16} {'records/s':>10}"
    print(f"{title} {'process, us/record':>19} {'database, us/record':>20}")
    with PostgresServer() as database:
        for replicas in arguments.replicas:
            for batch in arguments.batches:
                _measure(database, replicas, batch, arguments.seconds)


def _measure(database: PostgresServer, replicas: int, batch: int, seconds: float) -> None:
    load = Load(database.create_database(), batch, seconds)
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(replicas + 1)
    results = context.SimpleQueue()
    processes = [
        context.Process(target=_append, args=(load, number, together, results))
        for number in range(replicas)
    ]
    for each in processes:
        each.start()
    together.wait()
    before = _cpu_s(database)
    appended = [results.get() for _ in processes]
    database_s = _cpu_s(database) - before
    together.wait()
    for each in processes:
        each.join()
    total = sum(each.records for each in appended)
    own = sum(each.cpu_s for each in appended) / total * 1e6
    rate, shared = total / seconds, database_s / total * 1e6
    print(f"{replicas:>8} {batch:>16} {rate:>10,.0f} {own:>19.0f} {shared:>20.0f}")


def _append(
    load: Load,
    number: int,
    together: Barrier,
    results: multiprocessing.SimpleQueue[Appended],
) -> None:
    """Appends for some seconds, and reports what it has done."""
    with closing(open_audit_log(load.url, replica=f"replica{number}")) as log:
        ids = [f"{number}-{each}" for each in range(load.batch)]
        bodies = [_BODY % (each, each, each, each) for each in ids]
        log.append(bodies)
        together.wait()
        records, begin, cpu = 0, time.monotonic(), time.process_time()
        while time.monotonic() - begin < load.seconds:
            log.append(bodies)
            records += load.batch
        results.put(Appended(records, time.process_time() - cpu))
        together.wait()  # the database must still count the time of this connection


def _cpu_s(database: PostgresServer) -> float:
    """Returns the processor time of all processes of the database that run."""
    ticks = 0
    for process in database.processes():
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


if __name__ == "__main__":
    main()
