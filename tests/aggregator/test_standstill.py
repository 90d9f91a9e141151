"""What may fail without stopping the counting, and what stops it with an alarm instead of a hot loop."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from aggregator import commands, service
from aggregator.verify import verify
from heartline.commands.upkeep import accept_lost_files
from heartline.settings import read_settings
from heartline.status import read_status
from schemas.record import FORMAT_VERSION, Compact, Kind, Rebuild, Record, RemoveUser, compress, heartbeat_records
from schemas.tables import alarms
from storage.errors import GapError, StandstillError, UnavailableError
from storage.history import History
from storage.log.sqlite import append_now
from tests.aggregator.running import WITHIN_S, Running
from tests.server import eventually
from tests.stored import DAY, NOON, S, beat


@pytest.fixture
def running(tmp_path, stats_url):
    made = Running(tmp_path, stats_url, flush_interval_s=1e12)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(service, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(service, "_RETRY_S", (0.01,))


def delete(path, *offsets):
    with closing(sqlite3.connect(path, isolation_level=None)) as outside:
        outside.executemany('DELETE FROM records WHERE "offset" = ?', [(offset,) for offset in offsets])


def lines(caplog, text):
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def newer(user_id=1):
    (record,) = heartbeat_records(user_id, [beat(NOON)])
    return Record(record.user_id, record.kind, record.value, FORMAT_VERSION + 1)


def test_a_record_of_a_newer_format_raises_an_alarm_once_and_is_neither_skipped_nor_set_aside(
    running, tmp_path, stats_url, caplog
):
    first = running.append(beat(NOON))
    append_now(running.path, [newer()])
    running.append(beat(NOON + S))
    looks = []
    with caplog.at_level(logging.ERROR), running.following():
        assert eventually(lambda: len(running.alarm()), 1, WITHIN_S) == 1
        read = running.log.read
        running.log.read = lambda *arguments: (looks.append(1), read(*arguments))[1]
        assert eventually(lambda: len(looks) > 3, True, WITHIN_S)
    assert running.counted() == first
    assert f"format {FORMAT_VERSION + 1}" in running.alarm()[0]
    assert len(lines(caplog, "ALARM")) == len(caplog.records) == 1
    status = read_status(read_settings({"data": tmp_path, "stats_url": stats_url}))
    assert (status["alarm"], status["dead_letters"]) == (running.alarm()[0], 0)
    assert (status["tail"]["heartbeats"], status["lake"]["heartbeats"]) == (0, 1)  # a stop flushes all the same


def test_records_lost_before_they_were_counted_stop_the_shard_until_somebody_accepts_it(running, caplog):
    offsets = [running.append(beat(NOON + n * S)) for n in range(6)]
    delete(running.path, *offsets[2:4])
    with running.following():
        assert eventually(lambda: len(running.alarm()), 1, WITHIN_S) == 1
        assert running.counted() == offsets[1]
        accept(running)
        assert running.is_counted(offsets[5])
        assert running.alarm() == []
    assert lines(caplog, "counting goes on without them")


def accept(running):
    with running.database.writing() as connection:
        connection.execute(sa.update(alarms).values(accepted=True))


def test_accepting_one_gap_accepts_no_other(running):
    offsets = [running.append(beat(NOON + n * S)) for n in range(6)]
    delete(running.path, offsets[1], offsets[3])
    aggregator = running.start()
    with pytest.raises(GapError, match="Records 2 to 2 of the log are gone"):
        aggregator.run_until(offsets[5])
    accept(running)
    with pytest.raises(GapError, match="Records 4 to 4"):
        aggregator.run_until(offsets[5])
    assert running.counted() == offsets[2]


def test_an_alarm_whose_cause_is_gone_is_taken_back_by_the_next_owner(running):
    append_now(running.path, [newer()])
    with pytest.raises(StandstillError):
        running.start().step()
    running.aggregator.close()
    delete(running.path, 1)
    with closing(sqlite3.connect(running.path, isolation_level=None)) as outside:
        (record,) = heartbeat_records(1, [beat(NOON)])
        row = (1, record.user_id, int(record.kind), FORMAT_VERSION, 0, record.value)
        outside.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", row)  # as the newer version would read it
    assert running.start().step()
    assert running.alarm() == []


def test_what_nobody_expected_is_logged_with_its_traceback_and_counting_goes_on(running, monkeypatch, caplog):
    failing = iter([RuntimeError("what is this"), duckdb.Error("out of memory")])
    process_next = service.Aggregator._process_next

    def process(aggregator):
        for error in failing:
            raise error
        return process_next(aggregator)

    monkeypatch.setattr(service.Aggregator, "_process_next", process)
    offset = running.append(beat(NOON))
    with running.following():
        assert running.is_counted(offset)
    of_error = {record.getMessage().rpartition(": ")[2]: record.exc_info for record in caplog.records}
    assert of_error["what is this"]
    assert of_error["out of memory"] is None


def test_a_lake_file_that_is_gone_fails_upkeep_and_commands_but_never_the_counting(running, caplog):
    running.start().run_until(running.append(beat(NOON)))
    running.aggregator.flush_now()
    running.aggregator.run_until(running.append(beat(NOON + S)))
    running.aggregator.flush_now()
    running.aggregator.close()
    for file in (running.lake.root / "heartbeats").rglob("*.parquet"):
        file.unlink()
    running.now_s += 2 * DAY / S
    with caplog.at_level(logging.WARNING), running.following():
        offset = running.append(beat(NOON + DAY))
        assert running.is_counted(offset)
        running.now_s += 61
        assert eventually(lambda: bool(lines(caplog, "Closed days could not be compacted")), True, WITHIN_S)
        offset = running.append(beat(NOON + DAY + S))
        assert running.is_counted(offset)
        refused = running.command(Rebuild(1)), running.command(Compact())
        offset = running.append(beat(NOON + DAY + 2 * S))
        assert running.is_counted(offset)
    for command in refused:
        error, _ = running.result(command)
        assert error
        assert ".parquet" in error
    assert len(lines(caplog, "could not be compacted")) == 1


def test_an_error_in_one_record_that_nobody_expected_sets_that_record_aside_alone(running, monkeypatch):
    unpack = service.BatchCounter._resolve

    def resolve(batches, user_id, sent):
        if user_id == 666:
            raise KeyError("a bug")
        return unpack(batches, user_id, sent)

    monkeypatch.setattr(service.BatchCounter, "_resolve", resolve)
    for n in range(5):
        running.append(beat(NOON + n * S), user_id=1)
    running.append(beat(NOON), user_id=666)
    last = running.append(beat(NOON + 60 * S), user_id=1)
    running.start().run_until(last)
    assert running.aggregator.flush_now() == 6
    with running.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT user_id FROM dead_letters").scalars().all() == [666]


def test_a_command_that_cannot_be_read_stops_no_heartbeat_behind_it(running):
    append_now(running.path, [Record(1, Kind.COMMAND, compress(b'{"type":"unheard of"}'))])
    offset = running.append(beat(NOON), beat(NOON + 60 * S))
    running.start().run_until(offset)
    assert running.aggregator.flush_now() == 2


def test_heartbeats_of_a_user_whose_removal_was_refused_are_counted(running, monkeypatch):
    def away(*_):
        raise UnavailableError("The stats database is unavailable: canceling statement due to lock timeout.")

    with running.following():
        with monkeypatch.context() as during:
            during.setattr(commands, "remove_user", away)
            refused = running.command(RemoveUser(1))
            assert running.is_counted(refused)
        assert running.is_counted(running.append(beat(NOON), beat(NOON + S)))
    error, _ = running.result(refused)
    assert "lock timeout" in error
    with running.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT sum(rows) FROM lake_files").scalar() == 2


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [Path.unlink, cut_off])
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_lost_file_that_a_late_heartbeat_needs_stops_the_shard_until_it_is_back_or_given_up(
    running, caplog, damage, comes_back
):
    running.start().run_until(running.append(beat(NOON), beat(NOON + 60 * S)))
    running.aggregator.flush_now()
    running.aggregator.close()
    (file,) = (running.lake.root / "heartbeats").rglob("*.parquet")
    whole = file.read_bytes()
    damage(file)
    with running.following():
        late = running.append(beat(NOON + 10 * S), user_id=1)
        rebuild = running.command(Rebuild(accept_loss=not comes_back))
        later = running.append(beat(NOON), user_id=2)
        assert eventually(lambda: len(running.alarm()), 1, WITHIN_S) == 1
        assert f"{file.name}" in running.alarm()[0]
        assert running.counted() == late - 1
        if comes_back:
            file.write_bytes(whole)
        else:
            accept_lost_files(running.database)
        assert running.is_counted(later)
        assert eventually(lambda: running.result(rebuild)[1].startswith('{"repaired": '), True, WITHIN_S)
        assert running.alarm() == []
    assert len(lines(caplog, "ALARM")) == 1
    assert list(verify(running.database, running.lake)) == []
    counts = {True: {1: 3, 2: 1}, False: {1: 1, 2: 1}}[comes_back]
    history = History(running.database, running.lake)
    assert {user_id: len(history.read(user_id, 0, 1 << 61)) for user_id in (1, 2)} == counts
