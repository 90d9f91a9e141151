"""Recover: delete the files that do not count and that nobody finishes (design.md, "The commit protocol", 4)."""

import logging

import sqlalchemy as sa

from schemas.tables import FileState, lake_files
from storage.errors import UnavailableError
from storage.lake import Lake, catalog
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)


def recover(shard: Shard, lake: Lake) -> int:
    """Delete the files of dead entries and of what earlier owners were writing, then the entries; return how many.

    Only entries decide: no folder is listed. Raises `UnavailableError` when the disk refuses, `FencedError`.
    """
    abandoned = sa.and_(lake_files.c.state == FileState.WRITING, lake_files.c.epoch < shard.epoch)
    unwanted = sa.select(lake_files.c.path).where(
        lake_files.c.log == shard.log,
        lake_files.c.shard == shard.number,
        sa.or_(lake_files.c.state == FileState.DEAD, abandoned),
    )
    with shard.database.reading() as connection:
        paths = list(connection.scalars(unwanted))
    if paths:
        lake.delete(paths)
        with shard.writing() as connection:
            catalog.forget(connection, paths)
    return len(paths)


def leave_nothing_unfinished(shard: Shard, lake: Lake) -> None:
    """At the end of an owner, whose work beside has ended: delete what it has written and never published.

    An owner that was replaced while it stood still may have written it after its successor has recovered, and then
    nobody else knows of it.
    """
    try:
        lake.delete(shard.unfinished)
    except UnavailableError as error:
        logger.error("What the owner of shard %d left unfinished stays: %s", shard.number, error)  # noqa: TRY400 - one line
