"""Ownership of a shard: the fence before every transaction that writes anything of it (design.md, commit protocol)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import sqlalchemy as sa

from schemas.tables import meta, shards
from storage.errors import FencedError, StorageError
from storage.stats.database import Database


class Shard:
    """A taken shard: its epoch, and the watermark as last seen committed."""

    def __init__(self, database: Database, log: str, number: int, epoch: int, offset: int) -> None:
        self.database = database
        self.log = log
        self.number = number
        self.epoch = epoch
        self.offset = offset

    @classmethod
    def take(cls, database: Database, log: str, number: int = 0) -> Self:
        """Become the shard's owner: every earlier owner is fenced from now on.

        Raises `StorageError` when the database belongs to another log.
        """
        mine = sa.and_(shards.c.log == log, shards.c.shard == number)
        with database.writing() as connection:
            _take_turns(connection)
            _refuse_other_logs(connection, log)
            taken = connection.execute(sa.update(shards).where(mine).values(epoch=shards.c.epoch + 1))
            if taken.rowcount == 0:
                connection.execute(sa.insert(shards).values(log=log, shard=number, epoch=1, offset=0))
            epoch, offset = connection.execute(sa.select(shards.c.epoch, shards.c.offset).where(mine)).one()
        return cls(database, log, number, epoch, offset)

    @contextmanager
    def writing(self, offset: int | None = None) -> Iterator[sa.Connection]:
        """Give one transaction that begins by moving the watermark to `offset` (None: it stays).

        Raises `FencedError`, with nothing written, when another owner has taken the shard.
        """
        new = self.offset if offset is None else offset
        with self.database.writing() as connection:
            moved = connection.execute(
                sa.update(shards)
                .where(
                    shards.c.log == self.log,
                    shards.c.shard == self.number,
                    shards.c.epoch == self.epoch,
                    shards.c.offset == self.offset,
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
                sa.select(shards.c.epoch, shards.c.offset)
                .where(shards.c.log == self.log, shards.c.shard == self.number)
                .with_for_update()
            ).one()
        if epoch != self.epoch:
            raise FencedError(f"Shard {self.number} of log {self.log} has another owner now.")
        self.offset = offset


def _take_turns(connection: sa.Connection) -> None:
    """Let one process at a time take a shard, be it one that has no row yet."""
    connection.execute(sa.select(meta.c.value).where(meta.c.name == "schema_version").with_for_update())


def _refuse_other_logs(connection: sa.Connection, log: str) -> None:
    other = connection.scalar(sa.select(shards.c.log).where(shards.c.log != log).limit(1))
    if other is not None:
        raise StorageError(
            f"The stats database follows log {other}, but the log at hand is {log}. "
            "Put the old log file back, or start with an empty data folder."
        )
