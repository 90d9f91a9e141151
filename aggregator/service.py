"""The aggregator: follows one shard of the log, micro-batch by micro-batch, and keeps tail and lake in shape."""

import logging
import threading
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Final

import msgspec
import sqlalchemy as sa

from aggregator.alarm import Alarm
from aggregator.batch import BatchCounter
from aggregator.beside import Beside
from aggregator.commands import CommandRunner
from aggregator.compact import compact, give_up
from aggregator.counter import Counter
from aggregator.duty import FAILURES_OF_A_PLACE, Duty
from aggregator.flush import begin_flush, finish_flush, write_files
from aggregator.recover import leave_nothing_unfinished, recover
from aggregator.repair import give_up_lost_files
from aggregator.tzdata import apply_new_tzdata
from aggregator.upkeep import Upkeep
from schemas.record import FORMAT_VERSION, Kind, StoredRecord
from schemas.tables import tail
from storage.errors import FencedError, GapError, LossError, StandstillError, StoppedError
from storage.history import History
from storage.lake import Lake
from storage.log import LogReader
from storage.stats import Database
from storage.stats.shard import Shard, refuse_older_log

logger = logging.getLogger(__name__)

_WAIT_S: Final = 0.25  # how late a stop may be noticed at rest; new records ring at once
_RETRY_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_LOOK_AGAIN_S: Final = 1.0  # whether a shard that stands still may go on
_BATCH_RECORDS: Final = 400  # 40,000 heartbeats at most, however well they compress


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
        self._shard = Shard.take(database, log.name, log.shard, log.shards)
        refuse_older_log(self._shard.offset, log.end())
        recover(self._shard, lake)
        self._new_tzdata = apply_new_tzdata(self._shard, lake)
        self._counter = Counter(database, History(database, lake), config.cache_rows)
        self._batches = BatchCounter(self._shard, self._counter)
        self._commands = CommandRunner(
            self._shard, lake, self._batches, self._counter, flush=self.flush_now, compact=self._compact_now
        )
        self._alarm = Alarm(self._shard)
        self._flushing: Beside[None] = Beside("flush")
        self._flush_duty = Duty("The tail could not be flushed", 0, clock)
        self._upkeep = Upkeep(
            self._shard,
            lake,
            log,
            compact_files=config.compact_files,
            log_keep_s=config.log_keep_s,
            forget=self._counter.forget,
            clock=clock,
        )
        self._stop = threading.Event()
        self._tail_rows = self._count_tail()
        self._flushed_at = clock()

    def run(self, stop: threading.Event) -> None:
        """Follow the log until `stop` is set, then count what is left, flush and return. Raises `FencedError` alone."""
        self._stop = stop
        failures = 0
        while not stop.is_set():
            try:
                if failures:
                    self._start_over()
                self._upkeep.step(stop, may_write=not self._flushing.is_busy)
                if not self.step():
                    self._log.wait(_WAIT_S)
                failures = 0
            except FencedError:
                raise
            except StandstillError:
                stop.wait(_LOOK_AGAIN_S)  # the alarm says why
            except Exception as error:  # noqa: BLE001 - whatever it is, the heartbeats behind it are to be counted
                delay_s = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                failures += 1
                _log_failure(error, delay_s)
                stop.wait(delay_s)
        self._finish(in_doubt=failures > 0)

    @property
    def watermark(self) -> int:
        """The last offset that is counted."""
        return self._shard.offset

    def run_until(self, offset: int) -> None:
        """Count up to and including `offset`. Raises whatever stands in the way."""
        while (self._shard.offset < offset or self._commands.rebuilder.is_busy) and self.step():
            pass

    def step(self) -> bool:
        """Process one micro-batch, or one command, and a part of a rebuild; False where there is nothing to do.

        Raises `StandstillError`, with the alarm raised, where trying again would mend nothing.
        """
        self._flush_duty.attend(self._flush_if_due)
        try:
            worked = self._process_next()
        except GapError as gap:
            if not self._alarm.skip_if_accepted(gap):
                self._alarm.show(gap)
                raise
            return True
        except LossError as loss:
            self._start_over()
            if not self._alarm.is_loss_accepted():
                self._alarm.show(loss)
                raise
            give_up_lost_files(self._shard, self._lake)
            worked = True
        except StandstillError as error:
            self._alarm.show(error)
            raise
        self._alarm.clear()
        return worked

    def flush_now(self) -> int:
        """Write the whole tail to Parquet; return how many heartbeats it held."""
        self._upkeep.interrupt()
        self._flushing.settle(wait=True)
        flushed = 0
        while rows := self._begin_flush():
            self._flushing.settle(wait=True)
            flushed += rows
        return flushed

    def close(self) -> None:
        """Wait for what is being written and drop it, and let go of the database; the log is the caller's."""
        for writing in (self._flushing, self._upkeep):
            writing.abandon()
        leave_nothing_unfinished(self._shard, self._lake)
        self._counter.close()

    def _process_next(self) -> bool:
        if next(self._new_tzdata, None) is not None:
            return True
        went_on = self._commands.rebuilder.go_on()
        records = self._log.read(self._shard.offset, self._config.batch_bytes)
        if not records:
            return went_on
        _refuse_newer_format(records[0])
        batch = list(takewhile(_is_countable, records[:_BATCH_RECORDS]))
        if batch:
            self._tail_rows += self._batches.count(batch)
        else:
            self._run_command(records[0])
        return True

    def _run_command(self, record: StoredRecord) -> None:
        self._upkeep.interrupt()  # commands rewrite what compaction
        self._flushing.settle(wait=True)  # and flush read
        self._commands.run(record)
        self._tail_rows = self._count_tail()

    def _flush_if_due(self) -> bool:
        if self._flushing.is_busy:
            self._flushing.settle(wait=False)
        due = self._clock() - self._flushed_at >= self._config.flush_interval_s
        full = self._tail_rows >= self._config.flush_rows
        if self._tail_rows and (full or due) and not (self._flushing.is_busy or self._upkeep.is_writing):
            self._begin_flush()
        return True

    def _begin_flush(self) -> int:
        """Start writing tail to Parquet beside the counting; return how many heartbeats go."""
        self._flushed_at = self._clock()
        flush = begin_flush(self._shard, max_rows=self._config.flush_rows)
        if flush is None:
            return 0

        def finish(_: None) -> None:
            finish_flush(self._shard, flush)
            self._tail_rows -= flush.rows

        self._flushing.start(lambda: write_files(flush, self._database, self._lake), finish)
        return flush.rows

    def _compact_now(self) -> int:
        return compact(
            self._shard, self._lake, min_files=self._config.compact_files, now_s=self._clock(), stop=self._stop
        )

    def _start_over(self) -> None:
        """After a failure: what is in memory may be ahead of the database, or, if a COMMIT's answer was lost, behind.

        Nothing may be counted before this has come through.
        """
        self._counter.forget()
        self._shard.refresh()
        self._tail_rows = self._count_tail()

    def _finish(self, *, in_doubt: bool) -> None:
        """Count, flush and clear away what there is time for; what fails now is left for the next start."""
        deadline = time.monotonic() + self._config.stop_within_s
        for act in (lambda: self._drain(deadline), self._flush_and_clear):
            if time.monotonic() < deadline:
                in_doubt = not self._try_last(act, in_doubt=in_doubt)
        self.close()

    def _flush_and_clear(self) -> None:
        """Leave the lake as it counts. Where it is away, the flush says so, and nothing more is asked of it."""
        self.flush_now()
        give_up(self._shard, self._lake)

    def _try_last(self, act: Callable[[], object], *, in_doubt: bool) -> bool:
        """Do the last of something; False after a failure that leaves doubt about what the database has."""
        try:
            if in_doubt:
                self._start_over()
            act()
        except FencedError:
            raise
        except (StandstillError, StoppedError):
            pass  # the alarm is raised; the command stays in the log
        except Exception as error:  # noqa: BLE001 - whatever it is, all that was taken is in log and tail
            _log_failure(error)
            return False
        return True

    def _drain(self, deadline: float) -> None:
        while time.monotonic() < deadline and self.step():
            pass

    def _count_tail(self) -> int:
        mine = (tail.c.log == self._shard.log, tail.c.shard == self._shard.number)
        with self._database.reading() as connection:
            return int(connection.scalar(sa.select(sa.func.sum(tail.c.count)).where(*mine)) or 0)


def _refuse_newer_format(record: StoredRecord) -> None:
    """Raise `StandstillError` for what this version cannot read: it is not bad, so it is not set aside."""
    if record.version > FORMAT_VERSION:
        raise StandstillError(
            f"Record {record.offset} of the log has format {record.version}, this version reads "
            f"{FORMAT_VERSION}: run the version of Heartline that wrote it."
        )


def _is_countable(record: StoredRecord) -> bool:
    return record.kind == Kind.HEARTBEATS and record.version <= FORMAT_VERSION


def _log_failure(error: Exception, again_s: float | None = None) -> None:
    again = "" if again_s is None else f" and tries again in {again_s:.1f} s"
    ours = not isinstance(error, FAILURES_OF_A_PLACE)
    logger.error("The aggregator failed%s: %s", again, error, exc_info=error if ours else None)
