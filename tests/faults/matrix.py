"""One cell of the fault matrix: a fault at a step, what must follow, and what was counted."""

import re
import signal
import time
from typing import NamedTuple

from tests.faults.steps import FAULTS, FULL, KILL, STOP
from tests.server import eventually

MET_WITHIN_S = 120
SESSION_S = 3  # of an aggregator that is to lose its shards
PAUSE_S = 2  # of the only aggregator: it loses nothing
ROUND_S = 0.2
ROUNDS_AFTER = 5
_FENCED = re.compile("has another owner now|was given to another aggregator")


class Cell(NamedTuple):
    step: str
    moment: str
    fault: str
    nth: int = 1

    def __str__(self):
        return f"{self.step} {self.moment} {self.fault}".replace(" ", "-")

    @property
    def order(self):
        return f"{self.step}:{self.moment}:{self.fault}:{self.nth}"


def cells_of(steps):
    """Every moment of every step with every fault; a full disk refuses a step once, at its first moment."""
    return [
        Cell(step.name, moment, fault)
        for step in steps
        for moment in step.moments
        for fault in FAULTS
        if fault != FULL or moment == step.moments[0]
    ]


def bring_about(site, cell):
    """Let the fault happen while heartbeats flow; return how it ended once all is right again."""
    site.new_days()
    session_s = SESSION_S if cell.fault in (KILL, STOP) else 10
    faulty = site.aggregate(cell.order, session_s)
    _send_until_it_is_met(site, faulty)
    epochs = site.epochs()
    for _ in range(ROUNDS_AFTER):
        site.send()
    if cell.fault == KILL:
        return _replaced(site, faulty)
    if cell.fault == STOP:
        return _paused(site, faulty) if site.embedded else _fenced(site, faulty)
    site.settles()
    assert site.epochs() == epochs, "the owner that failed is to go on by itself"
    _stop(faulty)
    site.settles()
    return "goes on"


def _send_until_it_is_met(site, faulty):
    deadline = time.monotonic() + MET_WITHIN_S
    while not faulty.met.exists():
        assert time.monotonic() < deadline, f"the fault was never met:\n{faulty.log.read_text()[-4000:]}"
        site.send()
        eventually(faulty.met.exists, True, ROUND_S)


def _replaced(site, killed):
    assert killed.process.wait(30) == -signal.SIGKILL
    successor = site.aggregate() if site.embedded else None
    site.settles()
    if successor:
        _stop(successor)
        site.settles()
    return "taken over"


def _paused(site, frozen):
    time.sleep(PAUSE_S)  # nobody else may take the shard: the pause is all there is
    frozen.process.send_signal(signal.SIGCONT)
    site.settles()
    _stop(frozen)
    site.settles()
    return "goes on"


def _fenced(site, zombie):
    site.takes_over()
    zombie.process.send_signal(signal.SIGCONT)
    fenced = eventually(lambda: bool(_FENCED.search(zombie.log.read_text())), True, 60)
    assert fenced, f"the zombie was not fenced:\n{zombie.log.read_text()[-4000:]}"
    for _ in range(ROUNDS_AFTER):
        site.send()
    _stop(zombie)
    site.settles()
    return "fenced"


def _stop(service):
    """As an operator does: whatever it did before, it must still be able to end."""
    assert service.process.poll() is None, service.log.read_text()[-4000:]
    assert service.end() == 0, service.log.read_text()[-4000:]
