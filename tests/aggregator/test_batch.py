from itertools import pairwise

import pytest
import sqlalchemy as sa

from aggregator.batch import BatchCounter
from aggregator.counter import Counter
from schemas.heartbeat import Heartbeat
from schemas.record import FORMAT_VERSION, Kind, StoredRecord, compress, pack_lines, unpack_lines
from schemas.tables import dead_letters, last_values, segments, shards, tail, tombstones
from storage.history import History
from storage.lake.folder import FolderLake
from storage.stats import Database
from storage.stats.shard import Shard

NOON_US = 1_700_049_600_000_000
SECOND_US = 1_000_000


def beat(at_s, **fields):
    time_us = NOON_US + round(at_s * SECOND_US)
    return Heartbeat(id=fields.pop("id", time_us), time_us=time_us, created_at_us=1, **fields)


class Bench:
    """A shard in a folder, counted by the real batch counter."""

    def __init__(self, folder, stats_url):
        self.database = Database(stats_url)
        self.offset = 0
        self.lake = FolderLake(folder / "lake")
        self._start()

    def _start(self):
        shard = Shard.take(self.database, "log")
        self._counter = Counter(self.database, History(self.database, self.lake), max_rows=1000)
        self.batches = BatchCounter(shard, self._counter)

    def restart(self):
        self._counter.close()
        self._start()

    def close(self):
        self._counter.close()
        self.database.close()

    def remove(self, user_id):
        with self.database.writing() as connection:
            connection.execute(sa.insert(tombstones).values(user_id=user_id, removed_at_us=0))

    def record(self, *heartbeats, user_id=1, value=None, version=FORMAT_VERSION):
        self.offset += 1
        value = pack_lines(heartbeats) if value is None else value
        return StoredRecord(self.offset, user_id, Kind.HEARTBEATS, version, value)

    def count(self, *records):
        return self.batches.count(records)

    def rows(self, table):
        with self.database.reading() as connection:
            return connection.execute(sa.select(table)).mappings().all()

    def stored(self, user_id=1):
        entries = sorted((row["offset"], row["value"]) for row in self.rows(tail) if row["user_id"] == user_id)
        return [h for _, value in entries for h in unpack_lines(value)]

    def total(self, calendar="UTC"):
        return [
            (row["duration_us"] / SECOND_US, row["count"])
            for row in self.rows(segments)
            if row["calendar"] == calendar and row["dimension"] == 0
        ]

    def watermark(self):
        return self.rows(shards)[0]["offset"]


@pytest.fixture
def bench(tmp_path, stats_url):
    made = Bench(tmp_path, stats_url)
    yield made
    made.close()


def test_a_batch_is_counted_and_kept_in_the_logs_own_bytes(bench):
    records = [bench.record(beat(0), beat(60)), bench.record(beat(90))]
    assert bench.count(*records) == 3
    assert [row["value"] for row in bench.rows(tail)] == [r.value for r in records]
    assert bench.total() == [(90, 3)]
    assert bench.watermark() == 2


def test_a_duplicate_is_neither_counted_nor_kept_wherever_it_comes(bench):
    bench.count(bench.record(beat(0), beat(60), beat(60)), bench.record(beat(0), beat(30)))
    bench.restart()
    assert bench.count(bench.record(beat(60), beat(30), beat(200))) == 1
    assert [h.time_us - NOON_US for h in bench.stored()] == [s * SECOND_US for s in (0, 60, 30, 200)]
    assert bench.total() == [(180, 4)]


def test_heartbeats_of_one_instant_with_different_ids_are_two(bench):
    bench.count(bench.record(beat(0, id=1), beat(0, id=2)), bench.record(beat(0, id=1), beat(0, id=3)))
    assert [h.id for h in bench.stored()] == [1, 2, 3]
    assert bench.total() == [(0, 3)]


def test_a_late_heartbeat_counts_in_its_own_day_and_month_and_in_no_other(bench):
    day_s = 86_400
    bench.count(bench.record(beat(0), beat(day_s), beat(40 * day_s)))
    before = {tuple(row.items()) for row in bench.rows(segments)}
    bench.restart()
    bench.count(bench.record(beat(day_s - 30)))
    after = {tuple(row.items()) for row in bench.rows(segments)}
    changed = {(row["calendar"], row["day"]) for row in map(dict, after - before)}
    noon_day = NOON_US // 86_400_000_000
    assert changed == {("UTC", noon_day + 1), ("UTC/month", noon_day - 14), ("lifetime", 0)}
    assert bench.total("lifetime") == [(120 + 30 + 120, 4)]


def test_a_record_that_cannot_be_read_is_set_aside_alone(bench):
    good = [bench.record(beat(n)) for n in range(3)]
    bad = bench.record(value=b"not zstd")
    more = [bench.record(beat(n)) for n in range(3, 6)]
    assert bench.count(*good, bad, *more) == 6
    (letter,) = bench.rows(dead_letters)
    assert (letter["offset"], letter["value"]) == (4, b"not zstd")
    assert "ZstdError" in letter["reason"]
    assert bench.total() == [(5, 6)]
    assert bench.watermark() == 7


def test_a_value_that_no_column_takes_is_set_aside_alone(bench):
    before = bench.record(beat(0))
    bad = bench.record(value=compress(b'{"id":1,"time_us":99999999999999999999,"created_at_us":1}'))
    assert bench.count(before, bad, bench.record(beat(60))) == 2
    assert [letter["offset"] for letter in bench.rows(dead_letters)] == [2]
    assert bench.total() == [(60, 2)]


