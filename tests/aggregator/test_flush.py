import polars as pl
import pytest
import sqlalchemy as sa

from aggregator.flush import begin_flush, finish_flush, flush_tail, write_files
from aggregator.recover import recover
from schemas.tables import lake_files, tail
from storage.errors import FencedError, StorageError, UnavailableError
from storage.stats.shard import Shard
from tests.stored import DAY, NOON, S, Store, beat

EVER = 1 << 62


@pytest.fixture
def store(tmp_path, stats_url, lake_place):
    opened = Store.open(tmp_path, stats_url, lake_place)
    yield opened
    opened.database.close()


def catalogued(store):
    with store.database.reading() as connection:
        return connection.execute(sa.select(lake_files).order_by(lake_files.c.date)).all()


def test_the_tail_becomes_one_sorted_file_for_each_date(store):
    midnight = NOON + DAY // 2
    store.append(9, beat(NOON, id=30))
    store.append(7, beat(midnight - 1, id=3), beat(midnight, id=4))
    store.append(7, beat(NOON, id=2), beat(NOON, id=1))
    assert flush_tail(store.shard, store.lake) == 5
    first, second = (pl.read_parquet(store.place.get(row.path)) for row in catalogued(store))
    assert first["id"].to_list() == [1, 2, 3, 30]
    assert second["id"].to_list() == [4]
    assert store.tail_rows() == 0


def test_the_catalog_knows_what_each_file_holds(store):
    midnight = NOON + DAY // 2
    store.append(9, beat(NOON))
    store.append(7, beat(midnight - 1), beat(midnight))
    flush_tail(store.shard, store.lake)
    known = [(r.rows, r.min_user, r.max_user, r.min_us, r.max_us, r.state, r.epoch) for r in catalogued(store)]
    assert known == [(2, 7, 9, NOON, midnight - 1, "live", 1), (1, 7, 7, midnight, midnight, "live", 1)]
    assert [(r.date, r.first_offset, r.last_offset) for r in catalogued(store)] == [(19676, 1, 2), (19677, 1, 2)]
    assert all(r.path.startswith("heartbeats/date=2023-11-1") for r in catalogued(store))


def test_an_empty_tail_has_nothing_to_flush(store):
    assert begin_flush(store.shard) is None
    assert flush_tail(store.shard, store.lake) == 0
    assert store.files() == {}


def test_what_arrives_while_files_are_written_stays_in_the_tail(store):
    store.append(7, beat(NOON, id=1))
    flush = begin_flush(store.shard)
    store.append(7, beat(NOON, id=2))
    write_files(flush, store.database, store.lake)
    store.append(7, beat(NOON, id=3))
    finish_flush(store.shard, flush)
    assert store.tail_rows() == 2
    assert [h.id for h in store.history.read(7, 0, EVER)] == [1, 2, 3]


def test_a_flush_takes_the_oldest_records_up_to_its_bound(store):
    for _ in range(5):
        store.append(7, beat(NOON), beat(NOON))
    flush = begin_flush(store.shard, max_rows=5)
    assert (flush.rows, flush.records, flush.first_offset, flush.last_offset) == (4, 2, 1, 2)
    assert begin_flush(store.shard, max_rows=1).rows == 2  # a record is never cut
    assert flush_tail(store.shard, store.lake, max_rows=4) == 10


def test_readers_see_every_heartbeat_once_at_each_step(store):
    store.append(7, beat(NOON), beat(NOON + DAY))
    everything = store.history.read(7, 0, EVER)
    assert len(everything) == 2
    flush = begin_flush(store.shard)
    assert store.history.read(7, 0, EVER) == everything
    write_files(flush, store.database, store.lake)
    assert store.history.read(7, 0, EVER) == everything
    finish_flush(store.shard, flush)
    assert store.history.read(7, 0, EVER) == everything


class FullDisk:
    """A lake that takes one file and then refuses."""

    def __init__(self, lake):
        self.lake = lake
        self.written = 0
        self.delete = lake.delete

    def write(self, path, batches):
        if self.written:
            raise UnavailableError("no space left")
        self.written += 1
        return self.lake.write(path, batches)


def test_a_full_disk_leaves_the_tail_and_no_files_and_the_next_flush_succeeds(store):
    store.append(7, beat(NOON), beat(NOON + DAY))
    flush = begin_flush(store.shard)
    with pytest.raises(UnavailableError):
        write_files(flush, store.database, FullDisk(store.lake))
    assert store.place.files() == set()
    assert store.tail_rows() == 2
    assert flush_tail(store.shard, store.lake) == 2
    recover(store.shard, store.lake)
    assert set(store.files().values()) == {"live"}
    assert set(store.files()) == store.place.files()


def test_a_tail_that_changed_meanwhile_rolls_the_flush_back(store):
    store.append(7, beat(NOON))
    store.append(8, beat(NOON))
    flush = begin_flush(store.shard)
    write_files(flush, store.database, store.lake)
    with store.shard.writing() as connection:
        connection.execute(sa.delete(tail).where(tail.c.user_id == 8))
    with pytest.raises(StorageError, match="given up"):
        finish_flush(store.shard, flush)
    assert store.tail_rows() == 1
    assert set(store.files().values()) == {"writing"}


def test_a_flush_that_a_crash_interrupted_is_cleared_away_by_the_next_owner(store):
    store.append(7, beat(NOON))
    flush = begin_flush(store.shard)
    write_files(flush, store.database, store.lake)
    successor = Shard.take(store.database, "log")
    with pytest.raises(FencedError):
        finish_flush(store.shard, flush)
    assert recover(successor, store.lake) == 1
    assert store.place.files() == set()
    assert store.files() == {}
    assert flush_tail(successor, store.lake) == 1
    assert len(store.history.read(7, 0, EVER)) == 1


def test_recovery_leaves_alone_what_counts_and_what_its_own_owner_writes(store):
    store.append(7, beat(NOON))
    flush_tail(store.shard, store.lake)
    store.append(7, beat(NOON))
    begin_flush(store.shard)
    assert recover(store.shard, store.lake) == 0
    assert sorted(store.files().values()) == ["live", "writing"]


def test_a_plain_glob_counts_each_flushed_heartbeat_once(store):
    sent = [beat(NOON + i * DAY // 3) for i in range(12)]
    for i in range(0, 12, 2):
        store.append(7, sent[i])
        store.append(8, sent[i + 1])
        flush_tail(store.shard, store.lake)
    expected = sorted(h.id for h in sent)
    assert sorted(store.place.rows_of_glob()["id"]) == expected
    assert len({path.split("/")[1] for path in store.place.files()}) == 5


def test_a_thousand_records_go_whatever_their_size(store):
    sent = [beat(NOON + i * S, entity="x" * (i % 500)) for i in range(2_100)]
    for i in range(0, 2_100, 2):
        store.append(i % 5, *sent[i : i + 2])
    assert flush_tail(store.shard, store.lake) == 2_100
    found = [h for user_id in range(5) for h in store.history.read(user_id, 0, EVER)]
    assert sorted(found, key=lambda h: h.id) == sent


def test_a_damaged_tail_record_is_a_clear_error(store):
    store.append(7, beat(NOON))
    with store.database.writing() as connection:
        connection.execute(sa.update(tail).values(value=b"\0"))
    flush = begin_flush(store.shard)
    with pytest.raises(StorageError, match="Tail records cannot be read"):
        write_files(flush, store.database, store.lake)
