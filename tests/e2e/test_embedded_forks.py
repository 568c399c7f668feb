"""An embedded engine that was opened before a fork decides and records in parent and child."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.bootstrap.recording import RecordingOptions
from pdp.store import open_audit_log
from tests.support.servers import TIMEOUT_S, environment

if TYPE_CHECKING:
    from pathlib import Path

PRELUDE: Final = """
import json, os, sys, threading, multiprocessing
from pdp import Engine
from pdp.errors import PdpError

def decide(engine, name):
    try:
        blocked = engine.decide(text="1 UNION SELECT password FROM users", tenant_id="acme")
        allowed = engine.decide(text="hello", tenant_id=name)
        incomplete = blocked.incomplete or allowed.incomplete
        said = [blocked.outcome.name, allowed.outcome.name, incomplete]
    except PdpError as error:
        said = str(error)
    os.write(1, (json.dumps([name, said]) + chr(10)).encode())

def fork(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid

def wait(*pids):
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids)

url = sys.argv[1]
"""
GOOD: Final = ["BLOCK", "ALLOW", False]


def run(program: str, tmp_path: Path) -> list[Any]:
    """Runs a program in a new interpreter, and returns what each process says, sorted."""
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, f"sqlite:///{tmp_path}/pdp.db"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return sorted(json.loads(line) for line in result.stdout.splitlines())


def recorded(tmp_path: Path) -> int:
    """Returns how many decisions the intact log holds."""
    with closing(
        open_audit_log(RecordingOptions.beside(f"sqlite:///{tmp_path}/pdp.db").url)
    ) as log:
        assert log.verify().intact
        return log.last()


FORKS: Final = {
    "os.fork, as gunicorn --preload": (
        "engine = Engine.open(url)\n"
        "wait(*[fork(lambda: decide(engine, name)) for name in ('a', 'b')])\n"
        "decide(engine, 'parent')\n"
        "engine.close()\n"
    ),
    "a fork after decisions": (
        "engine = Engine.open(url)\n"
        "decide(engine, 'parent')\n"
        "wait(fork(lambda: decide(engine, 'a')), fork(lambda: decide(engine, 'b')))\n"
    ),
    "multiprocessing": (
        "engine = Engine.open(url)\n"
        "decide(engine, 'parent')\n"
        "context = multiprocessing.get_context('fork')\n"
        "children = [context.Process(target=decide, args=(engine, n)) for n in ('a', 'b')]\n"
        "[child.start() for child in children]\n"
        "[child.join() for child in children]\n"
    ),
    "a child of a child": (
        "engine = Engine.open(url)\n"
        "def child():\n"
        "    decide(engine, 'a')\n"
        "    wait(fork(lambda: decide(engine, 'b')))\n"
        "wait(fork(child))\n"
        "decide(engine, 'parent')\n"
    ),
    "the parent closes first": (
        "engine = Engine.open(url)\n"
        "decide(engine, 'parent')\n"
        "read, write = os.pipe()\n"
        "def child():\n"
        "    decide(engine, 'a')\n"
        "    os.read(read, 1)\n"
        "    decide(engine, 'b')\n"
        "pid = fork(child)\n"
        "engine.close()\n"
        "os.write(write, b'x')\n"
        "wait(pid)\n"
    ),
}


@pytest.mark.parametrize("program", FORKS)
def test_an_engine_decides_and_records_after_a_fork(tmp_path: Path, program: str) -> None:
    """No record is lost, and none of the processes waits for a thread of another."""
    assert run(FORKS[program], tmp_path) == [["a", GOOD], ["b", GOOD], ["parent", GOOD]]
    assert recorded(tmp_path) >= 3


def test_threads_decide_while_the_process_forks(tmp_path: Path) -> None:
    """Decisions in other threads of the parent wait for the fork; none of them fails."""
    program = """
engine = Engine.open(url)
stop = threading.Event()
faults = []
def work():
    while not stop.is_set():
        decision = engine.decide(text="hello", tenant_id="acme")
        faults.extend([decision.reason_code] if decision.incomplete else [])
threads = [threading.Thread(target=work) for _ in range(3)]
[thread.start() for thread in threads]
for number in range(5):
    wait(fork(lambda: decide(engine, f"child-{number}")))
stop.set()
[thread.join() for thread in threads]
assert not faults, faults
decide(engine, "parent")
"""
    children = [[f"child-{number}", GOOD] for number in range(5)]
    assert run(program, tmp_path) == [*children, ["parent", GOOD]]


def test_an_engine_that_cannot_be_opened_again_says_so_in_the_child(tmp_path: Path) -> None:
    """It fails at once, and names the remedy; the parent is not affected."""
    program = """
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
store = open_policies(url)
engine = Engine(store, create_publisher(store, load_risk_table(None)))
def child():
    decide(engine, "child")
    engine.close()
wait(fork(child))
decide(engine, "parent")
engine.close()
"""
    (_, refused), parent = run(program, tmp_path)
    assert "Open an engine in each process after the fork" in refused
    assert parent == ["parent", GOOD]


def test_a_closed_engine_stays_closed_after_a_fork(tmp_path: Path) -> None:
    """It decides for the tenants in memory, and records nothing."""
    program = """
engine = Engine.open(url)
decide(engine, "a")
engine.close()
wait(fork(lambda: decide(engine, "a")))
"""
    assert run(program, tmp_path) == [["a", GOOD], ["a", GOOD]]
