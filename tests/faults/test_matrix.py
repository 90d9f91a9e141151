"""Each step of the aggregator with each fault: nothing acknowledged is lost or doubled, and no file is left over."""

import contextlib
import time
from collections import Counter

import pytest

from tests.faults.matrix import Cell, bring_about, cells_of
from tests.faults.matrix_site import apart_site, embedded_site
from tests.faults.steps import AFTER, BEFORE, EXCEPTION, FAULTS, FULL, KILL, OF_A_FOLDER, OF_S3, STOP

OF_THE_PROTOCOL = {"read", "count", "write", "fsync", "rename", "PUT", "register", "tail delete", "swap"}


@pytest.fixture(scope="module")
def places(request):
    """A site of each kind, started with its servers when the first cell needs it."""
    with contextlib.ExitStack() as stack:
        yield Places(stack, request.getfixturevalue)


class Places:
    def __init__(self, stack, fixture):
        self._stack, self._fixture = stack, fixture
        self._sites = {}

    def site(self, kind):
        if kind not in self._sites:
            self._sites[kind] = self._stack.enter_context(self._make(kind))
        return self._sites[kind]

    def drop(self, kind):
        """Leave one that a failure may have spoilt."""
        self._sites.pop(kind)

    def _make(self, kind):
        folder = self._fixture("tmp_path_factory").mktemp(f"faults-{kind}")
        if kind == "embedded":
            return embedded_site(folder)
        bucket = None
        if kind == "s3":
            bucket = self._stack.enter_context(contextlib.closing(self._fixture("s3_server").new_bucket()))
        return apart_site(folder, self._fixture("kafka_broker"), self._fixture("postgres"), bucket)


def run(places, kind, cell, counts=None):
    """Bring about one fault; add to `counts` what became of the heartbeats."""
    site = places.site(kind)
    before = len(site.acknowledged)
    try:
        return bring_about(site, cell)
    except BaseException:
        places.drop(kind)
        raise
    finally:
        if counts is not None:
            counts["acknowledged"] += len(site.acknowledged) - before
            counts["lost"] += site.lost
            counts["double"] += site.double


def table(outcomes):
    """Steps and moments down, faults across."""
    rows = {(cell.step, cell.moment): {} for cell in outcomes}
    for cell, outcome in outcomes.items():
        rows[cell.step, cell.moment][cell.fault] = outcome.partition(":")[0]
    lines = [f"{step} ({moment})" for step, moment in rows]
    head = f"{'':24}" + "".join(f"{fault:14}" for fault in FAULTS)
    body = [
        f"{line:24}" + "".join(f"{row.get(fault, '-'):14}" for fault in FAULTS)
        for line, row in zip(lines, rows.values(), strict=True)
    ]
    return "\n".join([head, *body])


IN_CI = [
    ("kafka", Cell("read", AFTER, EXCEPTION)),
    ("kafka", Cell("count", AFTER, KILL, 2)),
    ("kafka", Cell("write", BEFORE, STOP)),
    ("kafka", Cell("fsync", BEFORE, FULL)),
    ("kafka", Cell("rename", AFTER, KILL)),
    ("kafka", Cell("register", AFTER, EXCEPTION)),
    ("s3", Cell("PUT", BEFORE, STOP)),
    ("s3", Cell("part", AFTER, FULL)),
    ("embedded", Cell("tail delete", BEFORE, FULL)),
    ("embedded", Cell("swap", AFTER, KILL)),
]


@pytest.mark.parametrize(("kind", "cell"), IN_CI, ids=[f"{kind}-{cell}" for kind, cell in IN_CI])
def test_a_fault_at_a_step_loses_nothing_doubles_nothing_and_leaves_no_file(places, kind, cell):
    run(places, kind, cell)


def test_the_selection_meets_every_step_of_the_protocol_and_every_fault():
    assert {cell.fault for _, cell in IN_CI} == set(FAULTS)
    assert {cell.step for _, cell in IN_CI} >= OF_THE_PROTOCOL


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "all_steps"), [("kafka", OF_A_FOLDER), ("s3", OF_S3), ("embedded", OF_A_FOLDER)])
def test_every_fault_at_every_step(places, kind, all_steps):
    outcomes, counts = {}, Counter()
    for cell in cells_of(all_steps):
        began = time.monotonic()
        try:
            outcome = run(places, kind, cell, counts)
        except AssertionError as error:  # the other cells are worth knowing too
            outcome = f"FAILED: {error}"
        outcomes[cell] = outcome
        print(f"{kind:9}{cell!s:32}{time.monotonic() - began:5.0f} s  {outcome}", flush=True)
    print(table(outcomes))
    print(f"{kind}: {len(outcomes)} faults met, {dict(counts)}")
    assert [f"{cell}: {outcome}" for cell, outcome in outcomes.items() if outcome.startswith("FAILED")] == []
