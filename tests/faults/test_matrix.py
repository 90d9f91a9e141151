"""Each step of the aggregator with each fault: nothing acknowledged is lost or doubled, and no file is left over."""

import contextlib
from collections import Counter, defaultdict

import pytest

from tests.faults.matrix import Cell, bring_about, cells_of
from tests.faults.matrix_site import apart_site, embedded_site
from tests.faults.steps import AFTER, BEFORE, EXCEPTION, FAULTS, FULL, KILL, OF_A_FOLDER, OF_S3, STOP

OF_THE_PROTOCOL = {"read", "count", "write", "fsync", "rename", "PUT", "register", "tail delete", "swap"}


@pytest.fixture(scope="module")
def places(request):
    """A site of each kind, started with its servers when the first cell needs it; what became of all cells at last."""
    with contextlib.ExitStack() as stack:
        made = Places(stack, request.getfixturevalue)
        yield made
    print(made.report())


class Places:
    def __init__(self, stack, fixture):
        self._stack, self._fixture = stack, fixture
        self._sites = {}
        self._outcomes = defaultdict(dict)  # kind -> cell -> how it ended
        self._counts = defaultdict(Counter)

    def bring_about(self, kind, cell):
        """Let the fault happen. After a failure the next cell gets a site that nothing has spoilt."""
        if kind not in self._sites:
            own = self._stack.enter_context(contextlib.ExitStack())
            self._sites[kind] = own.enter_context(self._make(kind, own)), own
        site, own = self._sites[kind]
        before = len(site.acknowledged)
        self._outcomes[kind][cell] = "FAILED"
        try:
            self._outcomes[kind][cell] = bring_about(site, cell)
        except BaseException:
            del self._sites[kind]
            own.close()
            raise
        finally:
            beats = {"acknowledged": len(site.acknowledged) - before, "lost": site.lost, "double": site.double}
            self._counts[kind] += beats
            print(f"{kind:9}{cell!s:32}{self._outcomes[kind][cell]:12}{beats}", flush=True)

    def report(self):
        tables = []
        for kind, outcomes in self._outcomes.items():
            counts = self._counts[kind]
            beats = ", ".join(f"{counts[name]} {name}" for name in ("acknowledged", "lost", "double"))
            tables.append(f"\n{kind}: {len(outcomes)} faults, {beats}\n{_table(outcomes)}")
        return "\n".join(tables)

    def _make(self, kind, own):
        folder = self._fixture("tmp_path_factory").mktemp(f"faults-{kind}")
        if kind == "embedded":
            return embedded_site(folder)
        bucket = None
        if kind == "s3":
            bucket = own.enter_context(contextlib.closing(self._fixture("s3_server").new_bucket()))
        return apart_site(folder, self._fixture("kafka_broker"), self._fixture("postgres"), bucket)


def _table(outcomes):
    """Steps and moments down, faults across."""
    rows = defaultdict(dict)
    for cell, outcome in outcomes.items():
        rows[f"{cell.step} ({cell.moment})"][cell.fault] = outcome
    lines = {"": dict(zip(FAULTS, FAULTS, strict=True)), **rows}
    return "\n".join(f"{line:24}" + "".join(f"{row.get(f, '-'):13}" for f in FAULTS) for line, row in lines.items())


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
    places.bring_about(kind, cell)


def test_the_selection_meets_every_step_of_the_protocol_and_every_fault():
    assert {cell.fault for _, cell in IN_CI} == set(FAULTS)
    assert {cell.step for _, cell in IN_CI} >= OF_THE_PROTOCOL


ALL = [
    (kind, cell)
    for kind, steps in (("kafka", OF_A_FOLDER), ("s3", OF_S3), ("embedded", OF_A_FOLDER))
    for cell in cells_of(steps)
]


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "cell"), ALL, ids=[f"{kind}-{cell}" for kind, cell in ALL])
def test_any_fault_at_any_step_loses_nothing_doubles_nothing_and_leaves_no_file(places, kind, cell):
    places.bring_about(kind, cell)
