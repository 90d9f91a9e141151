"""Trimming and compaction beside the counting, by a real aggregator that follows its log."""

import logging
import sqlite3
import threading
from contextlib import closing

import pytest
import sqlalchemy as sa

from aggregator import compact as compaction
from aggregator.verify import verify
from schemas.record import Compact, RemoveUser, heartbeat_records
from schemas.tables import lake_files, segments
from storage.errors import UnavailableError
from storage.log.sqlite import append_now
from tests.aggregator.running import WITHIN_S, Held, Running
from tests.server import eventually
from tests.stored import DAY, NOON, S, beat

OVERDUE_S = 61


@pytest.fixture
def running(tmp_path, stats_url):
    # The tail goes only at a stop: else the clock's jump may start a flush first.
    made = Running(tmp_path, stats_url, flush_interval_s=1e12)
    yield made
    made.close()


def fill(running, files=4):
    """Small files of one day with two users."""
    running.start()
    for n in range(files):
        running.append(beat(NOON + n * 37 * S, project="p"), user_id=7)
        running.aggregator.run_until(running.append(beat(NOON + n * 50 * S, project="q"), user_id=8))
        running.aggregator.flush_now()
    running.aggregator.close()


def states(running):
    with running.database.reading() as connection:
        return sorted(connection.scalars(sa.select(lake_files.c.state)))


def log_size(running):
    with closing(sqlite3.connect(running.path)) as outside:
        return outside.execute("SELECT count(*) FROM records").fetchone()[0]


def overdue(running):
    """Let the day be over, and upkeep due at the next step."""
    running.now_s += DAY / S + OVERDUE_S


def test_counting_goes_on_while_a_day_is_compacted(running):
    fill(running)
    running.lake = Held(running.lake)
    running.lake.holds = True
    with running.following():
        assert running.is_counted(running.append(beat(NOON + S), user_id=7))
        overdue(running)
        assert running.lake.begun.wait(WITHIN_S)
        assert running.is_counted(running.append(beat(NOON + 2 * S), user_id=7))
        assert states(running) == ["live"] * 4 + ["writing"]
        running.lake.holds = False
        running.lake.let_go.set()
        assert eventually(lambda: states(running), ["live"], WITHIN_S) == ["live"]
    assert list(verify(running.database, running.lake)) == []


def test_a_stop_in_the_midst_of_a_compaction_ends_it_and_leaves_what_was_there(running, monkeypatch):
    fill(running)
    before = states(running)
    running.lake = Held(running.lake)
    running.lake.holds = True
    refuse, noticed = compaction._refuse_if, []

    def refuse_and_note(stop):
        noticed.append(stop.is_set())
        refuse(stop)

    monkeypatch.setattr(compaction, "_refuse_if", refuse_and_note)
    with running.following():
        assert running.is_counted(running.append(beat(NOON + S), user_id=7))
        overdue(running)
        assert running.lake.begun.wait(WITHIN_S)
        threading.Timer(0.1, running.lake.let_go.set).start()  # a little after the stop
    running.lake.holds = False
    assert noticed == [True]
    assert states(running) == [*before, "live"]  # and the flush of the stop
    assert len(list(running.lake.lake.root.rglob("*.parquet"))) == 5
    assert list(verify(running.database, running.lake)) == []


class Keeps:
    """A lake that refuses to delete anything until it is told otherwise."""

    def __init__(self, lake):
        self.lake = lake
        self.write, self.scan, self.table = lake.write, lake.scan, lake.table
        self.refuses = True
        self.refused = 0

    def delete(self, paths):
        named = list(paths)
        if named and self.refuses:
            self.refused += 1
            raise UnavailableError("no answer")
        self.lake.delete(named)


def test_a_stop_deletes_what_could_not_be_deleted_before(running):
    """Whoever reads the folder by a plain glob sees each heartbeat once, whatever has failed on the way."""
    fill(running)
    running.lake = Keeps(running.lake)
    with running.following():
        assert running.is_counted(running.append(beat(NOON + S), user_id=7))
        overdue(running)
        assert eventually(lambda: running.lake.refused, 2, WITHIN_S) == 2  # then it is put off
        assert states(running) == ["dead"] * 4 + ["live"]
        running.lake.refuses = False
    assert states(running) == ["live", "live"]  # the compacted day, and the flush of the stop
    assert len(list(running.lake.lake.root.rglob("*.parquet"))) == 2


def test_a_command_to_compact_is_left_in_the_log_by_a_stop_and_done_by_the_next_owner(running):
    fill(running)
    running.now_s += 2 * DAY / S
    running.start()
    offset = running.command(Compact())
    running.aggregator._stop.set()
    with pytest.raises(compaction.StoppedError):
        running.aggregator.run_until(offset)
    assert running.counted() == offset - 1
    running.aggregator.close()
    running.start().run_until(offset)
    assert running.result(offset) == (None, '{"days": 1}')
    assert states(running) == ["live"]


