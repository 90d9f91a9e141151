"""What any log must do: the embedded one and Kafka pass the same tests."""

import asyncio
import signal
import threading

import pytest

from schemas.record import FORMAT_VERSION, Kind, Record, StoredRecord
from storage.errors import UnavailableError
from tests.storage.logs import MIB, KafkaLog, SqliteLog, append_all, read_all, record


@pytest.fixture(params=["sqlite", "kafka"])
def new_log(request, tmp_path):
    """Make a fresh log with each call."""
    if request.param == "sqlite":
        return lambda: SqliteLog(tmp_path)
    broker = request.getfixturevalue("kafka_broker")
    return lambda: KafkaLog(broker)


@pytest.fixture
def log(new_log):
    return new_log()


def test_an_empty_log_ends_at_0_and_has_nothing_to_read(log):
    with log.reader() as reader:
        assert reader.end() == 0
        assert reader.read(0, MIB) == []


def test_each_request_learns_the_offset_of_its_own_last_record(log):
    requests = [[record(user, b"%d-%d" % (user, n)) for n in range(1 + user % 3)] for user in range(100)]
    offsets = append_all(log, requests)
    with log.reader() as reader:
        stored = {r.offset: r.value for r in read_all(reader)}
        assert reader.end() == len(stored)
    assert [stored[offset] for offset in offsets] == [records[-1].value for records in requests]
    assert sorted(stored) == list(range(1, sum(map(len, requests)) + 1))


def test_records_of_one_request_keep_their_order(log):
    append_all(log, [[record(user, b"%d" % n) for n in range(70)] for user in range(3)])
    with log.reader() as reader:
        read = read_all(reader)
    for user in range(3):
        assert [r.value for r in read if r.user_id == user] == [b"%d" % n for n in range(70)]


def test_requests_one_after_the_other_keep_their_order(log):
    async def scenario():
        async with log.writer() as writer:
            return [await writer.append([record(n % 3, b"%d" % n)]) for n in range(20)]

    assert asyncio.run(scenario()) == list(range(1, 21))
    with log.reader() as reader:
        assert [r.value for r in read_all(reader)] == [b"%d" % n for n in range(20)]


def test_a_record_comes_back_as_it_was_given(log):
    value = bytes(range(256)) * 2000
    offset = log.append_now([Record(2**62, Kind.COMMAND, value, version=7)])
    with log.reader() as reader:
        assert reader.read(0, 1) == [StoredRecord(offset, 2**62, Kind.COMMAND, 7, value)]


def test_reading_starts_after_the_given_offset_and_ends_near_the_given_size(log):
    append_all(log, [[record(1, b"a" * 100) for _ in range(20)]])
    with log.reader() as reader:
        assert [r.offset for r in reader.read(5, 250)] == [6, 7, 8]
        assert [r.offset for r in reader.read(6, 250)] == [7, 8, 9]  # fewer were taken than were given
        assert [r.offset for r in reader.read(6, 250)] == [7, 8, 9]  # and again, after a failure
        assert [r.offset for r in reader.read(19, 1)] == [20]
        assert reader.read(20, 250) == []
        assert [r.offset for r in reader.read(2, 1)] == [3]  # back, after another owner's watermark
        assert len(reader.read(0, MIB)) == 20


def test_a_new_reader_goes_on_where_another_one_stopped(log):
    append_all(log, [[record(1, b"%d" % n)] for n in range(10)])
    with log.reader() as reader:
        reader.read(0, 1)
    append_all(log, [[record(1, b"later")]])
    with log.reader() as reader:
        assert [r.offset for r in reader.read(7, MIB)] == [8, 9, 10, 11]


def test_what_was_acknowledged_survives_the_death_of_its_writer(log):
    code, printed = log.append_in_another_process(
        "print(await writer.append([Record(7, Kind.HEARTBEATS, b'kept')]), flush=True); os.kill(os.getpid(), 9)"
    )
    assert (code, printed) == (-signal.SIGKILL, "1\n")
    with log.reader() as reader:
        assert reader.read(0, MIB) == [StoredRecord(1, 7, Kind.HEARTBEATS, FORMAT_VERSION, b"kept")]


def test_an_append_wakes_a_waiting_reader(log):
    with log.reader() as reader:
        assert reader.read(0, MIB) == []
        appending = threading.Thread(target=log.append_now, args=([record()],))
        appending.start()
        reader.wait(60)  # returns long before
        assert [r.offset for r in reader.read(0, MIB)] == [1]
        appending.join()


def test_waiting_ends_when_nothing_comes_and_misses_nothing_afterwards(log):
    with log.reader() as reader:
        reader.wait(0.01)
        assert reader.read(0, MIB) == []
        reader.wait(0.01)
        log.append_now([record()])
        assert reader.end() == 1
        assert [r.offset for r in reader.read(0, MIB)] == [1]


def test_a_full_queue_refuses_at_once_and_takes_again_when_it_is_empty(log):
    async def scenario():
        async with log.writer(max_queued_bytes=1000) as writer:
            first = asyncio.ensure_future(writer.append([record(1, b"a" * 900)]))
            await asyncio.sleep(0)  # the first request is queued now
            with pytest.raises(UnavailableError, match="full"):
                await writer.append([record(2, b"b" * 200)])
            await first
            assert await writer.append([record(2, b"b" * 200)]) == 2

    asyncio.run(scenario())
    with log.reader() as reader:
        assert len(read_all(reader)) == 2


def test_a_closed_writer_refuses(log):
    async def scenario():
        async with log.writer() as writer:
            pass
        with pytest.raises(UnavailableError, match="stopping"):
            await writer.append([record()])

    asyncio.run(scenario())


def test_a_log_keeps_its_name_and_shares_it_with_no_other(new_log):
    logs = [new_log(), new_log()]
    names = []
    for log in (*logs, *logs):
        with log.reader() as reader:
            names.append(reader.name)
    assert names[:2] == names[2:]
    assert len(set(names)) == 2
