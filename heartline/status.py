"""How far everything is: what `heartline status` shows."""

from contextlib import closing

import sqlalchemy as sa

from heartline.adapters import log_of
from heartline.settings import Settings
from schemas.tables import FileState, alarms, dead_letters, lake_files, shards, tail, users
from storage.stats import Database

Counts = dict[str, int]


def read_status(settings: Settings) -> dict[str, object]:
    """Count what waits in the log (in all its shards) and what lies in tail and lake. Raises `UnavailableError`."""
    with closing(Database(settings.stats_url)) as database, database.reading() as connection:
        watermarks = connection.execute(sa.select(shards.c.log, shards.c.shard, shards.c.offset)).all()
        in_tail = _row(connection, sa.func.count(), sa.func.coalesce(sa.func.sum(tail.c.count), 0), source=tail)
        files, rows = _row(
            connection,
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(lake_files.c.rows), 0),
            source=lake_files,
            where=lake_files.c.state == FileState.LIVE,
        )
        (all_users,) = _row(connection, sa.func.count(), source=users)
        reasons = connection.scalars(sa.select(alarms.c.reason).order_by(alarms.c.log, alarms.c.shard)).all()
        (letters,) = _row(connection, sa.func.count(), source=dead_letters)
    counted = {(log, shard): offset for log, shard, offset in watermarks}
    ends = log_of(settings).ends()
    lags = [end.offset - counted.get((end.log, end.shard), 0) for end in ends]
    return {
        "data": str(settings.data),
        "users": all_users,
        "heartbeats": in_tail[1] + rows,
        "log": {
            "last_offset": sum(end.offset for end in ends),
            "counted_offset": sum(end.offset for end in ends) - sum(lags),
            "lag_records": sum(lags),
        },
        "tail": {"records": in_tail[0], "heartbeats": in_tail[1]},
        "lake": {"files": files, "heartbeats": rows},
        "dead_letters": letters,
        "alarm": " ".join(reasons) or None,
    }


def _row(
    connection: sa.Connection,
    *counts: sa.ColumnElement[int],
    source: sa.Table,
    where: sa.ColumnElement[bool] | None = None,
) -> list[int]:
    query = sa.select(*counts).select_from(source)
    return [int(value) for value in connection.execute(query if where is None else query.where(where)).one()]
