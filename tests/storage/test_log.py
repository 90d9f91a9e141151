import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from schemas.record import Kind, Record
from storage.errors import BusyError, GapError, LockedError, UnavailableError
from storage.log.sqlite import SqliteLogReader, SqliteLogWriter, append_now

MIB = 1 << 20


def record(user_id: int = 1, value: bytes = b"x") -> Record:
    return Record(user_id, Kind.HEARTBEATS, value)


async def append_all(path, requests, *, max_queued_bytes=MIB):
    writer = SqliteLogWriter(path, max_queued_bytes=max_queued_bytes)
    try:
        return await asyncio.gather(*(writer.append(records) for records in requests))
    finally:
        await writer.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.db"


def test_each_request_learns_the_offset_of_its_own_last_record(path):
    requests = [[record(user, b"%d-%d" % (user, n)) for n in range(1 + user % 3)] for user in range(100)]
    offsets = asyncio.run(append_all(path, requests))
    reader = SqliteLogReader(path)
    stored = {r.offset: r.value for r in reader.read(0, MIB)}
    reader.close()
    assert [stored[offset] for offset in offsets] == [records[-1].value for records in requests]
    assert sorted(stored) == list(range(1, sum(map(len, requests)) + 1))


def test_records_of_one_request_stay_together_and_in_order(path):
    requests = [[record(user, b"%d" % n) for n in range(70)] for user in range(3)]
    asyncio.run(append_all(path, requests))
    reader = SqliteLogReader(path)
    read = reader.read(0, MIB)
    reader.close()
    for start in range(0, 210, 70):
        assert [r.value for r in read[start : start + 70]] == [b"%d" % n for n in range(70)]
        assert len({r.user_id for r in read[start : start + 70]}) == 1


def test_reading_starts_after_the_given_offset_and_ends_near_the_given_size(path):
    asyncio.run(append_all(path, [[record(1, b"a" * 100) for _ in range(20)]]))
    reader = SqliteLogReader(path)
    assert [r.offset for r in reader.read(5, 250)] == [6, 7, 8]
    assert [r.offset for r in reader.read(19, 1)] == [20]
    assert reader.read(20, 250) == []
    assert reader.end() == 20
    reader.close()


def test_offsets_never_restart_when_everything_was_trimmed(path):
    asyncio.run(append_all(path, [[record() for _ in range(3)]]))
    reader = SqliteLogReader(path)
    name = reader.name
    assert reader.trim(upto=3, older_than_us=1 << 62) == 3
    assert reader.read(3, MIB) == []
    reader.close()
    assert append_now(path, [record()]) == 4
    again = SqliteLogReader(path)
    assert again.name == name
    again.close()


def test_trimming_spares_what_is_not_counted_and_what_is_young(path):
    asyncio.run(append_all(path, [[record() for _ in range(3)]]))
    reader = SqliteLogReader(path)
    assert reader.trim(upto=2, older_than_us=1 << 62) == 2
    assert reader.trim(upto=3, older_than_us=0) == 0
    assert [r.offset for r in reader.read(2, MIB)] == [3]
    reader.close()


def delete(path, offsets):
    with closing(sqlite3.connect(path, isolation_level=None)) as outside:
        outside.executemany('DELETE FROM records WHERE "offset" = ?', [(offset,) for offset in offsets])


@pytest.mark.parametrize(
    ("gone", "after", "gap"),
    [((1, 2), 0, (1, 2)), ((4, 5), 3, (4, 5)), ((8, 9), 7, (8, 9)), (range(1, 10), 4, (5, 9))],
)
def test_records_that_are_gone_before_they_were_read_are_a_gap_and_not_skipped(path, gone, after, gap):
    asyncio.run(append_all(path, [[record() for _ in range(9)]]))
    delete(path, gone)
    with closing(SqliteLogReader(path)) as reader:
        with pytest.raises(GapError) as caught:
            reader.read(after, MIB)
        assert (caught.value.first, caught.value.last) == gap
        assert [r.offset for r in reader.read(gap[1], MIB)] == [n for n in range(gap[1] + 1, 10) if n not in gone]


