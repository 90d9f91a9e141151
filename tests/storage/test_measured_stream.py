"""The columns that scans measure: the same heartbeats as a stream of whole ones, in few reads."""

import pytest

from aggregator.compact import compact
from storage.history import History
from tests.storage.test_history import EVER, CompactsBeforeOpening, scattered, store
from tests.stored import DAY, NOON

__all__ = ["store"]


def rows(chunks):
    return [row for chunk in chunks for row in chunk.sort("time_us", "project").iter_rows()]


def whole(heartbeats):
    return [(h.time_us, h.project, h.language, h.category) for h in heartbeats]


def test_tail_and_lake_give_the_columns_of_every_heartbeat_of_the_interval(store):
    mine = scattered(store)
    assert rows(store.history.stream_measured(7, 0, EVER)) == whole(mine)
    start, end = mine[17].time_us, mine[150].time_us
    assert rows(store.history.stream_measured(7, start, end)) == whole(mine[17:150])
    assert list(store.history.stream_measured(9, 0, EVER)) == []


def test_days_that_are_not_named_are_not_opened(store):
    mine = scattered(store)
    for path in store.place.files():
        if "2023-11-15" not in path:
            store.place.put(path, b"no Parquet any more")
    shown = rows(store.history.stream_measured(7, 0, EVER, {NOON // DAY}))
    assert shown == whole(h for h in mine if h.time_us // DAY == NOON // DAY)
    assert shown


@pytest.mark.parametrize("rows_at_once", [1, 30, 10_000])
def test_chunks_are_whole_days_one_after_the_other(store, monkeypatch, rows_at_once):
    monkeypatch.setattr("storage.history._ROWS_AT_ONCE", rows_at_once)
    scattered(store)
    days = [
        sorted({time_us // DAY for time_us in chunk["time_us"]}) for chunk in store.history.stream_measured(7, 0, EVER)
    ]
    assert [day for chunk in days for day in chunk] == sorted({day for chunk in days for day in chunk})
    assert (len(days) == 1) == (rows_at_once == 10_000)


def test_files_that_are_compacted_away_are_found_again(store, monkeypatch):
    mine = scattered(store)
    lake = CompactsBeforeOpening(store)
    assert rows(History(store.database, lake).stream_measured(7, 0, EVER)) == whole(mine)
    assert lake.compacted > 0


def test_it_goes_on_after_what_it_gave_when_files_are_compacted_away(store, monkeypatch):
    monkeypatch.setattr("storage.history._ROWS_AT_ONCE", 1)
    mine = scattered(store)
    stream = store.history.stream_measured(7, 0, EVER)
    got = rows([next(stream)])
    assert compact(store.shard, store.lake, now_s=2e9) > 0
    assert got + rows(stream) == whole(mine)
