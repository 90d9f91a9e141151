"""The aggregator: follows one shard of the log, micro-batch by micro-batch, and keeps tail and lake in shape."""

import logging
import threading
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Final

import msgspec
import pyarrow as pa
import sqlalchemy as sa

from aggregator.batch import BatchCounter
from aggregator.commands import CommandRunner
from aggregator.compact import compact
from aggregator.counter import Counter
from aggregator.flush import Flush, begin_flush, finish_flush, write_files
from aggregator.recover import recover
from schemas.record import Kind, StoredRecord
from schemas.tables import tail
from storage.errors import FencedError, StorageError
from storage.history import History
from storage.lake import Lake
from storage.log import LogReader
from storage.stats import Database
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)

_WAIT_S: Final = 0.25  # how late a stop may be noticed at rest; new records ring at once
_RETRY_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_UPKEEP_INTERVAL_S: Final = 60.0  # trimming the log, compacting closed days: at rest,
_UPKEEP_OVERDUE_S: Final = 600.0  # or in between when there is no rest
_BATCH_RECORDS: Final = 400  # 40,000 heartbeats at most, however well they compress
_FLUSH_RETRY_S: Final = 10.0  # after a flush that failed; counting goes on, the tail keeps everything


class AggregatorConfig(msgspec.Struct, frozen=True):
    """What bounds an aggregator."""

    flush_rows: int = 500_000  # heartbeats in tail before they go to Parquet: large files, some 100 MB to sort
    flush_interval_s: float = 600.0  # tail is durable: no hurry, but analysts read files
    batch_bytes: int = 1 << 20  # compressed records a micro-batch: some 20,000 heartbeats
    cache_rows: int = 1_000_000  # segments and heartbeats in memory, about 300 bytes each
    compact_files: int = 8
    log_keep_s: float = 86_400.0  # records stay readable for this long after they were counted
    stop_within_s: float = 6.0  # for counting what is left and flushing it; the rest stays in log and tail


