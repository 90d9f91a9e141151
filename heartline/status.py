"""How far everything is: what `heartline status` shows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from heartline.settings import Settings
from schemas.tables import FileState, alarms, dead_letters, lake_files, shards, tail, users
from storage.errors import UnavailableError
from storage.stats import Database

Counts = dict[str, int]


def read_status(settings: Settings) -> dict[str, object]:
    """Count what waits in the log and what lies in tail and lake. Raises `UnavailableError`."""
    with closing(Database(settings.stats_url)) as database, database.reading() as connection:
        counted = connection.scalar(sa.select(sa.func.max(shards.c.offset))) or 0
        in_tail = _row(connection, sa.func.count(), sa.func.coalesce(sa.func.sum(tail.c.count), 0), source=tail)
        files, rows = _row(
            connection,
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(lake_files.c.rows), 0),
            source=lake_files,
            where=lake_files.c.state == FileState.LIVE,
        )
        (all_users,) = _row(connection, sa.func.count(), source=users)
        alarm = connection.scalar(sa.select(alarms.c.reason))
        (letters,) = _row(connection, sa.func.count(), source=dead_letters)
    last, waiting = _log_counts(settings.log_path, counted)
    return {
        "data": str(settings.data),
        "users": all_users,
        "heartbeats": in_tail[1] + rows,
        "log": {"last_offset": last, "counted_offset": counted, "lag_records": waiting},
        "tail": {"records": in_tail[0], "heartbeats": in_tail[1]},
        "lake": {"files": files, "heartbeats": rows},
        "dead_letters": letters,
        "alarm": alarm,
    }


def _row(
    connection: sa.Connection,
    *counts: sa.ColumnElement[int],
    source: sa.Table,
    where: sa.ColumnElement[bool] | None = None,
) -> list[int]:
    query = sa.select(*counts).select_from(source)
    return [int(value) for value in connection.execute(query if where is None else query.where(where)).one()]


def _log_counts(path: Path, counted: int) -> tuple[int, int]:
    """Give the last offset and how many records wait; read-only, beside whoever owns the log."""
    if not path.exists():
        return 0, 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            last = connection.execute('SELECT max("offset") FROM records').fetchone()[0]
            waiting = connection.execute('SELECT count(*) FROM records WHERE "offset" > ?', (counted,)).fetchone()[0]
    except sqlite3.Error as error:
        raise UnavailableError(f"The log {path} cannot be read: {error}.") from error
    return last or counted, waiting
