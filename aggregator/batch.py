"""One micro-batch: records in, one transaction out (design.md, commit protocol, "Count")."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import prometheus_client as prometheus
import sqlalchemy as sa
import zstandard

from aggregator.counter import Counter
from schemas.heartbeat import Heartbeat
from schemas.placeholders import has_placeholders, resolve
from schemas.record import StoredRecord, pack_lines, unpack_lines
from schemas.tables import dead_letters, tombstones
from storage.stats.segments import append_tail, save_groups, save_last_values
from storage.stats.shard import Shard

_COUNTED: Final = prometheus.Counter(
    "heartline_aggregator_heartbeats", "Heartbeats read from the log, by outcome", ["outcome"]
)
_NEW, _DUPLICATE, _DROPPED = (_COUNTED.labels(outcome) for outcome in ("new", "duplicate", "dropped"))
_SET_ASIDE: Final = prometheus.Counter("heartline_aggregator_dead_letters", "Records that were set aside")

logger = logging.getLogger(__name__)


class BadRecordError(Exception):
    """A record that cannot be processed; the text says why."""


_BAD_DATA: Final = (
    BadRecordError,
    msgspec.MsgspecError,
    zstandard.ZstdError,
    sa.exc.DataError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
)
"""Errors that the data causes, whenever it is tried; everything else is a failure of the place, and is tried again."""

_STRAY: Final = (
    "The user's heartbeats are counted in another shard: an ingest ran on while partitions were added. "
    "`heartline dead-letters retry` counts it there"
)

TailRow = tuple[str, int, int, int, int, int, int, bytes]


class _Counted(NamedTuple):
    """How much a transaction took over: log records, and the new heartbeats in them."""

    records: int
    heartbeats: int


class _Batch:
    """What a micro-batch will write."""

    def __init__(self) -> None:
        self.tail: list[TailRow] = []
        self.heartbeats = self.duplicates = 0
        self.dropped: dict[int, int] = {}  # user id → heartbeats of a removed user


class BatchCounter:
    """Counts micro-batches of one shard, each in one transaction with the watermark."""

    def __init__(self, shard: Shard, counter: Counter) -> None:
        self._shard = shard
        self._counter = counter
        self._removed: set[int] = set()  # as far as they were met

    def count(self, records: Sequence[StoredRecord]) -> int:
        """Count heartbeat records and move the watermark over them; return how many heartbeats were new.

        It is one transaction, or several where one would hold too much in memory. Records that cannot be processed
        become dead letters. Raises `FencedError`, and what the database raises: then nothing above the watermark was
        written, and `Counter.forget` is the caller's to call.
        """
        new = 0
        while records:
            counted = self._count_some(records)
            records = records[counted.records :]
            new += counted.heartbeats
        return new

    def recount(self, record: StoredRecord, also: Callable[[sa.Connection, int], None]) -> None:
        """Count a record that was set aside, at its new offset, and do `also` (given how many were new) with it.

        Raises `BadRecordError` where it still cannot be processed, and what `count` raises.
        """
        try:
            self._count_together([record], also)
        except _BAD_DATA as error:
            self._counter.forget()
            raise BadRecordError(f"It still cannot be counted, and stays: {_reason(error)}") from error

    def forget_user(self, user_id: int) -> None:
        """Drop every later heartbeat of a user who has been removed."""
        self._removed.add(user_id)
        self._counter.forget(user_id)

    def _count_some(self, records: Sequence[StoredRecord]) -> _Counted:
        """Count some of the first records, at least one, in one transaction."""
        try:
            return self._count_together(records)
        except _BAD_DATA as error:
            self._counter.forget()
            if len(records) == 1:
                self._set_aside(records[0], error)
                return _Counted(1, 0)
        return self._count_some(records[: len(records) // 2])

    def _count_together(
        self, records: Sequence[StoredRecord], also: Callable[[sa.Connection, int], None] | None = None
    ) -> _Counted:
        batch = _Batch()
        done = 0
        while done < len(records) and not (done and self._counter.is_full):
            self._apply(records[done], batch)
            done += 1
        changes = self._counter.changes()
        with self._shard.writing(records[done - 1].offset) as connection:
            save_groups(connection, changes.segments)
            save_last_values(connection, changes.last_values)
            append_tail(connection, batch.tail)
            _count_dropped(connection, batch.dropped)
            if also is not None:
                also(connection, batch.heartbeats)
        self._counter.committed()
        _NEW.inc(batch.heartbeats)
        _DUPLICATE.inc(batch.duplicates)
        _DROPPED.inc(sum(batch.dropped.values()))
        return _Counted(done, batch.heartbeats)

    def _apply(self, record: StoredRecord, batch: _Batch) -> None:
        user_id = record.user_id
        if not self._shard.owns(user_id):
            raise BadRecordError(_STRAY)
        sent = unpack_lines(record.value)
        if self._is_removed(user_id):
            batch.dropped[user_id] = batch.dropped.get(user_id, 0) + len(sent)
            return
        heartbeats = self._resolve(user_id, sent)
        new = self._counter.count(user_id, heartbeats)
        batch.duplicates += len(sent) - len(new)
        if new:
            untouched = heartbeats is sent and len(new) == len(sent)
            value = record.value if untouched else pack_lines(new)
            batch.tail.append(_tail_row(self._shard, record, new, value))
            batch.heartbeats += len(new)

    def _is_removed(self, user_id: int) -> bool:
        """Tell whether a tombstone stands for the user: asked once, before anything of theirs is in memory.

        The user may have been another shard's when they were removed.
        """
        if user_id not in self._removed and not self._counter.holds(user_id):
            mine = sa.select(tombstones.c.user_id).where(tombstones.c.user_id == user_id)
            with self._shard.database.reading() as connection:
                if connection.scalar(mine) is not None:
                    self._removed.add(user_id)
        return user_id in self._removed

    def _resolve(self, user_id: int, sent: list[Heartbeat]) -> list[Heartbeat]:
        if not has_placeholders(sent):
            return sent
        return resolve(sent, lambda project: self._counter.stored_values(user_id, project), infer=True)

    def _set_aside(self, record: StoredRecord, error: Exception) -> None:
        _SET_ASIDE.inc()
        logger.error("Record %d of the log is set aside as a dead letter: %s", record.offset, error)
        with self._shard.writing(record.offset) as connection:
            connection.execute(
                sa.insert(dead_letters).values(
                    log=self._shard.log,
                    shard=self._shard.number,
                    offset=record.offset,
                    user_id=record.user_id,
                    reason=storable(_reason(error)),
                    kind=record.kind,
                    value=record.value,
                    set_aside_at_us=time.time_ns() // 1000,
                )
            )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def storable(reason: str) -> str:
    """Give a text that every database can keep, whatever of the bad data an error quotes."""
    return reason[:1000].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _tail_row(shard: Shard, record: StoredRecord, new: Sequence[Heartbeat], value: bytes) -> TailRow:
    times = [h.time_us for h in new]
    return shard.log, shard.number, record.offset, record.user_id, min(times), max(times), len(new), value


def _count_dropped(connection: sa.Connection, dropped: dict[int, int]) -> None:
    for user_id, count in dropped.items():
        connection.execute(
            sa.update(tombstones).where(tombstones.c.user_id == user_id).values(dropped=tombstones.c.dropped + count)
        )
