"""Dead letters, counted after all or given up."""

from typing import NamedTuple

import sqlalchemy as sa

from aggregator.batch import BatchCounter
from aggregator.results import store_result
from schemas.record import FORMAT_VERSION, DropLetter, RetryLetter, StoredRecord
from schemas.tables import dead_letters
from storage.stats.shard import Shard


class NoLetterError(Exception):
    """There is no such dead letter."""


class Letters:
    """The dead letters of the users whose shard this is, wherever they were set aside."""

    def __init__(self, shard: Shard, batches: BatchCounter) -> None:
        self._shard = shard
        self._batches = batches

    def retry(self, letter: RetryLetter, offset: int) -> None:
        """Count one at the offset of the command, which no other record has; it goes in the same transaction.

        Raises `NoLetterError`, and `BadRecordError` where it still cannot be counted: then it stays.
        """
        row = _Row(letter.log, letter.shard, letter.offset)
        with self._shard.database.reading() as connection:
            found = connection.execute(sa.select(dead_letters).where(*row.condition())).one_or_none()
        if found is None:
            raise row.unknown()

        def settle(connection: sa.Connection, heartbeats: int) -> None:
            connection.execute(sa.delete(dead_letters).where(*row.condition()))
            store_result(connection, self._shard, offset, {"heartbeats": heartbeats})

        self._batches.recount(StoredRecord(offset, found.user_id, found.kind, FORMAT_VERSION, found.value), settle)

    def drop(self, letter: DropLetter, offset: int) -> None:
        """Delete one, and say so at the offset of the command. Raises `NoLetterError`."""
        row = _Row(letter.log, letter.shard, letter.offset)
        with self._shard.writing(offset) as connection:
            dropped = connection.execute(sa.delete(dead_letters).where(*row.condition())).rowcount
            if not dropped:
                raise row.unknown()
            store_result(connection, self._shard, offset, {"dropped": dropped})


class _Row(NamedTuple):
    log: str
    shard: int
    offset: int

    def condition(self) -> tuple[sa.ColumnElement[bool], ...]:
        c = dead_letters.c
        return c.log == self.log, c.shard == self.shard, c.offset == self.offset

    def unknown(self) -> NoLetterError:
        return NoLetterError(
            f"There is no dead letter of offset {self.offset} in shard {self.shard} of log {self.log}."
        )
