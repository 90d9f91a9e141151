"""What the owner of one shard does about heartbeats that other shards, or closed logs, have in tail and lake."""

import pytest
import sqlalchemy as sa

from aggregator.compact import erase_user
from aggregator.flush import begin_flush, finish_flush, flush_tail, write_files
from aggregator.repair import Job, repair
from aggregator.verify import findings
from schemas.tables import lake_files
from storage.errors import FencedError, StorageError, UnavailableError
from storage.stats.closing import begin_closing, finish_closing
from storage.stats.shard import Shard
from storage.stats.sharding import changing_number, refuse_other_number
from tests.stored import NOON, S, Store, beat

SINCE, UNTIL = 0, 1 << 62


@pytest.fixture
def store(tmp_path, stats_url, lake_place):
    opened = Store.open(tmp_path, stats_url, lake_place)
    yield opened
    opened.database.close()


def flushed(store):
    """Two users in one Parquet file of the store's shard; their heartbeats."""
    kept, erased = [beat(NOON + n * S) for n in range(3)], [beat(NOON + n * S) for n in range(5)]
    store.append(7, *kept)
    store.append(8, *erased)
    flush_tail(store.shard, store.lake)
    return kept, erased


def close_log(store):
    """Leave the store's log for another one, whose shard is taken."""
    begin_closing(store.database, store.shard.log)
    finish_closing(store.database, store.shard.log)
    store.shard = Shard.take(store.database, "next")


def listed(store):
    with store.database.reading() as connection:
        return {tuple(row) for row in connection.execute(sa.select(lake_files.c.path, lake_files.c.state))}


def assert_only_live_files(store):
    assert {path for path, _ in listed(store)} == store.place.files()
    assert {state for _, state in listed(store)} <= {"live"}


def test_a_user_is_erased_from_the_files_of_a_closed_log_and_none_of_them_stays_behind(store):
    kept, erased = flushed(store)
    close_log(store)
    assert erase_user(store.shard, store.lake, 8) == len(erased)
    assert store.history.read(7, SINCE, UNTIL) == kept
    assert store.history.read(8, SINCE, UNTIL) == []
    assert store.place.rows_of_glob().rows() == sorted((7, h.id) for h in kept)
    assert_only_live_files(store)


def test_files_of_a_closed_log_are_repaired_by_the_one_that_follows_it(store):
    kept, _ = flushed(store)
    close_log(store)
    with store.database.writing() as connection:
        connection.execute(sa.update(lake_files).values(min_user=8))
    assert repair(store.shard, store.lake, lambda: 0, Job()) > 0
    assert store.history.read(7, SINCE, UNTIL) == kept
    assert not [finding for finding in findings(store.database, store.lake) if finding.table == "lake_files"]
    assert_only_live_files(store)


def test_a_closed_log_that_an_older_tzdata_cut_is_no_finding(store):
    flushed(store)
    with store.database.writing() as connection:
        connection.execute(sa.text("UPDATE shards SET tzdata_version = '2001.1'"))
    assert [finding for finding in findings(store.database, store.lake) if finding.table == "shards"]
    close_log(store)
    assert not [finding for finding in findings(store.database, store.lake) if finding.table == "shards"]


def test_what_another_shard_flushes_while_a_user_is_erased_is_not_forgotten(store):
    """As after partitions were added: the old shard's tail still has heartbeats of a user who is another's now."""
    with changing_number(store.database, "log", 2):
        pass
    store.shard, other = Shard.take(store.database, "log", 0), Shard.take(store.database, "log", 1)
    store.append(7, beat(NOON))
    store.append(7, beat(NOON + S))
    first = begin_flush(store.shard, max_rows=1)
    write_files(first, store.database, store.lake)
    finish_flush(store.shard, first)
    second = begin_flush(store.shard)
    write_files(second, store.database, store.lake)

    class FlushedMeanwhile:
        """The lake, while the other shard's flush ends between this erasure's look and its last transaction."""

        def __getattr__(self, name):
            return getattr(store.lake, name)

        def table(self, *arguments):
            if listed(store) and any(state == "writing" for _, state in listed(store)):
                finish_flush(store.shard, second)
            return store.lake.table(*arguments)

    with pytest.raises(UnavailableError, match="written meanwhile"):
        erase_user(other, FlushedMeanwhile(), 7)
    assert erase_user(other, store.lake, 7) == 2  # as its command is repeated
    assert store.history.read(7, SINCE, UNTIL) == []
    assert_only_live_files(store)


def test_an_erasure_and_the_compaction_of_another_shard_leave_each_others_files_alone(store):
    with changing_number(store.database, "log", 2):
        pass
    store.shard, other = Shard.take(store.database, "log", 0), Shard.take(store.database, "log", 1)
    kept, erased = flushed(store)

    class MuchGoesOn:
        """The lake, while the other shard gives up what it was writing, as each flush begins with."""

        def __getattr__(self, name):
            return getattr(store.lake, name)

        def write(self, *arguments):
            store.append(7, beat(NOON + 10 * S, id=1))
            flush_tail(store.shard, store.lake)
            return store.lake.write(*arguments)

    assert erase_user(other, MuchGoesOn(), 8) == len(erased)
    assert {h.id for h in store.history.read(7, SINCE, UNTIL)} == {1, *(h.id for h in kept)}
    assert_only_live_files(store)


def test_nobody_owns_a_shard_by_the_number_of_before(store):
    old = store.shard
    with changing_number(store.database, "log", 3) as watermarks:
        assert watermarks == {0: 0}
    with pytest.raises(FencedError), old.writing(1):
        pass
    taken = Shard.take(store.database, "log", 2)
    assert [user for user in range(9) if taken.owns(user)] == [2, 5, 8]
    refuse_other_number(store.database, "log", 3)
    with pytest.raises(StorageError, match="`heartline topics add-partitions 4`"):
        refuse_other_number(store.database, "log", 4)
    with pytest.raises(StorageError, match="has a shard 3"):
        Shard.take(store.database, "log", 3)


def test_a_change_of_the_number_that_fails_leaves_the_owners_theirs(store):
    with pytest.raises(ZeroDivisionError), changing_number(store.database, "log", 3):
        raise ZeroDivisionError
    with store.shard.writing(1):
        pass
    refuse_other_number(store.database, "log", 1)
