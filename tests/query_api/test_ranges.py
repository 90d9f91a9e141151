"""Ranges from the tables equal a naive measure of the heartbeats, wherever they are cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query_api.ranges import measure_range
from schemas.calendars import DAY_US, date_of
from schemas.dimensions import Dimension
from storage.stats.reader import Span, StatsReader, cover
from tests.query_api.world import World, beat

YEAR_START = 1_735_689_600_000_000  # 2025-01-01
INSTANTS = st.builds(
    lambda day, offset_us: YEAR_START + day * DAY_US + offset_us,
    st.sampled_from([-400, -31, -1, 0, 1, 30, 31, 32, 58, 59, 60, 100, 366]),
    st.sampled_from([-1, 0, 1, -60_000_000, 60_000_000]) | st.integers(-200_000_000, 200_000_000),
)


@given(st.tuples(INSTANTS, INSTANTS))
def test_a_cover_tiles_its_range_exactly(ends):
    span = Span(*sorted(ends))
    months, days, parts = cover(span)
    pieces = [(day * DAY_US, (day + 1) * DAY_US) for day in days] + [tuple(part) for part in parts]
    for day in months:
        following = next(d for d in range(day + 28, day + 32) if _is_first_of_month(d))
        pieces.append((day * DAY_US, following * DAY_US))
    pieces.sort()
    assert all(left[1] == right[0] for left, right in pairwise(pieces))
    if span.from_us == span.to_us:
        assert pieces == []
    else:
        assert (pieces[0][0], pieces[-1][1]) == span
    assert len(days) <= 60


@pytest.fixture(scope="module")
def lived(tmp_path_factory, databases):
    """A user whose heartbeats lie around midnights and ends of months, partly flushed, partly late."""
    folder = tmp_path_factory.mktemp("ranges")
    world = World(folder, databases.new(folder))
    user, _ = world.add_user("ada")
    sent = []
    for number, day in enumerate([-400, 0, 31, 59, 1, -1, 30, 366, 100, 60]):
        batch = [
            beat(YEAR_START + day * DAY_US + offset, project=project, language=language)
            for offset in (-130_000_000, -60_000_000, -1, 0, 1, 59_999_999, 185_000_000)
            for project, language in [("ab"[offset % 2], ("Go", None, "")[number % 3])]
        ]
        sent += batch
        world.send(user, batch)
        if number == 5:
            world.aggregator.flush_now()
    yield world, user, sent
    world.close()


@settings(max_examples=150)
@given(st.tuples(INSTANTS, INSTANTS))
def test_any_range_equals_a_naive_measure(lived, ends):
    world, user, sent = lived
    span = Span(*sorted(ends))
    dimensions = (Dimension.PROJECT, Dimension.LANGUAGE, Dimension.PROJECT_LANGUAGE)
    measured = measure_range(StatsReader(world.database), world.history, user.user_id, span, dimensions)
    inside = [h for h in sent if span.from_us <= h.time_us < span.to_us]
    expected = {
        **_naive(inside, lambda _: (Dimension.TOTAL, None)),
        **_naive(inside, lambda h: (Dimension.PROJECT, h.project)),
        **_naive(inside, lambda h: (Dimension.LANGUAGE, h.language)),
        **_naive(inside, lambda h: (Dimension.PROJECT_LANGUAGE, (h.project, h.language))),
    }
    assert {key: (segment.duration_us, segment.beats) for key, segment in measured.items()} == expected


def _naive(heartbeats, key):
    groups = {}
    for heartbeat in heartbeats:
        groups.setdefault(key(heartbeat), []).append(heartbeat.time_us)
    return {
        name: (sum(min(b - a, 120_000_000) for a, b in pairwise(sorted(times))), len(times))
        for name, times in groups.items()
    }


def _is_first_of_month(day):
    return date_of(day).day == 1
