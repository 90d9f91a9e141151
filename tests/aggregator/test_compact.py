import logging
from contextlib import contextmanager

import polars as pl
import pytest
import sqlalchemy as sa

from aggregator.compact import compact, erase_user, is_due
from aggregator.flush import begin_flush, flush_tail
from aggregator.recompute import rebuild
from aggregator.recover import recover
from aggregator.verify import verify
from schemas.arrow import LAKE_SCHEMA
from schemas.tables import lake_files, last_values, segments
from storage.errors import FencedError, StorageError, UnavailableError
from storage.lake import catalog
from storage.lake.catalog import LakeFile
from storage.stats.shard import Shard
from tests.stored import DAY, NOON, S, Store, beat

EVER = 1 << 62
TOMORROW_S = (NOON + DAY) / S


@pytest.fixture
def store(tmp_path, stats_url, lake_place):
    opened = Store.open(tmp_path, stats_url, lake_place)
    yield opened
    opened.database.close()


def fill(store, files=4, at_us=NOON):
    """Some small files of one day with two users; returns the heartbeats by user."""
    sent = {7: [], 8: []}
    for i in range(files):
        for user_id in sent:
            some = [beat(at_us + (i * 37 + j * 11) % 50 * S, project="p", dependencies=["d"] * j) for j in range(3)]
            sent[user_id] += some
            store.append(user_id, *some)
        flush_tail(store.shard, store.lake)
    rebuild(store.shard, store.lake)
    return sent


def in_order(heartbeats):
    return sorted(heartbeats, key=lambda h: (h.time_us, h.id))


def ids_of_glob(store):
    return sorted(store.place.rows_of_glob()["id"])


def file_of(rows):
    return LakeFile(f"{rows}", 1, "log", 0, 1, 1, rows, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("rows", "due"),
    [
        ([100], False),
        ([100, 25], False),  # exactly a fifth
        ([100, 26], True),
        ([1000, *[1] * 7], False),
        ([1000, *[1] * 8], True),
        ([3, 3], True),
    ],
)
def test_a_day_is_due_with_eight_small_files_or_more_than_a_fifth_of_its_rows_in_them(rows, due):
    assert is_due([file_of(n) for n in rows]) is due


def test_a_plain_glob_counts_each_heartbeat_once_before_and_after(store):
    sent = fill(store)
    expected = sorted(h.id for of_user in sent.values() for h in of_user)
    assert ids_of_glob(store) == expected
    assert compact(store.shard, store.lake, now_s=TOMORROW_S) == 1
    assert ids_of_glob(store) == expected
    assert len(store.place.files()) == 1
    assert set(store.files()) == store.place.files()


def test_the_new_file_has_the_same_rows_sorted_in_the_same_schema(store):
    sent = fill(store)
    compact(store.shard, store.lake, now_s=TOMORROW_S)
    (path,) = store.files()
    table = pl.read_parquet(store.place.get(path)).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(LAKE_SCHEMA)
    keys = list(zip(*(table[name].to_pylist() for name in ("user_id", "time", "id")), strict=True))
    assert keys == sorted(keys)
    for user_id, of_user in sent.items():
        assert store.history.read(user_id, 0, EVER) == in_order(of_user)
    with store.database.reading() as connection:
        row = connection.execute(sa.select(lake_files)).one()
    assert (row.state, row.rows, row.min_user, row.max_user, row.first_offset, row.last_offset) == (
        "live",
        24,
        7,
        8,
        1,
        8,
    )


def test_a_day_that_is_not_over_in_utc_is_left_alone(store):
    fill(store)
    before = store.files()
    assert compact(store.shard, store.lake, now_s=NOON / S + 43_199) == 0
    assert store.files() == before


def test_a_compacted_day_is_not_due_again(store):
    fill(store)
    assert compact(store.shard, store.lake, now_s=TOMORROW_S) == 1
    assert compact(store.shard, store.lake, now_s=TOMORROW_S) == 0


def test_stats_that_differ_are_an_alarm_and_repaired(store, caplog):
    fill(store)
    with store.database.writing() as connection:
        connection.execute(sa.update(segments).where(segments.c.user_id == 8).values(duration_us=1))
    with caplog.at_level(logging.ERROR):
        compact(store.shard, store.lake, now_s=TOMORROW_S)
    assert "ALARM" in caplog.text
    assert "user 8" in caplog.text
    assert "user 7" not in caplog.text
    assert list(verify(store.database, store.lake)) == []


def test_right_stats_are_no_alarm(store, caplog):
    fill(store)
    store.append(7, beat(NOON + 3 * S, project="p"))  # counted, not flushed yet
    rebuild(store.shard, store.lake)
    compact(store.shard, store.lake, now_s=TOMORROW_S)
    assert "ALARM" not in caplog.text


