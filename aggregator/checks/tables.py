"""Rows of the small tables that contradict each other: watermark, users, keys, tombstones, dead letters, logs."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version as package_version
from typing import Final

import sqlalchemy as sa

from aggregator.checks.finding import REBUILD, RESTORE, Finding
from schemas.calendars import is_zone
from schemas.tables import (
    alarms,
    api_keys,
    command_results,
    dead_letters,
    lake_files,
    logs,
    meta,
    shards,
    tail,
    tombstones,
    users,
)

_ERASED_WITHIN_US: Final = 600_000_000
"""A removal refuses the keys first and rewrites files after: what is left of a user for longer stays for good."""

_IMPORT: Final = "`heartline users import` with this user_id gives them an owner"


def check_tables(connection: sa.Connection) -> Iterator[Finding]:
    """Check what one snapshot of the database can tell by itself."""
    yield from _check_facts(connection)
    yield from _check_watermarks(connection)
    yield from _check_users(connection)
    yield from _check_keys(connection)
    yield from _check_removed(connection)
    yield from _check_dead_letters(connection)
    yield from _check_alarms(connection)
    yield from _check_closed_logs(connection)


def _check_facts(connection: sa.Connection) -> Iterator[Finding]:
    facts = {row.name: row.value for row in connection.execute(sa.select(meta))}
    installed = package_version("tzdata")
    closed = sa.select(logs.c.log).where(logs.c.closed_at_us.is_not(None))
    for (version,) in connection.execute(
        sa.select(shards.c.tzdata_version).where(shards.c.log.not_in(closed)).distinct()
    ):
        if version != installed:
            what = f"local days were cut by tzdata {version}, {installed} is installed"
            yield Finding(shards.name, what, "the aggregator cuts them again when it starts")
    if not facts.get("directory_version", "").isdigit():
        yield Finding(meta.name, "directory_version is no number: changed keys go unnoticed", RESTORE)


def _check_watermarks(connection: sa.Connection) -> Iterator[Finding]:
    """Whatever was written of a record was written with the watermark that stands at it or behind it."""
    marks = {(log, shard): offset for log, shard, offset in connection.execute(_key_and(shards, shards.c.offset))}
    for table, offset in (
        (tail, tail.c.offset),
        (lake_files, lake_files.c.last_offset),
        (dead_letters, dead_letters.c.offset),
        (command_results, command_results.c.offset),
    ):
        newest = _key_and(table, sa.func.max(offset)).group_by(table.c.log, table.c.shard)
        for log, shard, reached in connection.execute(newest):
            counted = marks.get((log, shard), 0)
            if reached > counted:
                what = f"shard {shard} of log {log} is at offset {counted}, but {table.name} holds offset {reached}"
                yield Finding(shards.name, what, RESTORE)


def _key_and(table: sa.Table, column: sa.ColumnElement[int]) -> sa.Select[str, int, int]:
    return sa.select(table.c.log, table.c.shard, column)


def _check_users(connection: sa.Connection) -> Iterator[Finding]:
    for user_id, name, zone in connection.execute(sa.select(users.c.user_id, users.c.username, users.c.timezone)):
        if not is_zone(zone):
            remedy = f"`heartline users set {name} --timezone ZONE` gives another one"
            yield Finding(users.name, f"the time zone {zone!r} is not in tzdata", remedy, user_id)


def _check_keys(connection: sa.Connection) -> Iterator[Finding]:
    orphans = sa.select(api_keys.c.user_id, api_keys.c.hint).where(
        api_keys.c.user_id.not_in(sa.select(users.c.user_id)), api_keys.c.user_id.not_in(_removed())
    )
    for user_id, hint in connection.execute(orphans):
        yield Finding(api_keys.name, f"the key {hint}… belongs to nobody", _IMPORT, user_id)


def _check_removed(connection: sa.Connection) -> Iterator[Finding]:
    for table in (users, api_keys):
        left = sa.select(table.c.user_id).where(table.c.user_id.in_(_removed())).distinct()
        for user_id in connection.scalars(left):
            yield Finding(table.name, "the user is removed, and still here", REBUILD, user_id)


def check_owners(connection: sa.Connection, owners: Iterable[int], now_us: int) -> Iterator[Finding]:
    """Check that the users who have heartbeats are there. `now_us`: an erasure under way is no damage."""
    known = set(connection.scalars(sa.select(users.c.user_id)))
    removed = {row.user_id: row.removed_at_us for row in connection.execute(sa.select(tombstones))}
    for user_id in sorted(set(owners) - known):
        if user_id not in removed:
            yield Finding(users.name, "there are heartbeats of a user who is not", _IMPORT, user_id)
        elif removed[user_id] < now_us - _ERASED_WITHIN_US:
            yield Finding(tombstones.name, "heartbeats of a removed user are left", REBUILD, user_id)


def _check_dead_letters(connection: sa.Connection) -> Iterator[Finding]:
    places = (tail.c.log == dead_letters.c.log, tail.c.shard == dead_letters.c.shard)
    both = sa.select(dead_letters.c.offset, dead_letters.c.user_id).join(
        tail, sa.and_(*places, tail.c.offset == dead_letters.c.offset)
    )
    for offset, user_id in connection.execute(both):
        what = f"the record at offset {offset} is set aside, and counted in the tail too"
        yield Finding(dead_letters.name, what, RESTORE, user_id)


def _check_alarms(connection: sa.Connection) -> Iterator[Finding]:
    """Check that alarms are about what comes next: one goes when its shard goes on."""
    same_shard = sa.and_(shards.c.log == alarms.c.log, shards.c.shard == alarms.c.shard)
    found = sa.select(alarms.c.log, alarms.c.shard, alarms.c.gap_end, shards.c.offset).join_from(
        alarms, shards, same_shard, isouter=True
    )
    for log, shard, gap_end, counted in connection.execute(found):
        if counted is None or (gap_end is not None and gap_end <= counted):
            what = f"shard {shard} of log {log} has an alarm up to offset {gap_end}, and is at {counted}"
            yield Finding(alarms.name, what, RESTORE)


def _check_closed_logs(connection: sa.Connection) -> Iterator[Finding]:
    """Check that all of a closed log is in Parquet."""
    closed = sa.select(logs.c.log).where(logs.c.closed_at_us.is_not(None))
    for log, records in connection.execute(
        sa.select(tail.c.log, sa.func.count()).where(tail.c.log.in_(closed)).group_by(tail.c.log)
    ):
        yield Finding(logs.name, f"log {log} is closed, and the tail holds {records} of its records", RESTORE)


def _removed() -> sa.Select[int]:
    return sa.select(tombstones.c.user_id)
