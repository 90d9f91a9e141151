"""Closed logs: what they hold is counted and in Parquet, and they take nothing more, so that another one may follow."""

import time

import sqlalchemy as sa

from schemas.tables import logs
from storage.stats.database import Database


def begin_closing(database: Database, log: str) -> None:
    """Let the log's ingests refuse heartbeats from now on: they look every half second."""
    with database.writing() as connection:
        if connection.scalar(sa.select(logs.c.log).where(logs.c.log == log)) is None:
            connection.execute(sa.insert(logs).values(log=log, closing_at_us=_now_us()))


def is_closing(database: Database, log: str) -> bool:
    """Tell whether the log takes no more heartbeats."""
    with database.reading() as connection:
        return connection.scalar(sa.select(logs.c.log).where(logs.c.log == log)) is not None


def finish_closing(database: Database, log: str) -> None:
    """Let another log follow."""
    with database.writing() as connection:
        connection.execute(sa.update(logs).where(logs.c.log == log).values(closed_at_us=_now_us()))


def _now_us() -> int:
    return time.time_ns() // 1000
