"""Rows of the tail against the heartbeats in them."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
import zstandard

from aggregator.checks.finding import REBUILD, Finding
from schemas.calendars import DAY_US, UTC_DAYS, date_of
from schemas.record import unpack_lines
from schemas.tables import tail
from storage.stats import Database

_RECORDS_AT_ONCE: Final = 1_000  # copied out in one short read transaction
_KEY: Final = (tail.c.log, tail.c.shard, tail.c.offset)


class TailDamage(NamedTuple):
    """A row that says something else than the heartbeats in it; `facts` None: they cannot be read.

    `key`: log, shard and offset. `facts`: smallest time, largest time (µs) and number of heartbeats, as they are.
    """

    key: tuple[str, int, int]
    user_id: int
    said: tuple[int, int, int]
    facts: tuple[int, int, int] | None

    def finding(self) -> Finding:
        """Say it to people."""
        place = f"the record at offset {self.key[2]}"
        if self.facts is None:
            return Finding(tail.name, f"{place} cannot be read", f"{REBUILD}: a dead letter keeps it", self.user_id)
        what = f"{place} says (min_us, max_us, count) {self.said}, its heartbeats say {self.facts}"
        return Finding(tail.name, what, REBUILD, self.user_id, date_of(self.facts[0] // DAY_US), UTC_DAYS)


def check_tail(database: Database, *conditions: sa.ColumnElement[bool]) -> Iterator[TailDamage]:
    """Decode every tail row that meets the conditions, `_RECORDS_AT_ONCE` in each transaction."""
    page = sa.select(*_KEY, tail.c.user_id, tail.c.min_us, tail.c.max_us, tail.c.count, tail.c.value)
    page = page.where(*conditions).order_by(*_KEY).limit(_RECORDS_AT_ONCE)
    following = page
    while True:
        with database.reading() as connection:
            rows = connection.execute(following).all()
        if not rows:
            return
        for log, shard, offset, user_id, *said, value in rows:
            facts = _facts(value)
            if facts != tuple(said):
                yield TailDamage((log, shard, offset), user_id, (said[0], said[1], said[2]), facts)
        following = page.where(sa.tuple_(*_KEY) > sa.tuple_(*rows[-1][:3]))


def _facts(value: bytes) -> tuple[int, int, int] | None:
    try:
        times = [h.time_us for h in unpack_lines(value)]
    except (msgspec.MsgspecError, zstandard.ZstdError, ValueError):
        return None
    return (min(times), max(times), len(times)) if times else None