def test_a_command_waits_for_a_compaction_under_way(running):
    fill(running)
    running.lake = Held(running.lake)
    running.lake.holds = True
    with running.following():
        assert running.is_counted(running.append(beat(NOON + S), user_id=7))
        overdue(running)
        assert running.lake.begun.wait(WITHIN_S)
        offset = running.command(RemoveUser(7))
        running.lake.holds = False
        running.lake.let_go.set()
        assert running.is_counted(offset)
    assert running.result(offset) == (None, '{"heartbeats": 5}')
    assert states(running) == ["live"]
    assert list(verify(running.database, running.lake)) == []


def test_what_the_audit_repairs_is_not_spoiled_by_what_was_held_in_memory(running, monkeypatch, caplog):
    monkeypatch.setattr(compaction, "_AUDIT_ROWS", 1)  # a slice for each user
    fill(running)
    with running.following():
        assert running.is_counted(running.append(beat(NOON + 1000 * S), user_id=8))
        with running.database.writing() as connection:
            wrong = sa.update(segments).where(segments.c.user_id == 8, segments.c.dimension == 0)
            connection.execute(wrong.values(duration_us=1))
        overdue(running)
        assert eventually(lambda: states(running), ["live"], WITHIN_S) == ["live"]
        assert running.is_counted(running.append(beat(NOON + 1010 * S), user_id=8))
    assert [r.levelname for r in caplog.records if "ALARM: stats differ" in r.getMessage()] == ["ERROR"]
    assert list(verify(running.database, running.lake)) == []


def falsify(running):
    with running.database.writing() as connection:
        wrong = sa.update(segments).where(segments.c.dimension == 0)
        connection.execute(wrong.values(duration_us=1))


def test_what_the_audit_finds_is_repaired_though_the_lake_deletes_nothing_then(running, monkeypatch):
    fill(running)

    def away(_):
        raise UnavailableError("The lake cannot be reached.")

    with running.following():
        assert running.is_counted(running.append(beat(NOON + 900 * S), user_id=8))
        falsify(running)
        monkeypatch.setattr(running.lake, "delete", away)
        overdue(running)
        once = ["dead"] * 4 + ["live"]
        assert eventually(lambda: states(running), once, WITHIN_S) == once
        assert running.is_counted(running.append(beat(NOON + 1000 * S), user_id=8))
        monkeypatch.undo()
    assert list(verify(running.database, running.lake)) == []


def test_a_repair_that_fails_half_way_is_gone_on_with_and_not_spoiled_by_what_was_held_in_memory(running, monkeypatch):
    monkeypatch.setattr(compaction, "_AUDIT_ROWS", 1)  # a slice for each user
    rebuild, failed = compaction.rebuild, []

    def fail_once_for_8(shard, lake, user_id):
        if user_id == 8 and not failed:
            failed.append(user_id)
            raise UnavailableError("The lake cannot be reached.")
        return rebuild(shard, lake, user_id)

    monkeypatch.setattr(compaction, "rebuild", fail_once_for_8)
    fill(running)
    with running.following():
        for user_id in (7, 8):
            assert running.is_counted(running.append(beat(NOON + 1000 * S), user_id=user_id))
        falsify(running)
        overdue(running)
        assert eventually(lambda: failed, [8], WITHIN_S) == [8]
        assert running.is_counted(running.append(beat(NOON + 1010 * S), user_id=7))
        overdue(running)
        assert eventually(lambda: states(running), ["live"], WITHIN_S) == ["live"]
    assert list(verify(running.database, running.lake)) == []


def test_the_log_is_trimmed_although_compaction_fails(tmp_path, stats_url, caplog):
    running = Running(tmp_path, stats_url, log_keep_s=0)
    fill(running)
    for file in (running.lake.root / "heartbeats").rglob("*.parquet"):
        file.unlink()
    overdue(running)
    running.start()
    before = log_size(running)
    running.now_s = 4e9  # records carry the machine's time
    assert before == 8
    with caplog.at_level(logging.ERROR):
        running.aggregator._upkeep.step(threading.Event(), may_write=True)
        running.aggregator._upkeep.interrupt()
    assert "could not be compacted" in caplog.text
    assert log_size(running) == 0
    running.close()


def test_trimming_takes_one_chunk_at_a_time_so_that_ingest_commits_in_between(tmp_path, stats_url):
    running = Running(tmp_path, stats_url, log_keep_s=0)
    records = [record for n in range(1100) for record in heartbeat_records(1, [beat(NOON + n * S)])]
    last = append_now(running.path, records)
    running.start().run_until(last)
    running.now_s = 4e9
    sizes = []
    for _ in range(4):
        running.aggregator._upkeep.step(threading.Event(), may_write=True)
        sizes.append(log_size(running))
    assert sizes == [600, 100, 0, 0]
    running.close()
