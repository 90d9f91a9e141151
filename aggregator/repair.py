"""Repair of tail and lake, before stats are computed again from them: what `heartline rebuild` begins with."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from aggregator.checks.lake import Damage, Double, check_files, doubles
from aggregator.checks.tail import TailDamage, check_tail
from aggregator.compact import erase_user, rewrite
from aggregator.recompute import Days, owned_by, rows_of_users, scopes
from aggregator.recover import looked_after_by, recover
from schemas.calendars import DAY_US
from schemas.record import Kind
from schemas.tables import api_keys, dead_letters, lake_files, tail, tombstones, users
from storage.directory import remove_user
from storage.errors import StorageError
from storage.lake import Lake, catalog
from storage.lake.jobs import Scope, clear_errors, open_duckdb, show_heartbeats, take_snapshot, while_files_vanish
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)


class Job(NamedTuple):
    """What a rebuild is about: one user or all (None), some days or all (None).

    `accept_loss`: lake files that are gone or damaged no longer count, and with them what was in them.
    """

    user_id: int | None = None
    days: Days | None = None
    accept_loss: bool = False


def repair(shard: Shard, lake: Lake, flush: Callable[[], int], job: Job) -> int:
    """Make tail rows, lake files and their entries agree, each heartbeat once; return how many things were repaired.

    `flush` writes the tail to Parquet. Runs where the shard is owned, with nothing being counted meanwhile; caches are
    wrong afterwards. Raises `StorageError` when a file cannot be read and its loss is not accepted; `FencedError`.
    """
    repaired = _repair_tail(shard, job) + _repair_files(shard, lake, job)
    if job.user_id is None:
        repaired += _finish_removals(shard, lake)
    return repaired + _drop_doubles(shard, lake, flush, job)


def give_up_lost_files(shard: Shard, lake: Lake) -> None:
    """Let files that are gone or damaged no longer count, whose loss is accepted; stats are for a rebuild to mend.

    Raises `UnavailableError`, `FencedError`.
    """
    files = check_files(shard.database, lake, looked_after_by(shard))
    _give_up(shard, lake, [damage for damage in files if not damage.readable])


def _give_up(shard: Shard, lake: Lake, lost: Sequence[Damage]) -> None:
    for damage in lost:
        logger.warning("Given up: %s", damage.finding())
    if lost:
        with shard.writing() as connection:
            catalog.retire(connection, sorted({damage.file.path for damage in lost}))
        recover(shard, lake)


def _repair_tail(shard: Shard, job: Job) -> int:
    whose = sa.true() if job.user_id is None else tail.c.user_id == job.user_id
    damaged = list(check_tail(shard.database, *_mine(shard), whose))
    for damage in damaged:
        logger.warning("Repaired: %s", damage.finding())
        with shard.writing() as connection:
            if damage.facts is None:
                _set_aside(connection, damage)
            else:
                facts = dict(zip(("min_us", "max_us", "count"), damage.facts, strict=True))
                connection.execute(sa.update(tail).where(_at(damage)).values(**facts))
    return len(damaged)


def _set_aside(connection: sa.Connection, damage: TailDamage) -> None:
    row = connection.execute(sa.select(tail.c.user_id, tail.c.value).where(_at(damage))).one()
    log, shard, offset = damage.key
    connection.execute(
        sa.insert(dead_letters).values(
            log=log,
            shard=shard,
            offset=offset,
            user_id=row.user_id,
            reason="The record was counted, and its value in the tail can no longer be read.",
            kind=int(Kind.HEARTBEATS),
            value=row.value,
            set_aside_at_us=time.time_ns() // 1000,
        )
    )
    connection.execute(sa.delete(tail).where(_at(damage)))


def _at(damage: TailDamage) -> sa.ColumnElement[bool]:
    log, shard, offset = damage.key
    return sa.and_(tail.c.log == log, tail.c.shard == shard, tail.c.offset == offset)


def _mine(shard: Shard) -> tuple[sa.ColumnElement[bool], ...]:
    return tail.c.log == shard.log, tail.c.shard == shard.number


def _repair_files(shard: Shard, lake: Lake, job: Job) -> int:
    damaged = list(check_files(shard.database, lake, looked_after_by(shard), *_files_of(job)))
    lost = [damage for damage in damaged if not damage.readable]
    if lost and not job.accept_loss:
        raise StorageError(f"Nothing is rebuilt. {lost[0].finding()}")
    for damage in damaged:
        logger.warning("Repaired: %s", damage.finding())
    _give_up(shard, lake, lost)
    rewrite(shard, lake, sorted({damage.file for damage in damaged if damage.readable}))
    return len(damaged)


def _files_of(job: Job) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if job.user_id is not None:
        conditions += [lake_files.c.min_user <= job.user_id, lake_files.c.max_user >= job.user_id]
    if job.days is not None:
        conditions.append(lake_files.c.date.between(job.days.first - 2, job.days.last + 2))  # of local days too
    return conditions


def _finish_removals(shard: Shard, lake: Lake) -> int:
    """Remove what is left of removed users."""
    held = while_files_vanish(lambda: rows_of_users(shard.database, lake))
    with shard.database.reading() as connection:
        removed = set(connection.scalars(sa.select(tombstones.c.user_id)))
        known = {u for table in (users, api_keys) for u in connection.scalars(sa.select(table.c.user_id).distinct())}
    left = sorted(u for u in removed & (known | held.keys()) if shard.owns(u))
    for user_id in left:
        logger.warning("Repaired: what was left of the removed user %d is erased", user_id)
        with shard.writing() as connection:
            remove_user(connection, user_id, time.time_ns() // 1000)
        erase_user(shard, lake, user_id)
    return len(left)


def _drop_doubles(shard: Shard, lake: Lake, flush: Callable[[], int], job: Job) -> int:
    if not _doubles(shard, lake, job):
        return 0
    flush()  # then all of them lie in files
    doubled = _doubles(shard, lake, job)
    logger.warning("Repaired: %d heartbeats were there several times", len(doubled))
    dates = sorted({double.time_us // DAY_US for double in doubled})
    for date in dates:
        with shard.database.reading() as connection:
            files = catalog.live_files(connection, looked_after_by(shard), lake_files.c.date == date)
        rewrite(shard, lake, files)
    return len(doubled)


def _doubles(shard: Shard, lake: Lake, job: Job) -> list[Double]:
    one = [] if job.user_id is None else [Scope(job.user_id, job.user_id)]
    parts = one or scopes(shard.database, lake, within=owned_by(shard))
    return [double for scope in parts for double in _doubles_of(shard, lake, scope)]


def _doubles_of(shard: Shard, lake: Lake, scope: Scope) -> list[Double]:
    with shard.database.reading() as connection:
        snapshot = take_snapshot(connection, scope)
    with clear_errors(), open_duckdb() as duck:
        show_heartbeats(duck, lake, snapshot)
        return doubles(duck, scope)
