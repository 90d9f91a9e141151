"""Days, months and local days as half-open intervals of microseconds.

A local day d starts right after the last instant whose local date is before d, so days never overlap even where
clocks go back across midnight, and a day that a zone skipped is empty (design.md, "The one idea").
"""

import datetime as dt
import zoneinfo
from functools import lru_cache
from typing import Final, NamedTuple

# The pinned tzdata package alone decides: every machine then cuts days at the same instants.
zoneinfo.reset_tzpath(())

DAY_US: Final = 86_400_000_000
UTC_DAYS: Final = "UTC"
UTC_MONTHS: Final = "UTC/month"
LIFETIME: Final = "lifetime"
"""A calendar of one period, kept for the total alone: has this user sent anything before, and when last?"""

_EPOCH: Final = dt.date(1970, 1, 1)
_FOREVER_US: Final = 1 << 62


class Period(NamedTuple):
    """A day or month of a calendar: the number of its first day since 1970-01-01, and its instants [start, end)."""

    calendar: str
    day: int
    start_us: int
    end_us: int


def is_zone(name: str) -> bool:
    """Tell whether `name` is a zone of the pinned tzdata."""
    return name in _zones()


def local_calendar(zone: str) -> str:
    """Name the calendar of a zone's days: where they are UTC's, there is one set of rows.

    A zone that tzdata does not have, or has no longer, has UTC's days.
    """
    return UTC_DAYS if zone in _UTC_NAMES or not is_zone(zone) else zone


def day_number(date: dt.date) -> int:
    """Days since 1970-01-01."""
    return (date - _EPOCH).days


def date_of(day: int) -> dt.date:
    """Undo `day_number`."""
    return _EPOCH + dt.timedelta(days=day)


def period_at(calendar: str, time_us: int) -> Period:
    """Find the period of `calendar` (a zone's name, `UTC_DAYS`, `UTC_MONTHS`, `LIFETIME`) that holds an instant."""
    if calendar == UTC_DAYS:
        day = time_us // DAY_US
        return Period(calendar, day, day * DAY_US, (day + 1) * DAY_US)
    if calendar == UTC_MONTHS:
        return month_of(time_us // DAY_US)
    if calendar == LIFETIME:
        return Period(calendar, 0, -_FOREVER_US, _FOREVER_US)
    return _local_day_at(calendar, time_us)


def day_period(calendar: str, day: int) -> Period:
    """Give the instants of one day of UTC or of a zone."""
    if calendar == UTC_DAYS:
        return Period(calendar, day, day * DAY_US, (day + 1) * DAY_US)
    return Period(calendar, day, _local_day_start(calendar, day), _local_day_start(calendar, day + 1))


def month_of(day: int) -> Period:
    """Give the UTC month that holds a day."""
    first = date_of(day).replace(day=1)
    following = (first + dt.timedelta(days=31)).replace(day=1)
    start, end = day_number(first), day_number(following)
    return Period(UTC_MONTHS, start, start * DAY_US, end * DAY_US)


def _local_day_at(zone: str, time_us: int) -> Period:
    local = dt.datetime.fromtimestamp(time_us // 1_000_000, _zone(zone))
    day = day_number(local.date())
    while time_us < _local_day_start(zone, day):  # clocks went back: its date comes again, and starts then
        day -= 1
    return day_period(zone, day)


@lru_cache(maxsize=65_536)
def _local_day_start(zone: str, day: int) -> int:
    midnight = dt.datetime.combine(date_of(day), dt.time.min)
    tz = _zone(zone)
    utc = midnight.replace(tzinfo=dt.UTC)
    early, late = sorted(utc - _offset(midnight, tz, fold) for fold in (0, 1))
    if late.astimezone(tz).replace(tzinfo=None) != midnight:
        start = _transition_between(early, late, tz)  # clocks jumped over midnight: the day starts with the jump
    elif (late - dt.timedelta(seconds=1)).astimezone(tz).date() < midnight.date():
        start = late
    else:
        start = early  # midnight came twice, the second time out of the day itself
    return int(start.timestamp()) * 1_000_000


def _offset(naive: dt.datetime, tz: zoneinfo.ZoneInfo, fold: int) -> dt.timedelta:
    return naive.replace(tzinfo=tz, fold=fold).utcoffset() or dt.timedelta(0)


def _transition_between(early: dt.datetime, late: dt.datetime, tz: zoneinfo.ZoneInfo) -> dt.datetime:
    before = early.astimezone(tz).utcoffset()
    while late - early > dt.timedelta(seconds=1):
        middle = early + (late - early) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(tz).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


@lru_cache(maxsize=1024)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"})


_UTC_NAMES: Final = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Etc/Universal", "Universal", "Etc/Zulu", "Zulu"})
