import datetime as dt

import pytest

from aggregator.flush import flush_tail
from aggregator.recompute import rebuild
from storage.views import connect
from tests.stored import NOON, S, Store, beat


@pytest.fixture
def store(tmp_path, stats_url, lake_place):
    opened = Store.open(tmp_path, stats_url, lake_place)
    opened.add_user(7, "Asia/Kolkata")
    opened.add_user(8)
    opened.append(7, beat(NOON, id=1, project="a", language="Go"), beat(NOON + 60 * S, id=2, project=None))
    opened.append(8, beat(NOON, id=3))
    flush_tail(opened.shard, opened.lake)
    opened.append(7, beat(NOON + 8 * 3_600 * S, id=4, project="", dependencies=["x"]))
    rebuild(opened.shard, opened.lake)
    yield opened
    opened.database.close()


def ask(store, statement):
    with connect(store.database, store.lake) as duck:
        return duck.execute(statement).fetchall()


def test_heartbeats_are_those_of_live_files_and_tail(store):
    store.place.put("heartbeats/stray.parquet", b"not in the catalog")
    assert ask(store, "SELECT id, user_id, project, dependencies FROM heartbeats ORDER BY id") == [
        (1, 7, "a", []),
        (2, 7, None, []),
        (3, 8, None, []),
        (4, 7, "", ["x"]),
    ]
    assert ask(store, "SELECT epoch_us(time) FROM heartbeats WHERE id = 2") == [(NOON + 60 * S,)]


def test_an_empty_database_has_empty_views(tmp_path, stats_url):
    opened = Store.open(tmp_path, stats_url)
    for view in ("heartbeats", "daily_stats", "users"):
        assert ask(opened, f"SELECT count(*) FROM {view}") == [(0,)]
    opened.database.close()


def test_daily_stats_are_seconds_by_day_of_utc_and_of_the_users_zone(store):
    totals = "FROM daily_stats WHERE user_id = 7 AND dimension = 'total'"
    statement = f"SELECT calendar, date, seconds, heartbeats {totals} ORDER BY ALL"
    day = dt.date(2023, 11, 15)
    assert ask(store, statement) == [
        ("Asia/Kolkata", day, 60.0, 2),
        ("Asia/Kolkata", day + dt.timedelta(days=1), 0.0, 1),
        ("UTC", day, 180.0, 3),
    ]


def test_daily_stats_tell_null_from_empty_and_show_pairs(store):
    rows = ask(store, "SELECT value FROM daily_stats WHERE user_id = 7 AND calendar = 'UTC' AND dimension = 'project'")
    assert sorted(rows, key=repr) == [("",), ("a",), (None,)]
    pairs = ask(store, "SELECT value FROM daily_stats WHERE dimension = 'project_language' AND user_id = 7")
    assert ('["a","Go"]',) in pairs


def test_users_come_without_keys(store):
    assert ask(store, "SELECT user_id, timezone FROM users ORDER BY 1") == [(7, "Asia/Kolkata"), (8, "UTC")]
    names = [row[0] for row in ask(store, "DESCRIBE users")]
    assert not [name for name in names if "key" in name]


def test_stats_of_many_pages_are_complete(store, monkeypatch):
    whole = ask(store, "SELECT * FROM daily_stats ORDER BY ALL")
    monkeypatch.setattr("storage.views._ROWS_AT_ONCE", 3)
    assert ask(store, "SELECT * FROM daily_stats ORDER BY ALL") == whole
    assert len(whole) > 20


def test_nothing_is_downloaded_at_run_time(store):
    settings = ask(store, "SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%extensions'")
    assert {value for (value,) in settings} == {"false"}