def test_what_comes_before_a_gap_is_read_first(path):
    asyncio.run(append_all(path, [[record() for _ in range(9)]]))
    delete(path, [4])
    with closing(SqliteLogReader(path)) as reader:
        assert [r.offset for r in reader.read(0, MIB)] == [1, 2, 3]


def test_two_logs_have_two_names(tmp_path):
    names = set()
    for folder in ("a", "b"):
        reader = SqliteLogReader(tmp_path / folder / "log.db")
        names.add(reader.name)
        reader.close()
    assert len(names) == 2


def test_a_full_queue_refuses_at_once_and_takes_again_when_it_is_empty(path):
    async def scenario():
        writer = SqliteLogWriter(path, max_queued_bytes=1000)
        first = asyncio.ensure_future(writer.append([record(1, b"a" * 900)]))
        await asyncio.sleep(0)  # the first request is queued now
        with pytest.raises(UnavailableError, match="full"):
            await writer.append([record(2, b"b" * 200)])
        await first
        assert await writer.append([record(2, b"b" * 200)]) == 2
        await writer.close()
        with pytest.raises(UnavailableError, match="stopping"):
            await writer.append([record()])

    asyncio.run(scenario())


def test_a_log_that_cannot_be_written_acknowledges_nothing_and_recovers(path):
    async def scenario():
        writer = SqliteLogWriter(path, max_queued_bytes=MIB)
        outside = sqlite3.connect(path, isolation_level=None)
        outside.execute("CREATE TRIGGER refuse BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        with pytest.raises(UnavailableError, match="disk is full"):
            await writer.append([record()])
        outside.execute("DROP TRIGGER refuse")
        outside.close()
        assert await writer.append([record(7)]) == 1  # what is rolled back leaves no hole that looks like a loss
        await writer.close()

    asyncio.run(scenario())
    reader = SqliteLogReader(path)
    assert [r.user_id for r in reader.read(0, MIB)] == [7]
    reader.close()


def test_an_append_wakes_a_waiting_reader(path):
    reader = SqliteLogReader(path)
    code = (
        "import sys; from pathlib import Path; from schemas.record import *; from storage.log.sqlite import append_now;"
        "append_now(Path(sys.argv[1]), [Record(1, Kind.HEARTBEATS, b'x')])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    reader.wait(60)  # returns at the ring, long before
    assert [r.offset for r in reader.read(0, MIB)] == [1]
    assert process.wait(30) == 0
    reader.close()


@pytest.mark.parametrize("end", ["writer", "reader"])
def test_a_second_process_at_the_same_end_is_refused_with_a_clear_line(path, end):
    async def two_writers():
        writer = SqliteLogWriter(path, max_queued_bytes=MIB)
        try:
            SqliteLogWriter(path, max_queued_bytes=MIB)
        finally:
            await writer.close()

    def two_readers():
        reader = SqliteLogReader(path)
        try:
            SqliteLogReader(path)
        finally:
            reader.close()

    with pytest.raises(LockedError, match=f"{os.getpid()}: the embedded log takes one"):
        asyncio.run(two_writers()) if end == "writer" else two_readers()


def test_who_holds_the_log_for_a_command_is_worth_waiting_for(path):
    with closing(SqliteLogReader(path, for_a_command=True)), pytest.raises(BusyError, match="a command"):
        SqliteLogReader(path)
    with closing(SqliteLogReader(path)), pytest.raises(LockedError) as caught:
        SqliteLogReader(path)
    assert not isinstance(caught.value, BusyError)


def test_an_error_that_nobody_expected_in_the_writing_thread_refuses_its_requests_and_no_later_ones(path):
    async def scenario():
        writer = SqliteLogWriter(path, max_queued_bytes=MIB)
        unwritable = record(1 << 70)  # the driver's OverflowError is no sqlite3.Error
        with pytest.raises(UnavailableError, match="cannot be written"):
            await asyncio.wait_for(writer.append([unwritable]), 60)
        assert await asyncio.wait_for(writer.append([record()]), 60) == 1
        await writer.close()

    asyncio.run(scenario())
