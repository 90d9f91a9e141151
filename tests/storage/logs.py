"""The two logs behind the same few calls, for tests that both must pass."""

import asyncio
import contextlib
import subprocess
import sys
import time
import uuid

from schemas.record import Kind, Record
from storage.log.kafka import KafkaTopic, shard_of
from storage.log.kafka_reader import KafkaLogReader
from storage.log.kafka_topics import create_topic, describe_topic
from storage.log.kafka_writer import KafkaLogWriter
from storage.log.kafka_writer import append_now as append_now_kafka
from storage.log.loop_thread import LoopThread
from storage.log.sqlite import SqliteLogReader, SqliteLogWriter
from storage.log.sqlite import append_now as append_now_sqlite

MIB = 1 << 20
SETTLED_WITHIN_S = 60


def record(user_id=1, value=b"x"):
    return Record(user_id, Kind.HEARTBEATS, value)


def wait_until(holds):
    """Wait for what other processes bring about in their own time."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class SqliteLog:
    """A fresh embedded log."""

    def __init__(self, folder):
        self.path = folder / uuid.uuid4().hex / "log.db"

    @contextlib.asynccontextmanager
    async def writer(self, max_queued_bytes=MIB):
        writer = SqliteLogWriter(self.path, max_queued_bytes=max_queued_bytes)
        try:
            yield writer
        finally:
            await writer.close()

    @contextlib.contextmanager
    def reader(self):
        with contextlib.closing(SqliteLogReader(self.path)) as reader:
            yield reader

    def reader_of(self, user_id):  # noqa: ARG002 - there is one shard
        return self.reader()

    def append_now(self, records):
        return append_now_sqlite(self.path, records)

    def append_in_another_process(self, code):
        """Run `code`, in which `writer` is open; return what it has written."""
        made = f"SqliteLogWriter(Path({str(self.path)!r}), max_queued_bytes=1 << 20)"
        return _run(f"from pathlib import Path\nfrom storage.log.sqlite import SqliteLogWriter\n{_PROCESS}", made, code)


class KafkaLog:
    """A fresh topic."""

    def __init__(self, broker, partitions=1, name=None):
        self.topic = KafkaTopic.parse(broker.url(name or f"t-{uuid.uuid4().hex}"))
        create_topic(self.topic, partitions, 1)
        self._partitions = partitions

    @contextlib.asynccontextmanager
    async def writer(self, max_queued_bytes=MIB, **options):
        writer = KafkaLogWriter(self.topic, max_queued_bytes=max_queued_bytes, **options)
        try:
            await writer.ready()
            yield writer
        finally:
            await writer.close()

    @contextlib.contextmanager
    def reader(self, shard=0):
        loop = LoopThread("test")
        with contextlib.closing(loop):
            facts = describe_topic(self.topic)
            with contextlib.closing(KafkaLogReader(self.topic, facts.id, shard, facts.partitions, loop)) as reader:
                yield reader

    def reader_of(self, user_id):
        return self.reader(shard_of(user_id, self._partitions))

    def append_now(self, records):
        return append_now_kafka(self.topic, records)

    def append_in_another_process(self, code):
        """Run `code`, in which `writer` is open; return what it has written."""
        made = f"KafkaLogWriter(KafkaTopic.parse({self.topic.url!r}), max_queued_bytes=1 << 20)"
        imports = "from storage.log.kafka import KafkaTopic\nfrom storage.log.kafka_writer import KafkaLogWriter\n"
        return _run(imports + _PROCESS, made, f"await writer.ready()\n    {code}")


_PROCESS = """
import asyncio, os, signal
from schemas.record import Kind, Record

async def main():
    writer = MADE
    CODE

asyncio.run(main())
"""


def _run(script, made, code):
    done = subprocess.run(
        [sys.executable, "-c", script.replace("MADE", made).replace("CODE", code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def append_all(log, requests, **options):
    """Append requests at the same time; return their offsets, or the errors."""

    async def appending():
        async with log.writer(**options) as writer:
            return await asyncio.gather(*(writer.append(records) for records in requests), return_exceptions=True)

    return asyncio.run(appending())


def read_all(reader, after=0, max_bytes=MIB):
    """Read what there is, in steps, as an aggregator would."""
    end = reader.end()
    read = []
    while records := reader.read(after, max_bytes):
        read += records
        after = records[-1].offset
    assert after <= end
    return read