class Aggregator:
    """The owner of one shard. Make it, then `run`; or, from a command, `run_until` an offset.

    Raises `LockedError` or `StorageError` where the shard cannot be taken.
    """

    def __init__(
        self,
        database: Database,
        log: LogReader,
        lake: Lake,
        config: AggregatorConfig,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._log = log
        self._lake = lake
        self._config = config
        self._clock = clock
        self._shard = Shard.take(database, log.name)
        if log.end() < self._shard.offset:
            raise StorageError(
                f"The log ends at offset {log.end()}, but {self._shard.offset} is counted already: it is older than "
                "the stats database. Put the newer log back, or the stats and the lake that belong to this one."
            )
        recover(self._shard, lake)
        self._reading = database.statements()
        self._counter = Counter(self._reading, History(database, lake), config.cache_rows)
        self._batches = BatchCounter(self._shard, self._counter)
        self._commands = CommandRunner(
            self._shard, lake, self._batches, self._counter, self.flush_now, config.compact_files
        )
        self._flushing: threading.Thread | None = None
        self._flush_error: BaseException | None = None
        self._flush: Flush | None = None
        self._tail_rows = self._count_tail()
        self._flushed_at = self._upkept_at = clock()
        self._flush_not_before = self._flushed_at

    def run(self, stop: threading.Event) -> None:
        """Follow the log until `stop` is set, then count what is left, flush and return. Raises `FencedError`."""
        failures = 0
        while not stop.is_set():
            try:
                if not self.step():
                    self._upkeep(_UPKEEP_INTERVAL_S)
                    self._log.wait(_WAIT_S)
                else:
                    self._upkeep(_UPKEEP_OVERDUE_S)
                failures = 0
            except FencedError:
                raise
            except (StorageError, sa.exc.DBAPIError, OSError) as error:
                delay = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                failures += 1
                logger.error("The aggregator failed and tries again in %.1f s: %s", delay, error)  # noqa: TRY400 - one line
                stop.wait(delay)
                self._start_over()
        self._finish()

    def run_until(self, offset: int) -> None:
        """Count up to and including `offset`."""
        while self._shard.offset < offset and self.step():
            pass

    def step(self) -> bool:
        """Process one micro-batch, or one command; False where the log has nothing new."""
        self._maybe_flush()
        records = self._log.read(self._shard.offset, self._config.batch_bytes)
        if not records:
            return False
        batch = list(takewhile(_carries_heartbeats, records[:_BATCH_RECORDS]))
        if batch:
            self._tail_rows += self._batches.count(batch)
        else:
            self._end_flush(wait=True)  # commands rewrite what a flush reads
            self._commands.run(records[0])
            self._tail_rows = self._count_tail()
        return True

    def flush_now(self) -> int:
        """Write the whole tail to Parquet; return how many heartbeats it held."""
        self._end_flush(wait=True)
        flushed = 0
        while rows := self._begin_flush():
            self._end_flush(wait=True)
            flushed += rows
        return flushed

    def close(self) -> None:
        """Wait for a flush under way, and let go of the database; the log is the caller's."""
        if self._flushing is not None:
            self._flushing.join()
        self._reading.close()

    def _maybe_flush(self) -> None:
        now = self._clock()
        try:
            if self._flushing is not None:
                self._end_flush(wait=False)
            due = now - self._flushed_at >= self._config.flush_interval_s
            full = self._tail_rows >= self._config.flush_rows
            if self._flushing is None and now >= self._flush_not_before and self._tail_rows and (full or due):
                self._begin_flush()
        except FencedError:
            raise
        except (StorageError, sa.exc.DBAPIError, OSError, pa.ArrowException) as error:
            self._flush_not_before = now + _FLUSH_RETRY_S
            logger.error("The tail could not be flushed, again in %.0f s: %s", _FLUSH_RETRY_S, error)  # noqa: TRY400 - one line

    def _begin_flush(self) -> int:
        """Start writing tail to Parquet beside the counting; return how many heartbeats go."""
        self._flushed_at = self._clock()
        flush = begin_flush(self._shard, max_rows=self._config.flush_rows)
        if flush is None:
            return 0
        self._flush = flush
        self._flushing = threading.Thread(target=self._write_files, args=(flush,), name="flush", daemon=True)
        self._flushing.start()
        return flush.rows

    def _write_files(self, flush: Flush) -> None:
        try:
            write_files(flush, self._database, self._lake)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that owns the shard
            self._flush_error = error

    def _end_flush(self, *, wait: bool) -> None:
        """Make the files live once they are written. Raises what the writing raised: the tail then stays."""
        if self._flushing is None or self._flush is None or (self._flushing.is_alive() and not wait):
            return
        self._flushing.join()
        flush, error = self._flush, self._flush_error
        self._flushing = self._flush = self._flush_error = None
        if error is not None:
            raise error
        finish_flush(self._shard, flush)
        self._tail_rows -= flush.rows

    def _upkeep(self, interval_s: float) -> None:
        now = self._clock()
        if now - self._upkept_at < interval_s:
            return
        self._upkept_at = now
        older_than_us = int((now - self._config.log_keep_s) * 1_000_000)
        while self._log.trim(self._shard.offset, older_than_us):
            pass
        if self._flushing is None and compact(self._shard, self._lake, min_files=self._config.compact_files, now_s=now):
            self._counter.forget()  # the audit may have repaired what is held here

    def _start_over(self) -> None:
        """After a failure: what is in memory may be ahead of the database."""
        self._counter.forget()
        try:
            self._shard.refresh()
            self._tail_rows = self._count_tail()
        except sa.exc.DBAPIError as error:
            logger.error("The stats database cannot be read: %s", error)  # noqa: TRY400 - one line an event

    def _finish(self) -> None:
        deadline = time.monotonic() + self._config.stop_within_s
        while time.monotonic() < deadline and self.step():
            pass
        if time.monotonic() < deadline:
            self.flush_now()
        self.close()

    def _count_tail(self) -> int:
        with self._database.reading() as connection:
            return connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(tail.c.count), 0))) or 0


def _carries_heartbeats(record: StoredRecord) -> bool:
    return record.kind == Kind.HEARTBEATS
