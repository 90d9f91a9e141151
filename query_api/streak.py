"""The streak: on how many local days in a row somebody coded (semantics.md, section 4)."""

from collections.abc import Callable
from typing import Final

import polars as pl

from query_api.access import Services
from schemas.calendars import DAY_US, day_period, local_calendar, period_at
from schemas.dimensions import Dimension
from schemas.segment import measure

LOOK_BACK_US: Final = 31 * DAY_US
"""Nothing older counts."""

ENOUGH_US: Final = 900 * 1_000_000
"""Of coding without browsing makes a day count."""


def streak_days(services: Services, user_id: int) -> int:
    """Count a user's days in a row, up to today or, where today does not count yet, up to yesterday.

    A day is measured alone; heartbeats to come and those before the last 31 days are left out.
    """
    now_us = services.clock()
    since_us = now_us - LOOK_BACK_US
    read = services.reader.local_days(user_id, lambda zone: _days(zone, since_us, now_us), (Dimension.ACTIVE,))
    if read is None:
        return 0
    calendar = local_calendar(read.timezone)

    def counts(day: int) -> bool:
        segment = read.measured.get(day, {}).get((Dimension.ACTIVE, None))
        if segment is None or segment.duration_us < ENOUGH_US:
            return False
        if since_us <= segment.first_us and segment.last_us <= now_us:
            return True
        period = day_period(calendar, day)
        start_us, end_us = max(period.start_us, since_us), min(period.end_us, now_us + 1)
        return _measure_active(services, user_id, start_us, end_us) >= ENOUGH_US

    return count_back(counts, read.days[-1])


def count_back(counts: Callable[[int], bool], today: int) -> int:
    """Count days in a row that count, backwards from today, or from yesterday where today does not."""
    day = today - 1
    while counts(day):
        day -= 1
    return today - 1 - day + counts(today)


def _days(zone: str, since_us: int, now_us: int) -> range:
    calendar = local_calendar(zone)
    return range(period_at(calendar, since_us).day, period_at(calendar, now_us).day + 1)


def _measure_active(services: Services, user_id: int, from_us: int, to_us: int) -> int:
    """Measure a part of a day, in microseconds."""
    frames = services.history.stream_measured(user_id, from_us, to_us)
    active = (frame.filter(pl.col("category").str.to_lowercase() != "browsing") for frame in frames)
    part = measure(time_us for frame in active for time_us in frame["time_us"])
    return part.duration_us if part else 0
