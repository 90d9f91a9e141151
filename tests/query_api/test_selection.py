"""Whatever is selected in whatever range equals a naive measure, from segments or from a scan."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query_api.measuring import measure_boundary_aware, measure_close, measure_selection
from query_api.scans import ScanLimits, Scans
from query_api.selection import AWAY_FROM_CODE, Selection
from schemas.dimensions import Dimension
from storage.stats.reader import Span
from tests import oracle
from tests.query_api.world import DAY, SECOND, World, beat

START = 1_735_689_600 * SECOND  # 2025-01-01
PROJECTS = ["a", "b", "c", "", None]
CATEGORIES = ["coding", "debugging", "browsing", "Browsing", "meeting", "AI Coding"]
INSTANTS = st.builds(
    lambda day, offset_us: START + day * DAY + offset_us,
    st.sampled_from([-400, -1, 0, 1, 30, 31, 32, 59]),
    st.sampled_from([-1, 0, 1, -60 * SECOND, 60 * SECOND]) | st.integers(-300 * SECOND, 300 * SECOND),
)
SELECTIONS = st.builds(
    Selection,
    projects=st.none() | st.frozensets(st.sampled_from(["a", "b", "c", "", "x"])),
    categories=st.none() | st.frozensets(st.sampled_from([*CATEGORIES, "x"])),
    without=st.sampled_from([frozenset(), AWAY_FROM_CODE, frozenset({"ai coding"}), AWAY_FROM_CODE | {"ai coding"}]),
)


def _phase(number):
    """Fields of the heartbeats of a day: some days have one project or category, others all at once."""
    projects = [["a"], ["a", "b"], PROJECTS, ["c"], ["b", None]][number % 5]
    categories = [["coding"], ["coding", "browsing"], CATEGORIES, ["debugging"]][number % 4]
    return projects, categories


@pytest.fixture(scope="module")
def lived(tmp_path_factory, databases):
    """A user whose days differ in what interleaves, partly flushed, partly late."""
    folder = tmp_path_factory.mktemp("selections")
    world = World(folder, databases.new(folder))
    user, _ = world.add_user("ada")
    sent = []
    for number, day in enumerate([-400, 0, 31, 59, 1, -1, 30, 32, 200]):
        projects, categories = _phase(number)
        batch = [
            beat(
                START + day * DAY + offset_s * SECOND + number,
                project=projects[index % len(projects)],
                category=categories[index // 2 % len(categories)],
                language=("Go", "C", None, "")[index // 3 % 4],
            )
            for index, offset_s in enumerate([-290, -170, -60, -59, 0, 1, 30, 60, 61, 180, 181, 182, 300, 310])
        ]
        sent += batch
        world.send(user, batch)
        if number == 5:
            world.aggregator.flush_now()
    yield world, user, sent
    world.close()


def _known(sent, selection):
    fields = ("id", "time_us", "project", "category", "language")
    return oracle.selected([{name: getattr(h, name) for name in fields} for h in sent], *selection)


@settings(max_examples=300)
@given(st.tuples(INSTANTS, INSTANTS), SELECTIONS, st.booleans())
def test_any_selection_of_any_range_equals_a_naive_measure(lived, ends, selection, listed):
    world, user, sent = lived
    span = Span(*sorted(ends))
    measured = measure_selection(world.app.state.services, user.user_id, span, selection, listed=listed)
    inside = oracle.between(_known(sent, selection), *span)
    expected = {(Dimension.TOTAL, None): oracle.total_us(inside)} if inside else {}
    for dimension, field in ((Dimension.PROJECT, "project"), (Dimension.LANGUAGE, "language")) if listed else ():
        groups = oracle.grouped(inside, field)
        expected |= {(dimension, value): oracle.total_us(group) for value, group in groups.items()}
    shown = {key: segment.duration_us for key, segment in measured.items()}
    if not listed:  # one project's own segment may come along
        shown = {key: us for key, us in shown.items() if key[0] == Dimension.TOTAL}
    assert shown == expected


@settings(max_examples=300)
@given(st.tuples(INSTANTS, INSTANTS), SELECTIONS)
def test_any_boundary_aware_total_equals_a_naive_one(lived, ends, selection):
    world, user, sent = lived
    span = Span(*sorted(ends))
    selection = selection._replace(without=selection.without | AWAY_FROM_CODE)
    shown = measure_boundary_aware(world.app.state.services, user.user_id, span, selection)
    assert shown == oracle.boundary_aware_us(_known(sent, selection), *span)


@settings(max_examples=150)
@given(st.tuples(INSTANTS, INSTANTS), st.frozensets(st.sampled_from(["a", "b", "c", "", "x"])))
def test_close_gaps_equal_a_naive_sum(lived, ends, projects):
    world, user, sent = lived
    start, end = sorted(ends)
    selection = Selection(projects, categories=frozenset({"coding"}))
    shown = measure_close(world.app.state.services, user.user_id, Span(start, end + 1), selection)
    assert shown // SECOND == oracle.unique_seconds(_known(sent, Selection()), projects, start, end)


class TestScans:
    def test_wait_for_a_place_and_no_longer_than_allowed(self):
        scans = Scans(ScanLimits(at_once=1, waiting=1, wait_s=0.01))
        with scans.place(), pytest.raises(Exception, match="try again soon") as refused, scans.place():
            raise AssertionError("there is one place")
        assert refused.value.status == 503
        with scans.place() as scan:
            scan.check()

    def test_end_when_they_take_too_long(self):
        now = [100.0]
        with Scans(ScanLimits(scan_s=5), lambda: now[0]).place() as scan:
            now[0] = 105.0
            scan.check()
            now[0] = 105.1
            with pytest.raises(Exception, match="shorter range") as ended:
                scan.check()
        assert ended.value.status == 503

    def test_give_their_place_back_after_a_failure(self):
        scans = Scans(ScanLimits(at_once=1, waiting=0))
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), scans.place():
                _ = 1 // 0