def test_late_heartbeats_of_many_users_days_are_committed_before_all_of_them_are_held_at_once(bench, monkeypatch):
    held, count = [], bench.batches._counter.count

    def count_and_look(user_id, heartbeats):
        new = count(user_id, heartbeats)
        held.append(sum(len(user.spans) for user in bench.batches._counter._users.values()))
        return new

    monkeypatch.setattr(bench.batches._counter, "count", count_and_look)
    records = [bench.record(beat(-86_400 * n), beat(60 - 86_400 * n), user_id=n) for n in range(1, 201)]
    records.append(bench.record(value=b"no zstd"))
    records += [bench.record(beat(-86_400 * n), beat(60 - 86_400 * n), user_id=n) for n in range(201, 401)]
    assert bench.count(*records) == 800
    assert max(held) < 150  # a day and a month of each user
    assert bench.watermark() == 401
    assert bench.total() == [(60, 2)] * 400
    assert [letter["offset"] for letter in bench.rows(dead_letters)] == [201]
    assert len(bench.rows(tail)) == 400


def test_heartbeats_of_a_removed_user_are_dropped_and_counted(bench):
    bench.remove(5)
    assert bench.count(bench.record(beat(0), beat(1), user_id=5), bench.record(beat(2), user_id=6)) == 1
    assert bench.stored(5) == []
    assert bench.rows(tombstones)[0]["dropped"] == 2


def test_placeholders_take_the_newest_stored_value_of_their_project(bench):
    bench.count(
        bench.record(beat(0, project="p", language="Go", branch="main")),
        bench.record(beat(60, project="p", language="Python", branch="dev"), beat(61, project="q", language="C")),
        bench.record(beat(30, project="p", language="Rust", branch="old")),  # late: not the newest
    )
    bench.restart()
    bench.count(
        bench.record(
            beat(90, project="p", language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>"),
            beat(91, project="new", language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>"),
        )
    )
    resolved = bench.stored()[-2:]
    assert [(h.language, h.branch) for h in resolved] == [("Python", "dev"), (None, None)]
    newest = {row["project"]: (row["language"], row["branch"]) for row in bench.rows(last_values)}
    assert newest == {"p": ("Python", "dev"), "q": ("C", None)}


def test_placeholders_take_each_value_from_the_newest_that_has_it_and_nobody_elses(bench):
    bench.count(
        bench.record(beat(0, project="p", language="Go", branch="main")),
        bench.record(beat(60, project="p", language="Rust", branch="")),
        bench.record(beat(120, project="p", language=None, branch=None)),
        bench.record(beat(500, project="p", language="Zig", branch="theirs"), user_id=6),
    )
    waiting = {"language": "<<LAST_LANGUAGE>>", "branch": "<<LAST_BRANCH>>"}
    late = beat(30, project="p", **waiting), beat(40, project="P", **waiting)  # newest by time, though later than these
    for heartbeat in late:
        bench.count(bench.record(heartbeat))
    resolved = [(h.language, h.branch) for h in bench.stored() if h.id in {h.id for h in late}]
    assert resolved == [("Rust", "main"), (None, None)]


def test_of_values_at_one_instant_the_greater_text_lends_in_whatever_order_they_came(bench):
    for user_id, languages in ((1, ("Go", "Ada")), (2, ("Ada", "Go"))):
        for number, language in enumerate(languages):
            bench.count(
                bench.record(beat(0, id=number + 1, project="p", language=language, branch="b"), user_id=user_id)
            )
    assert {row["user_id"]: row["language"] for row in bench.rows(last_values)} == {1: "Go", 2: "Go"}


def test_the_bound_on_memory_changes_no_answer(bench):
    for n in range(60):
        users = [bench.record(beat(n * 30 - 45 * (n % 3), id=n + 1), user_id=user) for user in range(1, 30)]
        bench.count(*users)
    times = sorted(n * 30 - 45 * (n % 3) for n in range(60))
    expected = sum(min(b - a, 120) for a, b in pairwise(times))
    assert bench.total() == [(expected, 60)] * 29


@pytest.mark.parametrize("table", [segments, last_values, tail], ids=lambda table: table.name)
def test_a_micro_batch_stands_or_falls_as_a_whole_with_its_watermark(bench, databases, table):
    bench.count(bench.record(beat(0, project="a", language="Go")))
    before = {t: bench.rows(t) for t in (segments, last_values, tail, shards)}
    with bench.database.writing() as connection:
        databases.refuse_inserts(connection, table.name)
    later = bench.record(beat(60, project="b", language="Rust"))
    with pytest.raises(sa.exc.IntegrityError, match="no room"):
        bench.count(later)
    assert {t: bench.rows(t) for t in before} == before
    with bench.database.writing() as connection:
        databases.take_inserts(connection, table.name)
    bench.restart()
    assert bench.count(later) == 1
    assert bench.total() == [(60, 2)]
    assert bench.watermark() == later.offset


def test_too_long_a_key_or_a_reason_that_cannot_be_stored_as_it_is_stops_no_other_record(bench):
    """Beyond what ingest lets through: a key of 9 KB is no entry of PostgreSQL's index, NUL no letter of its texts."""
    long_name = "".join(map(chr, range(0x4E00, 0x4E00 + 3_000)))
    bad = [bench.record(beat(0, project="a\0b")), bench.record(beat(1, project=long_name))]
    bad.append(bench.record(value=b"no zstd"))
    good = bench.record(beat(2, project="p"))
    bench.count(*bad, good)
    assert bench.watermark() == good.offset
    assert beat(2, project="p") in bench.stored()
    letters = {row["offset"] for row in bench.rows(dead_letters)}
    stored = {row["offset"] for row in bench.rows(tail)}
    assert letters | stored == {1, 2, 3, 4}
    assert letters.isdisjoint(stored)
