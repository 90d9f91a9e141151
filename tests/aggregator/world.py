"""The real aggregator on a real log, database and lake, driven step by step; and what its tables hold, decoded."""

import contextlib
import hashlib

import sqlalchemy as sa

from aggregator.service import Aggregator, AggregatorConfig
from query_api.ranges import measure_range
from schemas import tables
from schemas.dimensions import Dimension, decode_value
from schemas.heartbeat import Heartbeat
from schemas.record import command_record, heartbeat_records
from schemas.segment import whole_seconds
from storage.directory import Directory, NewUser
from storage.history import History
from storage.lake.folder import FolderLake
from storage.stats import Database
from storage.stats.reader import Span, StatsReader
from tests.places import SHARDS
from tests.storage.logs import SqliteLog

NEVER_S = 1e12


class World:
    """One user's heartbeats through a shard, its aggregator, database and lake; another user comes between.

    Log and lake lie in the folder, unless others are given.
    """

    def __init__(self, folder, stats_url, zone, cache_rows=1_000_000, log=None, lake=None):
        self.folder = folder
        self.database = Database(stats_url)
        self.lake = lake or FolderLake(folder / "lake")
        self._place = log or SqliteLog(folder)
        self.config = AggregatorConfig(flush_interval_s=NEVER_S, cache_rows=cache_rows)
        user, _ = Directory(self.database).add(NewUser(username="ann", timezone=zone))
        self.user_id = user.user_id
        other, _ = Directory(self.database).add(NewUser(username="bob", user_id=user.user_id + SHARDS))  # same shard
        self.other_id = other.user_id
        self.history = History(self.database, self.lake)
        self.reader = StatsReader(self.database)
        self._open()

    def _open(self):
        self._reading = contextlib.ExitStack()
        self.log = self._reading.enter_context(self._place.reader_of(self.user_id))
        self.aggregator = Aggregator(self.database, self.log, self.lake, self.config)

    def _shut(self):
        self.aggregator.close()
        self._reading.close()

    def restart(self):
        """Another aggregator takes the shard over, with nothing in memory."""
        self._shut()
        self._open()

    def close(self):
        self._shut()
        self.reader.close()
        self.database.close()

    def deliver(self, requests):
        """Append one record for each request, all at once, and let the aggregator count them."""
        self.append([r for request in requests for r in heartbeat_records(self.user_id, list(map(sent, request)))])
        self._work()

    def deliver_of_another(self, number):
        """Let the aggregator count a heartbeat of the other user: with a small cache it forgets the first one."""
        line = sent(heartbeat(2 * 10**15 - 10**9 + number))
        self.append(heartbeat_records(self.other_id, [line]))
        self._work()

    def command(self, command):
        """Send a command through the log; it must be applied."""
        offset = self.append([command_record(command, self.user_id)])
        self._work()
        results = tables.command_results
        with self.database.reading() as connection:
            assert connection.execute(sa.select(results.c.error).where(results.c.offset == offset)).one() == (None,)

    def flush(self):
        self.aggregator.flush_now()

    def append(self, records):
        """Append to the shard; return the last offset."""
        return self._place.append_now(records)

    def _work(self):
        self.log.end()  # asked for: until then Kafka's reader may not know of what was just appended
        while self.aggregator.step():
            pass

    def segments(self):
        """Every row of the user: {(calendar, day, dimension, value): (first, last, duration, count)}."""
        c = tables.segments.c
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(tables.segments).where(c.user_id == self.user_id)).all()
        return {
            (r.calendar, r.day, Dimension(r.dimension), decode_value(r.value)): (
                r.first_us,
                r.last_us,
                r.duration_us,
                r.count,
            )
            for r in rows
        }

    def stored(self):
        """All single heartbeats, from tail and lake, as (time_us, id)."""
        return [(h.time_us, h.id) for h in self.history.read(self.user_id, 0, 1 << 61)]

    def range_seconds(self, start_us, end_us):
        """Whole seconds of a range: {(dimension, value): seconds}, as the read API measures it."""
        dimensions = (Dimension.PROJECT, Dimension.LANGUAGE)
        measured = measure_range(self.reader, self.history, self.user_id, Span(start_us, end_us), dimensions)
        return {key: whole_seconds(segment.duration_us) for key, segment in measured.items()}


def heartbeat(time_us, **fields):
    """A heartbeat as the oracle takes it; its id is a hash of what it says."""
    digest = hashlib.sha256(repr((time_us, sorted(fields.items()))).encode()).digest()
    return {"id": int.from_bytes(digest[:8], "big") >> 1 | 1, "time_us": time_us, **fields}


def sent(h):
    """The same as a line of a log record."""
    return Heartbeat(created_at_us=1, **h)
