import pytest

from aggregator.compact import compact
from aggregator.flush import flush_tail
from storage.errors import UnavailableError
from storage.lake.jobs import open_duckdb, show_heartbeats, take_snapshot, while_files_vanish
from tests.stored import DAY, NOON, Store, beat


@pytest.fixture
def store(tmp_path, stats_url, lake_place):
    opened = Store.open(tmp_path, stats_url, lake_place)
    yield opened
    opened.database.close()


def flush_one(store, time_us):
    store.append(7, beat(time_us))
    flush_tail(store.shard, store.lake)


def count(store, after_snapshot=lambda: None):
    with store.database.reading() as connection:
        snapshot = take_snapshot(connection)
    after_snapshot()
    with open_duckdb() as duck:
        show_heartbeats(duck, store.lake, snapshot)
        return duck.execute("SELECT count(*) FROM heartbeats").fetchone()


def test_a_job_goes_on_while_compaction_takes_one_day_after_the_other(store):
    days = [NOON + number * DAY for number in range(8)]
    for day in days:
        flush_one(store, day)
    waiting = iter(days)

    def compact_a_day():
        if (day := next(waiting, None)) is not None:
            flush_one(store, day + 1)
            assert compact(store.shard, store.lake, now_s=2e9) == 1

    assert while_files_vanish(lambda: count(store, compact_a_day)) == (2 * len(days),)
    assert next(waiting, None) is None


def test_a_file_that_stays_missing_is_an_error_at_the_second_attempt(store):
    for number in range(3):
        flush_one(store, NOON + number * DAY)
    store.place.remove(sorted(store.place.files())[1])
    attempts = []
    with pytest.raises(UnavailableError, match="cannot be read"):
        while_files_vanish(lambda: attempts.append(1) or count(store))
    assert len(attempts) == 2
