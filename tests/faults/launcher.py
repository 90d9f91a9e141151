"""`heartline` with one fault at one step, each time in a process of its own.

FAULT says which: step:moment:fault:nth. FAULT_MET names a file that is made the moment it is met. What the packages
do is changed at that step alone; some waiting times are shorter. Without FAULT, only these.

A process that has imported what is slow to import forks the others: `tests.faults.nursery` has the other end.
"""

import functools
import importlib
import inspect
import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path

from tests.faults import steps

SESSION_S = "FAULT_SESSION_S"


class Fault:
    """The one that is ordered."""

    def __init__(self, order, met):
        name, self.moment, self.kind, nth = order.split(":")
        self.step = steps.STEPS[name]
        self._nth = int(nth)
        self._met = Path(met)
        self._count = itertools.count(1)

    def plant(self):
        for boundary in self.step.boundaries:
            module, _, path = boundary.target.partition(":")
            owner = importlib.import_module(module)
            *holders, name = path.split(".")
            for holder in holders:
                owner = getattr(owner, holder)
            setattr(owner, name, self._wrapped(getattr(owner, name), boundary))

    def _wrapped(self, function, boundary):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **options):
                self._reach(steps.BEFORE, boundary, args)
                result = await function(*args, **options)
                self._reach(steps.AFTER, boundary, args, result)
                return result

        else:

            @functools.wraps(function)
            def wrapper(*args, **options):
                self._reach(steps.BEFORE, boundary, args)
                result = function(*args, **options)
                self._reach(steps.AFTER, boundary, args, result)
                return result

        return wrapper

    def _reach(self, moment, boundary, args, result=None):
        if moment != self.moment or result in ([], {}):  # a read of nothing is no step
            return
        if boundary.statement and not any(str(a).startswith(boundary.statement) for a in args):
            return
        if set(boundary.within) <= _callers() and next(self._count) == self._nth:
            self._happen(boundary, args)

    def _happen(self, boundary, args):
        self._met.write_text(f"{os.getpid()}")
        if self.kind in (steps.KILL, steps.STOP):
            # To this very thread, which so does not go a single step further.
            signal.pthread_kill(threading.get_ident(), getattr(signal, self.kind))
        else:
            raise (boundary.full if self.kind == steps.FULL else boundary.error)(*args)


def _callers():
    names, frame = set(), sys._getframe(2)
    while frame is not None:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names


def hurry():
    """Shorten what a test would otherwise wait for: sessions, transactions that stand still, duties put off."""
    from aggregator import duty, upkeep
    from storage.log import kafka_group
    from storage.stats import engines, frozen

    session_s = float(os.environ[SESSION_S])
    kafka_group.KafkaGroup = functools.partial(kafka_group.KafkaGroup, session_timeout_s=session_s)
    engines._POSTGRES_SETTINGS["idle_in_transaction_session_timeout"] = "2s"
    frozen._FROZEN_AFTER_S = 2
    duty._FIRST_DELAY_S = upkeep._INTERVAL_S = 0.5


def serve(orders):
    """Fork a process for each order, a line of JSON; answer with its number."""
    # Not what brings threads along (polars, pyarrow): a process with threads must not be forked.
    for name in ("aiokafka", "duckdb", "fastapi", "heartline.cli", "psycopg", "sqlalchemy.dialects.postgresql.psycopg"):
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends here is not waited for
    for line in orders:
        reading, writing = os.pipe()
        if os.fork() == 0:
            keep(json.loads(line), writing)
        os.close(writing)
        print(os.read(reading, 32).decode(), flush=True)
        os.close(reading)


def keep(order, writing):
    """Fork the process itself, tell its number, and note how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        become(order)
    os.write(writing, str(pid).encode())
    os.close(writing)
    _, status = os.waitpid(pid, 0)
    Path(order["ended"]).write_text(f"{os.waitstatus_to_exitcode(status)}\n")
    os._exit(0)


def become(order):
    """Be `heartline` with these arguments; does not return."""
    os.environ.clear()
    os.environ.update(order["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (1, 2):
        os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.argv = ["heartline", *order["arguments"]]
    hurry()
    if "FAULT" in os.environ:
        Fault(os.environ["FAULT"], os.environ["FAULT_MET"]).plant()
    from heartline.cli import main

    main()
    sys.exit(0)


if __name__ == "__main__":
    serve(sys.stdin)
