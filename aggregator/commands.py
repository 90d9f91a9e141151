"""Commands that travel through the log: what changes a user's past, ordered with their heartbeats."""

import logging
import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from aggregator.batch import BatchCounter, storable
from aggregator.compact import erase_user
from aggregator.counter import Counter
from aggregator.duty import FAILURES_OF_A_PLACE
from aggregator.letters import Letters
from aggregator.rebuilding import Rebuilder
from aggregator.recompute import Days, local_segments
from aggregator.repair import Job
from aggregator.results import Answer, store_result
from schemas.calendars import UTC_DAYS, is_zone, local_calendar
from schemas.dimensions import Dimension
from schemas.record import (
    CloseLog,
    Command,
    Compact,
    DropLetter,
    Flush,
    Rebuild,
    RemoveUser,
    RetryLetter,
    SetZone,
    StoredRecord,
    unpack_command,
)
from schemas.tables import last_values, segments, users
from storage.directory import remove_user, set_zone
from storage.errors import FencedError, StoppedError, StorageError, UnavailableError
from storage.lake import Lake
from storage.stats.segments import save_groups
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 4  # while a disk or database fails: some seconds, in which nothing is counted


class RefusedError(Exception):
    """A command that cannot be applied; its text says why."""


class CommandRunner:
    """Applies commands for the owner of a shard, one at a time; each may be repeated after a crash.

    Rebuilds alone are only begun: `rebuilder` goes on with them between micro-batches.
    """

    def __init__(
        self,
        shard: Shard,
        lake: Lake,
        batches: BatchCounter,
        counter: Counter,
        flush: Callable[[], int],
        compact: Callable[[], int],
    ) -> None:
        self._shard = shard
        self._lake = lake
        self._batches = batches
        self._letters = Letters(shard, batches)
        self._counter = counter
        self._flush = flush
        self._compact = compact
        self._failed_at = self._failures = 0
        self.rebuilder = Rebuilder(shard, lake, counter, flush)

    def run(self, record: StoredRecord) -> None:
        """Apply one command, store what became of it, and move the watermark over it."""
        try:
            command = unpack_command(record.value)
            self._refuse_stray(record.user_id)
            answer = self._apply(command, record.offset)
        except (FencedError, StoppedError):
            raise
        except Exception as error:  # one command must not stop the heartbeats behind it
            if isinstance(error, FAILURES_OF_A_PLACE) and self._may_try_again(record.offset):
                raise
            logger.warning("Command at offset %d is refused: %s", record.offset, error)
            self._counter.forget()
            self._shard.refresh()
            if self._shard.offset < record.offset:  # else it was applied: only the answer to its COMMIT was lost
                self.rebuilder.give_up(record.offset)
                self._finish(record.offset, {}, storable(str(error)))
        else:
            if answer is not None:
                self._finish(record.offset, answer)

    def _refuse_stray(self, user_id: int) -> None:
        """Refuse what is about another shard's user: two owners would write the same rows. 0: it is about all."""
        if user_id and not self._shard.owns(user_id):
            raise RefusedError("The number of shards has changed since the command was given: give it again.")

    def _may_try_again(self, offset: int) -> bool:
        """Count a failure of disk or database under a command; they may pass."""
        self._failures = self._failures + 1 if offset == self._failed_at else 1
        self._failed_at = offset
        return self._failures < _ATTEMPTS

    def _apply(self, command: Command, offset: int) -> Answer | None:
        """Return the answer, or None where the command has finished its record itself."""
        answer: Answer | None = None
        match command:
            case SetZone(user_id, zone):
                self._set_zone(user_id, zone, offset)
            case RemoveUser(user_id):
                answer = self._remove(user_id)
            case Rebuild(user_id, first, last, accept_loss):
                days = None if first is None or last is None else Days(first, last)
                self._begin_rebuild(Job(user_id, days, accept_loss), offset)
            case Flush() | CloseLog():
                answer = {"heartbeats": self._flush_tail()}
            case Compact():
                self._flush_tail()
                self._counter.forget()
                answer = {"days": self._compact()}
            case RetryLetter():
                self._letters.retry(command, offset)
            case DropLetter():
                self._letters.drop(command, offset)
        return answer

    def _finish(self, offset: int, answer: Answer, error: str | None = None) -> None:
        with self._shard.writing(offset) as connection:
            store_result(connection, self._shard, offset, answer, error)

    def _begin_rebuild(self, job: Job, offset: int) -> None:
        try:
            self.rebuilder.begin(job, offset)
        except (FencedError, StoppedError):
            raise
        except StorageError as error:
            raise RefusedError(str(error)) from error  # a file that is lost now is lost at the next attempt too

    def _set_zone(self, user_id: int, zone: str, offset: int) -> None:
        """Compute the new local days beside the old ones, then switch at once: readers never see a mixture.

        UTC's days stay, whosever they are, but for the rows that one's own days alone have.
        """
        if not is_zone(zone):
            raise RefusedError(f"{zone!r} is no time zone of the IANA database.")
        calendar = local_calendar(zone)
        rows = local_segments(self._shard.database, self._lake, user_id, calendar)
        with self._shard.writing(offset) as connection:
            old = connection.scalar(sa.select(users.c.timezone).where(users.c.user_id == user_id))
            if old is None:
                raise RefusedError(f"There is no user {user_id}.")
            c = segments.c
            for replaced in {local_calendar(old), calendar} - {UTC_DAYS}:
                _delete_rows(connection, user_id, c.calendar == replaced)
            _delete_rows(connection, user_id, c.calendar == UTC_DAYS, c.dimension == Dimension.FOLLOWED)
            save_groups(connection, rows)
            set_zone(connection, user_id, zone, _now_us())
            store_result(connection, self._shard, offset, {"days": len({row[2] for row in rows})})
        self._counter.forget(user_id)

    def _flush_tail(self) -> int:
        try:
            return self._flush()
        except (OSError, UnavailableError) as error:
            raise RefusedError(f"The tail could not be written to Parquet and is kept; try again: {error}") from error

    def _remove(self, user_id: int) -> Answer:
        """Refuse the user's keys first, then erase the heartbeats; a crash between the two repeats the command."""
        with self._shard.writing() as connection:
            remove_user(connection, user_id, _now_us())
            _delete_rows(connection, user_id)
            connection.execute(sa.delete(last_values).where(last_values.c.user_id == user_id))
        self._batches.forget_user(user_id)  # not before there is a tombstone: a refused removal drops nothing
        return {"heartbeats": erase_user(self._shard, self._lake, user_id)}


def _delete_rows(connection: sa.Connection, user_id: int, *which: sa.ColumnElement[bool]) -> None:
    connection.execute(sa.delete(segments).where(segments.c.user_id == user_id, *which))


def _now_us() -> int:
    return time.time_ns() // 1000
