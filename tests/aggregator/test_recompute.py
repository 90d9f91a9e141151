import datetime as dt
import itertools
import random

import pytest
import sqlalchemy as sa

from aggregator.flush import flush_tail
from aggregator.recompute import local_segments, rebuild, scopes
from schemas.dimensions import Dimension, encode_value
from schemas.tables import last_values, segments
from storage.errors import FencedError
from storage.lake.jobs import EVERYTHING
from storage.stats.shard import Shard
from tests import oracle
from tests.stored import DAY, NOON, S, Store, beat

CAP = 120 * S
ODD = [None, "", "=", "a", 'a"b\\c\n\x0b\x1e\x1f\x7f/é☃\u2028𝄞', "''", "\\u000B", "\t\r\b\f\x01", '[null,"x"]', " a "]


@pytest.fixture
def store(tmp_path, stats_url, lake_place):
    opened = Store.open(tmp_path, stats_url, lake_place)
    yield opened
    opened.database.close()


def stored(store, user_id, calendar=None):
    """{(calendar, day, dimension, value): (first, last, duration, count)}"""
    with store.database.reading() as connection:
        rows = connection.execute(sa.select(segments).where(segments.c.user_id == user_id)).all()
    return {tuple(row[1:5]): tuple(row[5:]) for row in rows if calendar in (None, row[1])}


def stored_values(store, user_id):
    with store.database.reading() as connection:
        rows = connection.execute(sa.select(last_values).where(last_values.c.user_id == user_id)).all()
    return {row[1]: tuple(row[2:]) for row in rows}


def groups_of(h):
    yield Dimension.TOTAL, None
    for name in ("project", "language", "editor", "operating_system", "machine", "category"):
        yield Dimension[name.upper()], getattr(h, name)
    yield Dimension.PROJECT_LANGUAGE, (h.project, h.language)
    if h.category.lower() != "browsing":
        yield Dimension.ACTIVE, None


def periods_of(h, zone):
    date = oracle.utc_day(h.time_us)
    yield "UTC", date
    yield "UTC/month", date.replace(day=1)
    yield "lifetime", dt.date(1970, 1, 1)
    if zone != "UTC":
        yield zone, oracle.local_day(zone, h.time_us)


def expected(heartbeats, zone="UTC"):
    """Every row, group by group from the definition."""
    times = {}
    for h in heartbeats:
        for calendar, date in periods_of(h, zone):
            for dimension, value in groups_of(h):
                if calendar != "lifetime" or dimension == Dimension.TOTAL:
                    key = (calendar, (date - dt.date(1970, 1, 1)).days, dimension, encode_value(value))
                    times.setdefault(key, []).append(h.time_us)
    rows = {key: (min(t), max(t), oracle.total_us([{"time_us": x} for x in t]), len(t)) for key, t in times.items()}
    return rows | expected_followed(heartbeats, zone, rows)


def expected_followed(heartbeats, zone, rows):
    """The gaps after each project's heartbeats: in the user's own days alone."""
    seen = [{"id": h.id, "time_us": h.time_us, "project": h.project} for h in heartbeats]
    made = {}
    for date, of_day in oracle.days(seen, zone).items():
        day = (date - dt.date(1970, 1, 1)).days
        for project, gaps_us in oracle.followed_us(of_day).items():
            first_us, last_us, _, count = rows[zone, day, Dimension.PROJECT, encode_value(project)]
            made[zone, day, Dimension.FOLLOWED, encode_value(project)] = (first_us, last_us, gaps_us, count)
    return made


def put(store, user_id, heartbeats, seed=1):
    """Append in shuffled records, and flush half of them."""
    shuffled = random.Random(seed).sample(heartbeats, len(heartbeats))
    for i in range(0, len(shuffled), 7):
        store.append(user_id, *shuffled[i : i + 7])
        if i < len(shuffled) // 2 <= i + 7:
            flush_tail(store.shard, store.lake)


def test_rows_of_all_calendars_and_dimensions_equal_the_definition(store):
    rng = random.Random(3)
    steps = [0, 1, 30 * S, CAP - 1, CAP, CAP + 1, 3_600 * S, DAY, 40 * DAY]
    times = list(itertools.accumulate(rng.choices(steps, weights=[3, 1, 9, 3, 3, 3, 3, 1, 1], k=400), initial=NOON))
    names = [None, "", "a", "b"]
    sent = [beat(t, project=rng.choice(names), language=rng.choice(names), editor=rng.choice(names)) for t in times]
    put(store, 7, sent)
    store.add_user(7, "America/St_Johns")
    assert rebuild(store.shard, store.lake, 7) == 1
    assert stored(store, 7) == expected(sent, "America/St_Johns")


def test_every_text_is_written_as_the_live_path_writes_it(store):
    sent = [beat(NOON + i * S, project=p, language=q) for i, (p, q) in enumerate(itertools.product(ODD, ODD))]
    put(store, 7, sent)
    rebuild(store.shard, store.lake)
    assert stored(store, 7) == expected(sent)