class Failing:
    """A lake that fails after writing: as a lost row, or as a disk that refuses."""

    def __init__(self, lake, error=None):
        self.lake = lake
        self.error = error
        self.delete, self.scan, self.table = lake.delete, lake.scan, lake.table

    def write(self, path, batches):
        rows = self.lake.write(path, batches)
        if self.error:
            raise self.error
        return rows - 1


@pytest.mark.parametrize("error", [None, UnavailableError("no space left")])
def test_a_rewrite_that_fails_or_loses_rows_changes_nothing(store, error):
    sent = fill(store)
    before = store.files()
    with pytest.raises(StorageError):
        compact(store.shard, Failing(store.lake, error), now_s=TOMORROW_S)
    assert store.files() == before
    assert store.place.files() == set(before)
    assert ids_of_glob(store) == sorted(h.id for of_user in sent.values() for h in of_user)


def test_a_swap_whose_answer_is_lost_after_its_commit_deletes_nothing_that_counts(store, monkeypatch):
    sent = fill(store)
    writing, publish = Shard.writing, catalog.publish
    published = []

    @contextmanager
    def losing(shard, offset=None):
        with writing(shard, offset) as connection:
            yield connection
        if published:
            published.clear()
            raise UnavailableError("the connection broke after COMMIT")

    def noting(connection, shard, paths):
        publish(connection, shard, paths)
        published.extend(paths)

    monkeypatch.setattr(Shard, "writing", losing)
    monkeypatch.setattr(catalog, "publish", noting)
    with pytest.raises(UnavailableError, match="after COMMIT"):
        compact(store.shard, store.lake, now_s=TOMORROW_S)
    assert len(store.files()) == 1
    assert ids_of_glob(store) == sorted(h.id for of_user in sent.values() for h in of_user)


def test_an_owner_that_was_replaced_compacts_nothing(store):
    fill(store)
    before = store.files()
    Shard.take(store.database, "log")
    with pytest.raises(FencedError):
        compact(store.shard, store.lake, now_s=TOMORROW_S)
    assert store.files() == before


def test_files_that_a_crash_left_dead_are_deleted_by_the_next_owner(store):
    fill(store)
    lake = store.lake
    with pytest.raises(ZeroDivisionError):
        compact(store.shard, DiesWhenDeleting(lake), now_s=TOMORROW_S)
    assert sorted(store.files().values()) == ["dead"] * 4 + ["live"]
    assert len(store.place.files()) == 5
    assert recover(Shard.take(store.database, "log"), lake) == 4
    assert set(store.files()) == store.place.files()
    assert list(store.files().values()) == ["live"]


class DiesWhenDeleting:
    def __init__(self, lake):
        self.write, self.scan, self.table = lake.write, lake.scan, lake.table

    def delete(self, _):
        raise ZeroDivisionError


def test_erasing_a_user_leaves_nothing_of_theirs_and_everything_of_others(store):
    sent = fill(store)
    store.append(7, beat(NOON + DAY, project="p", language="Go"))
    flush_tail(store.shard, store.lake)  # a file of this user alone
    store.append(7, beat(NOON), beat(NOON + S))
    store.append(8, beat(NOON + 7 * S, id=1 << 40))
    rebuild(store.shard, store.lake)
    assert erase_user(store.shard, store.lake, 7) == len(sent[7]) + 3
    assert store.history.read(7, 0, EVER) == []
    assert [h.id for h in store.history.read(8, 0, EVER)] == [
        h.id for h in in_order([*sent[8], beat(NOON + 7 * S, id=1 << 40)])
    ]
    assert set(store.place.rows_of_glob()["user_id"]) == {8}
    assert set(store.files()) == store.place.files()
    assert list(verify(store.database, store.lake)) == []
    with store.database.reading() as connection:
        for table in (segments, last_values):
            assert connection.scalar(sa.select(sa.func.count()).where(table.c.user_id == 7)) == 0


def test_erasing_is_all_or_nothing_and_can_be_repeated(store):
    sent = fill(store)
    before = store.files()
    with pytest.raises(UnavailableError):
        erase_user(store.shard, Failing(store.lake, UnavailableError("no space left")), 7)
    assert store.files() == before
    assert store.history.read(7, 0, EVER) == in_order(sent[7])
    assert erase_user(store.shard, store.lake, 7) == len(sent[7])
    assert erase_user(store.shard, store.lake, 7) == 0


def test_erasing_does_not_take_the_files_of_a_flush_under_way(store):
    store.append(8, beat(NOON))
    begin_flush(store.shard)
    store.append(7, beat(NOON))
    assert erase_user(store.shard, store.lake, 7) == 1
    assert list(store.files().values()) == ["writing"]
