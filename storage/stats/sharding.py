"""How many shards a log has: a fact of the database, for a user's shard is the remainder of their id by it.

It changes only in a transaction that takes all shards away from their owners: whatever an owner had begun or
remembered by the old number is fenced.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from schemas.tables import meta, shards
from storage.errors import StorageError
from storage.stats.database import Database


def stored_number(connection: sa.Connection, log: str) -> int | None:
    """Read how many shards a log has; None where nobody has followed it yet."""
    number = connection.scalar(sa.select(meta.c.value).where(meta.c.name == _fact(log)))
    return None if number is None else int(number)


def store_number(connection: sa.Connection, log: str, number: int) -> None:
    """Let a log have `number` shards from now on."""
    connection.execute(sa.delete(meta).where(meta.c.name == _fact(log)))
    connection.execute(sa.insert(meta).values(name=_fact(log), value=str(number)))


def refuse_other_number(database: Database, log: str, found: int) -> None:
    """Raise `StorageError` where a log has another number of shards than users were given theirs by."""
    with database.reading() as connection:
        stored = stored_number(connection, log)
    if stored not in (None, found):
        raise StorageError(
            f"The log has {found} shards, but heartbeats were counted with {stored}: nothing is taken or counted until "
            f"`heartline topics add-partitions {found}` has made sure that none waits in a shard of before."
        )


@contextmanager
def changing_number(database: Database, log: str, number: int) -> Iterator[dict[int, int]]:
    """Give the watermarks while no shard has an owner; from the end on, the log has `number` shards.

    Owners find themselves fenced and take their shards again. An exception leaves everything as it was, owners
    included.
    """
    with database.writing() as connection:
        take_turns(connection)
        of_log = shards.c.log == log
        connection.execute(sa.update(shards).where(of_log).values(epoch=shards.c.epoch + 1))
        watermarks = connection.execute(sa.select(shards.c.shard, shards.c.offset).where(of_log)).all()
        yield {shard: offset for shard, offset in watermarks}  # noqa: C416 - rows are no pairs to a type checker
        store_number(connection, log, number)


def take_turns(connection: sa.Connection) -> None:
    """Let one process at a time take a shard, be it one that has no row yet, or change their number."""
    connection.execute(sa.select(meta.c.value).where(meta.c.name == "schema_version").with_for_update())


def _fact(log: str) -> str:
    return f"shards of {log}"
