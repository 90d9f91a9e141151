"""Recover: delete the files that do not count and that nobody finishes (design.md, "The commit protocol", 4)."""

import logging
from collections.abc import Sequence

import sqlalchemy as sa

from schemas.tables import FileState, lake_files, logs
from storage.errors import UnavailableError
from storage.lake import Lake, catalog
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)


def recover(shard: Shard, lake: Lake) -> int:
    """Delete the files of dead entries and of what earlier owners were writing, then the entries; return how many.

    Only entries decide: no folder is listed. Raises `UnavailableError` when the disk refuses, `FencedError`.
    """
    c = lake_files.c
    nobody_writes = sa.or_(c.log != shard.log, c.epoch < shard.epoch)
    abandoned = sa.and_(c.state == FileState.WRITING, nobody_writes)
    unwanted = sa.select(c.path).where(looked_after_by(shard), sa.or_(c.state == FileState.DEAD, abandoned))
    with shard.database.reading() as connection:
        paths = list(connection.scalars(unwanted))
    discard(shard, lake, paths)
    return len(paths)


def discard(shard: Shard, lake: Lake, paths: Sequence[str]) -> None:
    """Delete the files of dead entries, whosever they were, then the entries. Raises as `recover`."""
    if paths:
        lake.delete(paths)
        with shard.writing() as connection:
            catalog.forget(connection, paths)


def leave_nothing_unfinished(shard: Shard, lake: Lake) -> None:
    """At the end of an owner, whose work beside has ended: delete what it has written and never published.

    An owner that was replaced while it stood still may have written it after its successor has recovered, and then
    nobody else knows of it.
    """
    try:
        lake.delete(shard.unfinished)
    except UnavailableError as error:
        logger.error("What the owner of shard %d left unfinished stays: %s", shard.number, error)  # noqa: TRY400 - one line


def looked_after_by(shard: Shard) -> sa.ColumnElement[bool]:
    """Tell which files are a shard's own, or its part of those of closed logs, whose shards have no owner any more."""
    c = lake_files.c
    closed = sa.select(logs.c.log).where(logs.c.closed_at_us.is_not(None))
    left_behind = sa.and_(c.log != shard.log, c.log.in_(closed), c.shard % shard.shards == shard.number)
    return sa.or_(sa.and_(c.log == shard.log, c.shard == shard.number), left_behind)
