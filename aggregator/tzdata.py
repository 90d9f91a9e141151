"""A new tzdata: the local days that it cuts elsewhere are computed again (design.md, "The one idea")."""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from importlib.metadata import version as package_version
from typing import Any, Final

import sqlalchemy as sa

from aggregator.recompute import owned_by, rebuild_scope, rows_of_users, scopes
from schemas.calendars import LIFETIME, UTC_DAYS, UTC_MONTHS, day_period, local_calendar
from schemas.dimensions import Dimension
from schemas.tables import segments, shards, users
from storage.errors import FencedError, StorageError
from storage.lake import Lake
from storage.lake.jobs import Scope, while_files_vanish
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE: Final = 20_000  # of one read transaction, well below a second


def apply_new_tzdata(shard: Shard, lake: Lake) -> Iterator[int]:
    """Compute again the users who have local days that the installed tzdata cuts elsewhere; store its version then.

    Each step is a range of users in one transaction, so that readers see a user's old days or the new ones, and gives
    how many users are done. Nothing may be counted before the last step. After a crash it begins anew; where lake or
    tail cannot be read, the days stay as they are until the next start. Raises `FencedError`.
    """
    installed = package_version("tzdata")
    is_mine = sa.and_(shards.c.log == shard.log, shards.c.shard == shard.number)
    with shard.database.reading() as connection:
        stored = connection.scalar(sa.select(shards.c.tzdata_version).where(is_mine))
    if stored == installed:
        return
    try:
        done = 0
        owned = owned_by(shard)
        moved = _users(shard, lake) if stored is None else _concerned(shard, owned)
        for scope, held in _narrowed(scopes(shard.database, lake, within=owned) if moved else [], moved):
            rebuild_scope(shard, lake, scope)
            done += held
            yield done
    except FencedError:
        raise
    except StorageError as error:
        logger.error("Local days stay as tzdata %s cut them until the next start: %s", stored, error)  # noqa: TRY400 - one line
        return
    with shard.writing() as connection:
        connection.execute(sa.update(shards).where(is_mine).values(tzdata_version=installed))
    logger.info("tzdata is %s now, was %s: the local days of %d users were cut anew.", installed, stored, done)


def _users(shard: Shard, lake: Lake) -> list[int]:
    """Give all who have heartbeats: their stats were never computed as this version does."""
    return sorted(while_files_vanish(lambda: rows_of_users(shard.database, lake)))


def _concerned(shard: Shard, owned: Scope) -> list[int]:
    return sorted({*_moved_users(shard, owned), *_users_without_days(shard, owned)})


def _moved_users(shard: Shard, owned: Scope) -> Iterator[int]:
    """Find whose days are no longer what they were, by the days' first and last heartbeats.

    Days are intervals: while the first and the last heartbeat of each lie in it, so do all others.
    """
    c = segments.c
    wanted = (
        sa.select(c.user_id, c.calendar, c.day, c.first_us, c.last_us)
        .where(owned.users(c.user_id), c.dimension == Dimension.TOTAL)
        .where(c.calendar.not_in([UTC_DAYS, UTC_MONTHS, LIFETIME]))
    )
    for user_id, *day in _page_by_page(shard, wanted, (c.user_id, c.calendar, c.day)):
        if not _is_whole(*day):
            yield user_id


def _users_without_days(shard: Shard, owned: Scope) -> Iterator[int]:
    """Find whose zone tzdata has again: they had UTC's days while it had not."""
    lifetimes, days = segments.alias(), segments.alias()
    is_theirs = sa.and_(lifetimes.c.user_id == users.c.user_id, lifetimes.c.calendar == LIFETIME)
    has_days = sa.exists().where(days.c.user_id == users.c.user_id, days.c.calendar == users.c.timezone)
    wanted = (
        sa.select(users.c.user_id, users.c.timezone)
        .join_from(users, lifetimes, is_theirs)
        .where(owned.users(users.c.user_id), users.c.timezone != UTC_DAYS, ~has_days)
    )
    for user_id, timezone in _page_by_page(shard, wanted, (users.c.user_id,)):
        if local_calendar(timezone) != UTC_DAYS:
            yield user_id


def _page_by_page(
    shard: Shard, wanted: sa.Select[*tuple[Any, ...]], key: Sequence[sa.ColumnElement[Any]]
) -> Iterator[tuple[Any, ...]]:
    """Give rows (Any: as wanted) in the order of `key`, their first columns; a short transaction for each page."""
    page = wanted.order_by(*key).limit(_ROWS_AT_ONCE)
    following = page
    while True:
        with shard.database.reading() as connection:
            rows = connection.execute(following).all()
        if not rows:
            return
        yield from rows
        following = page.where(sa.tuple_(*key) > sa.tuple_(*rows[-1][: len(key)]))


def _is_whole(calendar: str, day: int, first_us: int, last_us: int) -> bool:
    try:
        period = day_period(calendar, day)
    except (KeyError, OverflowError):
        return False  # a zone that tzdata has no longer, or no day at all
    return period.start_us <= first_us and last_us < period.end_us


def _narrowed(parts: Sequence[Scope], user_ids: Sequence[int]) -> Iterator[tuple[Scope, int]]:
    """Cut ranges of users down to those that hold some of `user_ids` (ascending); tell how many."""
    for part in parts:
        held = user_ids[bisect_left(user_ids, part.first_user) : bisect_right(user_ids, part.last_user)]
        if held:
            yield part._replace(first_user=held[0], last_user=held[-1]), len(held)
