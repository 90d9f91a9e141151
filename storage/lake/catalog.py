"""The table `lake_files`: which Parquet files there are, and which of them count (design.md, "The commit protocol").

Every function runs inside a transaction of its caller; those that write belong into one of `Shard.writing`.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa

from schemas.calendars import date_of
from schemas.tables import FileState, lake_files
from storage.errors import StorageError
from storage.stats.shard import Shard

_PATHS_AT_ONCE: Final = 500  # databases bound the parameters of a statement


class LakeFile(NamedTuple):
    """What the catalog knows of a file. `date`: days since 1970-01-01, UTC; `min_us`, `max_us`: times in it."""

    path: str
    date: int
    log: str
    shard: int
    first_offset: int
    last_offset: int
    rows: int
    min_user: int
    max_user: int
    min_us: int
    max_us: int


_COLUMNS: Final = [lake_files.c[name] for name in LakeFile._fields]


def new_path(date: int, log: str, shard: int, first_offset: int, last_offset: int) -> str:
    """Name a file as no other was ever named."""
    name = f"{log}-{shard}-{first_offset}-{last_offset}-{secrets.token_hex(4)}.parquet"
    return f"heartbeats/date={date_of(date).isoformat()}/{name}"


def live_files(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[LakeFile]:
    """List the files that count and meet the conditions on `lake_files`, by date and path."""
    found = connection.execute(
        sa.select(*_COLUMNS)
        .where(lake_files.c.state == FileState.LIVE, *conditions)
        .order_by(lake_files.c.date, lake_files.c.path)
    )
    return [LakeFile(*row) for row in found]


def without_entry(connection: sa.Connection, paths: Sequence[str]) -> list[str]:
    """Pick the paths that no entry names, whatever its state."""
    known: set[str] = set()
    for some in _in_parts(paths):
        known |= set(connection.scalars(sa.select(lake_files.c.path).where(lake_files.c.path.in_(some))))
    return [path for path in paths if path not in known]


def announce(connection: sa.Connection, shard: Shard, files: Sequence[LakeFile]) -> None:
    """Enter files before they are written, so that a crash leaves none that nobody knows of."""
    shard.unfinished = tuple(file.path for file in files)
    if files:
        rows = [{**file._asdict(), "epoch": shard.epoch, "state": FileState.WRITING.value} for file in files]
        connection.execute(sa.insert(lake_files), rows)


def publish(connection: sa.Connection, shard: Shard, paths: Sequence[str]) -> None:
    """Let written files count. Raises `StorageError` when one is not in state `writing`."""
    shard.unfinished = ()  # an owner that comes after this transaction finds them written, whatever becomes of it
    _move(connection, paths, FileState.WRITING, FileState.LIVE)


def retire(connection: sa.Connection, paths: Sequence[str]) -> None:
    """Let files no longer count. Raises `StorageError` when one is not live."""
    _move(connection, paths, FileState.LIVE, FileState.DEAD)


def give_up_writing(connection: sa.Connection, log: str, shard: int) -> None:
    """Mark as dead what an earlier attempt of the shard's owner did not finish. It has one thing in hand at a time."""
    connection.execute(
        sa.update(lake_files)
        .where(lake_files.c.log == log, lake_files.c.shard == shard, lake_files.c.state == FileState.WRITING)
        .values(state=FileState.DEAD.value)
    )


def forget(connection: sa.Connection, paths: Sequence[str]) -> None:
    """Delete the entries of files that are gone."""
    for some in _in_parts(paths):
        connection.execute(sa.delete(lake_files).where(lake_files.c.path.in_(some)))


def _move(connection: sa.Connection, paths: Sequence[str], old: FileState, new: FileState) -> None:
    moved = 0
    for some in _in_parts(paths):
        mine = (lake_files.c.path.in_(some), lake_files.c.state == old.value)
        moved += connection.execute(sa.update(lake_files).where(*mine).values(state=new.value)).rowcount
    if moved != len(paths):
        raise StorageError(f"Of {len(paths)} lake files {moved} were {old.value}: nothing was changed.")


def _in_parts(paths: Sequence[str]) -> Iterable[Sequence[str]]:
    return (paths[i : i + _PATHS_AT_ONCE] for i in range(0, len(paths), _PATHS_AT_ONCE))