@pytest.mark.parametrize("category", ["browsing", "Browsing", "BROWSING", "BROWSİNG", "browsing ", "", "coding"])
def test_active_time_leaves_out_browsing_in_any_case_and_nothing_else(store, category):
    sent = [beat(NOON, category=category), beat(NOON + S)]
    store.append(7, *sent)
    rebuild(store.shard, store.lake)
    assert stored(store, 7) == expected(sent)


@pytest.mark.parametrize(
    ("zone", "around"),
    [
        ("Pacific/Apia", "2011-12-30T10:00"),  # a day that the zone skipped
        ("America/St_Johns", "2010-11-07T02:31"),  # clocks go back across midnight
        ("America/Havana", "2024-03-10T05:00"),  # clocks jump over midnight
        ("Pacific/Auckland", "2025-09-27T12:00"),  # 23 hours
        ("Asia/Kolkata", "2024-03-04T18:30"),
        ("UTC", "2024-03-05T00:00"),
    ],
)
def test_local_days_are_cut_where_the_zone_cuts_them(store, zone, around):
    at = int(dt.datetime.fromisoformat(around + "+00:00").timestamp()) * S
    offsets = [-DAY, -5_400 * S, -3_600 * S, -60 * S, -1, 0, 1, 60 * S, 1_800 * S, 3_600 * S, DAY, DAY + 30 * S]
    sent = [beat(at + offset, project="ab"[i % 2]) for i, offset in enumerate(offsets)]
    put(store, 7, sent)
    rows = {tuple(row[1:5]): tuple(row[5:]) for row in local_segments(store.database, store.lake, 7, zone)}
    assert rows == {key: row for key, row in expected(sent, zone).items() if key[0] == zone}


def test_a_rebuild_replaces_wrong_missing_and_stale_rows_and_nobody_elses(store):
    store.append(7, beat(NOON), beat(NOON + S))
    store.append(8, beat(NOON), beat(NOON + S))
    rebuild(store.shard, store.lake)
    right = stored(store, 7)
    with store.shard.writing() as connection:
        connection.execute(sa.update(segments).values(duration_us=1))
        connection.execute(sa.delete(segments).where(segments.c.dimension == 3))
        stale = {"user_id": 7, "calendar": "Europe/Paris", "day": 1, "dimension": 0, "value": ""}
        connection.execute(sa.insert(segments).values(**stale, first_us=1, last_us=1, duration_us=0, count=1))
    rebuild(store.shard, store.lake, 7)
    assert stored(store, 7) == right
    assert stored(store, 8) != right


def test_a_rebuild_of_everyone_takes_rows_of_those_without_heartbeats_away(store):
    store.append(7, beat(NOON))
    rebuild(store.shard, store.lake)
    with store.shard.writing() as connection:
        connection.execute(sa.update(segments).values(user_id=99))
    assert rebuild(store.shard, store.lake) == 1
    assert stored(store, 99) == {}
    assert stored(store, 7) == expected(store.history.read(7, 0, 1 << 62))


def test_many_users_are_rebuilt_in_ranges_that_leave_no_gap(store, monkeypatch):
    monkeypatch.setattr("aggregator.recompute._CHUNK_ROWS", 3)
    for user_id in (2, 3, 50, 51, 52):
        put(store, user_id, [beat(NOON + i * S) for i in range(2)])
    ranges = scopes(store.database, store.lake)
    assert (ranges[0].first_user, ranges[-1].last_user) == (EVERYTHING.first_user, EVERYTHING.last_user)
    assert [b.first_user - a.last_user for a, b in itertools.pairwise(ranges)] == [1] * (len(ranges) - 1)
    assert len(ranges) == 3
    assert rebuild(store.shard, store.lake) == 5
    assert all(stored(store, user_id) for user_id in (2, 3, 50, 51, 52))


def test_last_values_are_the_newest_real_ones_of_each_named_project(store):
    put(
        store,
        7,
        [
            beat(NOON + 1, project="a", language="Old", branch="main"),
            beat(NOON + 2, project="a", language="New", branch=""),
            beat(NOON + 3, project="a", language=None),
            beat(NOON + 4, project="a", language=""),
            beat(NOON + 5, project="tie", language="A", branch="z"),
            beat(NOON + 5, project="tie", language="B", branch="y"),
            beat(NOON + 6, project="none"),
            beat(NOON + 7, project="", language="X"),
            beat(NOON + 8, project=None, language="Y"),
        ],
    )
    rebuild(store.shard, store.lake)
    assert stored_values(store, 7) == {
        "a": ("New", NOON + 2, "main", NOON + 1),
        "tie": ("B", NOON + 5, "z", NOON + 5),
    }


def test_an_owner_that_was_replaced_rebuilds_nothing(store):
    store.append(7, beat(NOON))
    rebuild(store.shard, store.lake)
    Shard.take(store.database, "log")
    with store.database.writing() as connection:
        connection.execute(sa.update(segments).values(duration_us=1))
    with pytest.raises(FencedError):
        rebuild(store.shard, store.lake)
    assert {row[2] for row in stored(store, 7).values()} == {1}
