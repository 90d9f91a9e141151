"""Instants as clients write them, turned into integers: microseconds since the epoch."""

import datetime as dt
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from dateutil import parser

MIN_TIME_US: Final = 1_000_000_000_000_000
MAX_TIME_US: Final = 2_000_000_000_000_000
"""A heartbeat's time is at or after the first and before the second (semantics.md, section 2, rule 2)."""

_MAX_TEXT: Final = 100  # characters; the longest date that a client writes has 60
_MAX_MAGNITUDE: Final = 30  # digits before the point: nothing beyond is an instant in any scale
_SCALES: Final = (6, 3, 0, -3)  # powers of ten from seconds, milli-, micro-, nanoseconds to microseconds
_EXACT: Final = Context(prec=_MAX_TEXT + _MAX_MAGNITUDE, rounding=ROUND_HALF_EVEN)

_BEYOND_US: Final = 10**_MAX_MAGNITUDE
"""In place of what is larger, so that nothing computes with exponents that a client wrote: in no range."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
# As Rails reads them: 1/2/2026 is the first of February, and 1/31/2026 no date.
_DAY_FIRST: Final = re.compile(r"(?<!\d)(\d\d?)([-/.])(\d\d?)\2(\d{4})(?!\d)", re.ASCII)
_COMPACT_DATE: Final = re.compile(r"(?:19|20)\d{6}", re.ASCII)
_FRACTION: Final = re.compile(r"(?<=:\d\d:\d\d)[.,](\d+)", re.ASCII)
_LOST_PLUS: Final = re.compile(r"(:\d\d(?:[.,]\d+)?(?: GMT)?) ((?:0\d|1[0-4]):?[0-5]\d)\b", re.ASCII)
# As JavaScript writes a date: "GMT+0200 (Central European Summer Time)" is two hours ahead of GMT.
_FROM_GMT: Final = re.compile(r"\b(?:GMT|UTC)(?=[+-]\d)", re.ASCII | re.IGNORECASE)
_COMMENT: Final = re.compile(r"\s*\([^()]*\)$")

_TIME_HELP: Final = (
    "time must be Unix epoch seconds between 1000000000 and 1999999999 (a number, or numeric text; "
    "milli-, micro- and nanoseconds are understood), or a date such as 2026-01-31T12:00:00Z"
)
_DATE_HELP: Final = "write a date with its year such as 2026-01-31 or 2026-01-31T12:00:00Z, or Unix epoch seconds"

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
FIRST_US: Final = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
LAST_US: Final = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
"""Years 1 to 9999: what `parse_when` reads, and what can be written as a date."""
# Two days that share no part: what a text leaves out shows as a difference.
_DEFAULTS: Final = (dt.datetime(2000, 1, 1), dt.datetime(2001, 2, 2))  # noqa: DTZ001 - the zone is the text's


class InstantError(ValueError):
    """Not an instant; the text says what to write instead."""


def parse_time(value: object) -> int:
    """Read a heartbeat's time: microseconds since the epoch (semantics.md, section 2, rule 2).

    A number or numeric text in seconds (or milli-, micro-, nanoseconds, told apart by size), or the text of a date
    (no zone: UTC). Rounded to the microsecond, half to even, before the range is checked. A float stands for its
    shortest decimal text, so 1700000000.123 and "1700000000.123" are one instant. Raises `InstantError`.
    """
    if value.__class__ is float:
        # Seconds, nearly always. The product is within 0.25 of the decimal's, so this decides all but near-halves.
        product = value * 1e6
        if MIN_TIME_US <= product < MAX_TIME_US - 1:
            rounded = round(product)
            if -0.25 <= product - rounded <= 0.25:
                return rounded
    elif value.__class__ is int and MIN_TIME_US <= (time_us := value * 1_000_000) < MAX_TIME_US:
        return time_us
    found = _in_range(_number(value))
    if found is None:
        raise InstantError(_TIME_HELP)
    return found


def parse_when(text: str) -> int:
    """Read a start or end of the read API: a date, a date with time (no zone: UTC), or a number as in `parse_time`.

    Numbers that are no heartbeat's time in any scale are seconds; eight digits are a date (20260131). Any instant
    of the years 1 to 9999. Returns microseconds since the epoch. Raises `InstantError`.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) and not _COMPACT_DATE.fullmatch(text):
        number = _decimal(text)
        time_us = _in_range(number)
        if time_us is None:
            time_us = _rounded(number, 6)
    else:
        time_us = _date_us(_LOST_PLUS.sub(r"\1+\2", text))
    if not FIRST_US <= time_us <= LAST_US:
        raise InstantError(_DATE_HELP)
    return time_us


def _number(value: object) -> Decimal:
    """Give the seconds that a value of JSON stands for, exactly."""
    if isinstance(value, str):
        text = value.strip()
        return _decimal(text) if _NUMBER.fullmatch(text) else Decimal(_date_us(text)).scaleb(-6, _EXACT)
    if isinstance(value, float):
        number = Decimal(repr(value))
        if number.is_finite():
            return number
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 100:
        return Decimal(value)
    raise InstantError(_TIME_HELP)


def _decimal(text: str) -> Decimal:
    if len(text) > _MAX_TEXT:
        raise InstantError(_TIME_HELP)
    return Decimal(text)


def _in_range(seconds: Decimal) -> int | None:
    for scale in _SCALES:
        time_us = _rounded(seconds, scale)
        if MIN_TIME_US <= time_us < MAX_TIME_US:
            return time_us
    return None


def _rounded(number: Decimal, scale: int) -> int:
    if number and number.adjusted() > _MAX_MAGNITUDE:
        return _BEYOND_US
    return int(number.scaleb(scale, _EXACT).to_integral_value(context=_EXACT))


def _date_us(text: str) -> int:
    if not text or len(text) > _MAX_TEXT:
        raise InstantError(_DATE_HELP)
    text = _FROM_GMT.sub("", _COMMENT.sub("", text))  # dateutil would take "GMT+2" for two hours behind
    text = _DAY_FIRST.sub(r"\4-\3-\1", text)
    fraction = _FRACTION.search(text)
    whole = _FRACTION.sub("", text, count=1)
    try:
        instant, other = (_parsed(whole, day) for day in _DEFAULTS)
        since = (instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)) - _EPOCH
    except InstantError:
        raise
    except (ValueError, OverflowError, TypeError, AttributeError, ArithmeticError, IndexError) as error:
        raise InstantError(_DATE_HELP) from error  # dateutil lets through what its parts raise
    if instant != other:
        raise InstantError(_DATE_HELP)  # "10:30" or "Monday": the rest would come from today's date
    return since // _MICROSECOND + (_rounded(Decimal(f"0.{fraction[1]}"), 6) if fraction else 0)


def _parsed(text: str, default: dt.datetime) -> dt.datetime:
    return parser.parse(text, default=default, tzinfos=_zone)


def _zone(name: str | None, offset_s: int | None) -> dt.tzinfo | None:
    if offset_s is not None:
        return dt.timezone(dt.timedelta(seconds=offset_s))
    if name is None:
        return None
    if name in {"UTC", "GMT", "Z", "z", "UT"}:
        return dt.UTC
    raise InstantError(f"the zone {name} is not known: write an offset such as +02:00, or Z")
