"""How durations and instants are put into words (semantics.md, its first table and sections 3 to 5)."""

import calendar
import datetime as dt
from collections.abc import Iterable
from typing import Final

_YEAR_MINUTES: Final = 525_600


def quotient(dividend: int, divisor: int, places: int) -> float:
    """Divide, rounded to `places` decimals with halves up, as Ruby rounds: 1/8 is 0.13, and 2498/8000 31.23 percent."""
    scale: int = 10**places
    return (2 * scale * dividend + divisor) // (2 * divisor) / scale


def percent(part: int, total: int) -> float:
    """Tell how much of `total` a part is, to two decimals."""
    return quotient(100 * part, total, 2)


def status_text(seconds: int) -> str:
    """Say today's time in the seed's words: "2 hrs", "1 hr 1 min", "59 mins", "59 secs", "1 sec", "0 secs"."""
    if seconds < 60:
        return _counted(seconds, "sec")
    hours, minutes = divmod(seconds // 60, 60)
    return _joined((hours, _counted(hours, "hr")), (minutes, _counted(minutes, "min")))


def status_text_short(seconds: int) -> str:
    """Say today's time as Hackatime does: "2h", "1h 1m", "0m" below a minute, "Start coding!" for nothing."""
    return short_text(seconds) if seconds else "Start coding!"


def short_text(seconds: int) -> str:
    """Say whole hours and minutes: "1h 30m", "59m", "2h", "0m" below a minute."""
    hours, minutes = divmod(seconds // 60, 60)
    return _joined((hours, f"{hours}h"), (minutes, f"{minutes}m")) or "0m"


def full_text(seconds: int) -> str:
    """Say hours, minutes and seconds, zero parts left out: "5h 10m 3s"; nothing at all for 0."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return _joined((hours, f"{hours}h"), (minutes, f"{minutes}m"), (rest, f"{rest}s"))


def digital(seconds: int) -> str:
    """Write "HH:MM:SS"."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}"


def clock(seconds: int) -> str:
    """Write "H:MM:SS"."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def hours_and_minutes(seconds: int) -> str:
    """Say both, always: "7 hrs 0 mins"."""
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} hrs {minutes} mins"


def digital_minutes(seconds: int) -> str:
    """Write "H:MM", the seconds cut."""
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02d}"


def decimal_hours(seconds: int) -> str:
    """Write hours with two decimals: "0.05"."""
    return f"{seconds / 3600:.2f}"


def long_date(date: dt.date, today: dt.date) -> str:
    """Name a day beside today: "Today", "Yesterday", "August 10, 2026"."""
    if date == today:
        return "Today"
    if date == today - dt.timedelta(days=1):
        return "Yesterday"
    return f"{calendar.month_name[date.month]} {date.day:02d}, {date.year}"


def whole_second(time_us: int) -> str:
    """Write an instant as "YYYY-MM-DDTHH:MM:SSZ", cut to the second."""
    return dt.datetime.fromtimestamp(time_us // 1_000_000, dt.UTC).isoformat().replace("+00:00", "Z")


def time_ago(then_us: int, now_us: int) -> str:
    """Say how long ago an instant was, in Rails' words (`time_ago_in_words`), an instant to come included."""
    from_us, to_us = sorted((then_us, now_us))
    return f"{_distance(from_us, to_us)} ago"


def _distance(from_us: int, to_us: int) -> str:
    minutes = _rounded(to_us - from_us, 60_000_000)
    if minutes >= _YEAR_MINUTES:
        return _years(from_us, to_us, minutes)
    if minutes == 0:
        return "less than a minute"
    if minutes < 45:
        return _counted(minutes, "minute")
    if minutes < 1440:
        return "about " + _counted(_rounded(minutes, 60), "hour")
    if minutes < 43_200:
        return _counted(1 if minutes < 2520 else _rounded(minutes, 1440), "day")
    about = "about " if minutes < 86_400 else ""
    return about + _counted(_rounded(minutes, 43_200), "month")


def _years(from_us: int, to_us: int, minutes: int) -> str:
    minutes -= 1440 * _leap_days(from_us, to_us)
    years, rest = divmod(minutes, _YEAR_MINUTES)
    if rest < _YEAR_MINUTES // 4:
        return "about " + _counted(years, "year")
    if rest < _YEAR_MINUTES // 4 * 3:
        return "over " + _counted(years, "year")
    return "almost " + _counted(years + 1, "year")


def _leap_days(from_us: int, to_us: int) -> int:
    start, end = (dt.datetime.fromtimestamp(us // 1_000_000, dt.UTC) for us in (from_us, to_us))
    first = start.year + (start.month >= 3)
    last = end.year - (end.month < 3)
    return sum(calendar.isleap(year) for year in range(first, last + 1))


def _rounded(number: int, unit: int) -> int:
    return (2 * number + unit) // (2 * unit)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _joined(*parts: tuple[int, str]) -> str:
    shown: Iterable[str] = (text for number, text in parts if number)
    return " ".join(shown)
