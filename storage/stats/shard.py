"""Ownership of a shard: the fence before every transaction that writes anything of it (design.md, commit protocol)."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as package_version
from typing import Self

import sqlalchemy as sa

from schemas import tables
from storage.errors import FencedError, StorageError
from storage.stats.database import Database
from storage.stats.frozen import end_frozen
from storage.stats.sharding import store_number, stored_number, take_turns


class Shard:
    """A taken shard: its epoch, and the watermark as last seen committed.

    `shards`: how many the log has, for as long as this epoch lasts.
    """

    def __init__(self, database: Database, log: str, number: int, shards: int, epoch: int, offset: int) -> None:
        self.database = database
        self.log = log
        self.number = number
        self.shards = shards
        self.epoch = epoch
        self.offset = offset
        self.unfinished: tuple[str, ...] = ()
        """Lake files that this owner has announced and may not have written yet."""

    @classmethod
    def take(cls, database: Database, log: str, number: int = 0, shards: int = 1) -> Self:
        """Become the shard's owner: every earlier owner is fenced from now on.

        `shards`: how many a log has that nobody has followed before. Raises `StorageError` when the database belongs to
        another log, or knows of fewer shards.
        """
        c = tables.shards.c
        mine = sa.and_(c.log == log, c.shard == number)
        with database.writing() as connection:
            end_frozen(connection)
            take_turns(connection)
            _refuse_other_logs(connection, log)
            shards = _number_of_shards(connection, log, number, shards)
            taken = connection.execute(sa.update(tables.shards).where(mine).values(epoch=c.epoch + 1))
            if taken.rowcount == 0:
                connection.execute(
                    sa.insert(tables.shards).values(
                        log=log, shard=number, epoch=1, offset=0, tzdata_version=package_version("tzdata")
                    )
                )
            epoch, offset = connection.execute(sa.select(c.epoch, c.offset).where(mine)).one()
        return cls(database, log, number, shards, epoch, offset)

    def owns(self, user_id: int) -> bool:
        """Tell whether a user is this shard's: those whose id leaves its number as the remainder."""
        return user_id % self.shards == self.number

    @contextmanager
    def writing(self, offset: int | None = None) -> Iterator[sa.Connection]:
        """Give one transaction that begins by moving the watermark to `offset` (None: it stays).

        Raises `FencedError`, with nothing written, when another owner has taken the shard.
        """
        new = self.offset if offset is None else offset
        with self.database.writing() as connection:
            moved = connection.execute(
                sa.update(tables.shards)
                .where(
                    tables.shards.c.log == self.log,
                    tables.shards.c.shard == self.number,
                    tables.shards.c.epoch == self.epoch,
                    tables.shards.c.offset == self.offset,
                )
                .values(offset=new)
            )
            if moved.rowcount != 1:
                raise FencedError(f"Shard {self.number} of log {self.log} has another owner now.")
            yield connection
        self.offset = new

    def refresh(self) -> None:
        """Read the watermark again after a COMMIT whose outcome is unknown. Raises `FencedError`.

        Takes the row's lock, and so waits for the end of a transaction whose COMMIT may still be under way.
        """
        with self.database.writing() as connection:
            epoch, offset = connection.execute(
                sa.select(tables.shards.c.epoch, tables.shards.c.offset)
                .where(tables.shards.c.log == self.log, tables.shards.c.shard == self.number)
                .with_for_update()
            ).one()
        if epoch != self.epoch:
            raise FencedError(f"Shard {self.number} of log {self.log} has another owner now.")
        self.offset = offset


def watermarks(database: Database) -> dict[tuple[str, int], int]:
    """Give the last counted offset of each (log, shard)."""
    c = tables.shards.c
    with database.reading() as connection:
        return {
            (log, number): offset for log, number, offset in connection.execute(sa.select(c.log, c.shard, c.offset))
        }


def refuse_older_log(counted: int, end: int) -> None:
    """Raise `StorageError` where a log ends before what is counted of it: what it takes next would never be counted."""
    if end < counted:
        raise StorageError(
            f"The log ends at offset {end}, but {counted} is counted already: it is older than "
            "the stats database. Put the newer log back, or the stats and the lake that belong to this one."
        )


def refuse_other_logs(database: Database, log: str) -> None:
    """Raise `StorageError` where the database follows another log still, or `log` is closed."""
    with database.reading() as connection:
        _refuse_other_logs(connection, log)


def _number_of_shards(connection: sa.Connection, log: str, shard: int, found: int) -> int:
    """Give the number that users are given their shards by. Raises `StorageError` for a shard beyond it."""
    stored = stored_number(connection, log)
    if stored is None:
        store_number(connection, log, found)
        return found
    if shard >= stored:
        raise StorageError(
            f"Log {log} has a shard {shard}, but heartbeats were counted with {stored}: partitions are added by "
            "`heartline topics add-partitions`, which can still be run."
        )
    return stored


def _refuse_other_logs(connection: sa.Connection, log: str) -> None:
    """Keep a database to one log at a time: another may follow once it is closed, and a closed one is done."""
    closed = set(connection.scalars(sa.select(tables.logs.c.log).where(tables.logs.c.closed_at_us.is_not(None))))
    if log in closed:
        raise StorageError(f"Log {log} is closed: name the one that follows it in HEARTLINE_LOG_URL.")
    followed = tables.shards.c.log
    other = connection.scalar(sa.select(followed).where(followed != log, followed.not_in(closed)).limit(1))
    if other is not None:
        raise StorageError(
            f"The stats database follows log {other}, but the log at hand is {log}. Put the old log back; to leave it "
            "for good, run `heartline log close` with its HEARTLINE_LOG_URL; or start with an empty data folder."
        )
