"""Ranges of days by name, as WakaTime and Wakapi call them, and single days as clients write them. Pure.

The days of a range are local dates, both ends included; weeks begin on Monday.
"""

import datetime as dt
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from dateutil.relativedelta import relativedelta

from query_api.errors import ApiError

ALL_TIME: Final = "all_time"
"""The one range that no dates bound."""

MAX_SUMMARY_DAYS: Final = 366
"""Days that one answer may list (semantics.md, section 7)."""

_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2999
"""Time zones are not computed with dates beyond; no heartbeat comes near either."""

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_YEAR: Final = re.compile(r"\d{4}", re.ASCII)
_MONTH: Final = re.compile(r"\d{4}-\d{2}", re.ASCII)


class Dates(NamedTuple):
    """Local dates from `first` to `last`, both included."""

    first: dt.date
    last: dt.date


_DAY: Final = dt.timedelta(days=1)


def _since(last: dt.date, back: relativedelta | dt.timedelta) -> Dates:
    return Dates(last - back + _DAY, last)


def _week(today: dt.date, back: int) -> Dates:
    monday = today - (today.weekday() + 7 * back) * _DAY
    return Dates(monday, monday + 6 * _DAY)


def _month(day: dt.date) -> Dates:
    first = day.replace(day=1)
    return Dates(first, first + relativedelta(months=1) - _DAY)


def _year(day: dt.date) -> Dates:
    return Dates(day.replace(month=1, day=1), day.replace(month=12, day=31))


_NAMED: Final[dict[str, Callable[[dt.date], Dates]]] = {
    "today": lambda today: _since(today, _DAY),
    "yesterday": lambda today: _since(today - _DAY, _DAY),
    "last_7_days": lambda today: _since(today, 7 * _DAY),
    "last_7_days_from_yesterday": lambda today: _since(today - _DAY, 7 * _DAY),
    "last_14_days": lambda today: _since(today, 14 * _DAY),
    "last_30_days": lambda today: _since(today, 30 * _DAY),
    "this_week": lambda today: _week(today, 0),
    "last_week": lambda today: _week(today, 1),
    "this_month": _month,
    "this_year": _year,
    "last_month": lambda today: _month(today - relativedelta(months=1)),
    "last_6_months": lambda today: _since(today, relativedelta(months=6)),
    "last_year": lambda today: _since(today, relativedelta(years=1)),
}

_WAKAPIS: Final = {
    "day": "yesterday",
    "week": "this_week",
    "month": "this_month",
    "year": "this_year",
    "7_days": "last_7_days",
    "14_days": "last_14_days",
    "30_days": "last_30_days",
    "6_months": "last_6_months",
    "12_months": "last_year",
    "last_12_months": "last_year",
    "any": ALL_TIME,
}
"""Wakapi's own names of the same ranges."""

RANGE_NAMES: Final = (*_NAMED, ALL_TIME, *_WAKAPIS)


def range_key(name: str) -> str:
    """Give a range's name the form that answers show: "Last 7 Days" and Wakapi's "7_days" are `last_7_days`."""
    key = name.strip().lower().replace(" ", "_")
    return _WAKAPIS.get(key, key)


def named_dates(key: str, today: dt.date) -> Dates | None:
    """Tell which days a range means on the day `today`; also a year (2025) or month (2025-06). None: no such range."""
    if key in _NAMED:
        return _NAMED[key](today)
    if _YEAR.fullmatch(key):
        first = _iso_date(f"{key}-01-01")
        return None if first is None else _year(first)
    if _MONTH.fullmatch(key):
        first = _iso_date(f"{key}-01")
        return None if first is None else _month(first)
    return None


def summary_dates(start: str | None, end: str | None, today: dt.date) -> Dates:
    """Read two dates (YYYY-MM-DD, `today`, `yesterday`, or a time of that day). Raises 400 as HEAD does."""
    first, last = _day(start, today), _day(end, today)
    if first is None or last is None:
        raise ApiError(400, "start and end must be valid dates in YYYY-MM-DD format")
    return bounded(Dates(first, last))


def bounded(dates: Dates) -> Dates:
    """Refuse dates in the wrong order and more days than one answer lists: 400."""
    if dates.last < dates.first:
        raise ApiError(400, "end must not be before start")
    if (dates.last - dates.first).days >= MAX_SUMMARY_DAYS:
        raise ApiError(400, f"date range cannot exceed {MAX_SUMMARY_DAYS} days")
    return dates


def day_named(text: str | None, today: dt.date) -> dt.date:
    """Read one date as `summary_dates` does. Raises 400."""
    day = _day(text, today)
    if day is None:
        raise ApiError(400, "date must be a valid date in YYYY-MM-DD format")
    return day


def _day(text: str | None, today: dt.date) -> dt.date | None:
    if text in ("today", "yesterday"):
        return _NAMED[text](today).first
    return _iso_date((text or "").partition("T")[0])


def _iso_date(text: str) -> dt.date | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return date if _FIRST_YEAR <= date.year <= _LAST_YEAR else None
