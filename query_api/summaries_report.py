"""Summaries of local days in Hackatime's and in WakaTime's form (semantics.md, section 7). Pure."""

import datetime as dt
from collections.abc import Callable

import msgspec

from query_api import wording
from query_api.models import DayRange
from query_api.models_days import CumulativeTotal, DailyAverage, Duration, ProjectDuration, Summaries, SummaryDay
from query_api.models_wakatime import WakaCumulative, WakaDay, WakaSummaries, WakaToday
from query_api.ranges import Measured
from query_api.totals import full_total
from query_api.wakatime_forms import all_parts, followed_projects, listed, total_of
from schemas.calendars import date_of, day_period, local_calendar
from storage.stats.reader import LocalDays


def summaries(local: LocalDays, today: int) -> Summaries:
    """Write each day, and their sum and average; `today` is the number of the day that it is in their zone."""
    totals = _totals(local)
    cumulative = _duration(sum(totals))
    return Summaries(
        data=[_day(local, day, today) for day in local.days],
        cumulative_total=CumulativeTotal(
            seconds=cumulative.total_seconds,
            hours=cumulative.hours,
            minutes=cumulative.minutes,
            digital=cumulative.digital,
            decimal=cumulative.decimal,
            text=cumulative.text,
        ),
        daily_average=_average(totals, _text(sum(totals) // len(totals))),
        start=date_of(local.days.start).isoformat(),
        end=date_of(local.days.stop - 1).isoformat(),
    )


def wakatime_summaries(local: LocalDays, today: int) -> WakaSummaries:
    """Write the same days as WakaTime does."""
    totals = _totals(local)
    total = sum(totals)
    first, last = (day_range(local.timezone, day, today) for day in (local.days.start, local.days.stop - 1))
    whole = full_total(total, wording.status_text(total))
    return WakaSummaries(
        data=[_wakatime_day(local, day, today) for day in local.days],
        cumulative_total=WakaCumulative(whole.total_seconds, whole.text, whole.decimal, whole.digital),
        daily_average=_average(totals, wording.status_text(total // len(totals))),
        start=first.start,
        end=last.end,
    )


def wakatime_today(local: LocalDays, now_us: int, words: Callable[[int], str]) -> WakaToday:
    """Write the only day of `local`, which is today, as WakaTime does; `words`: how the status bar says its total."""
    today = local.days.start
    day = _wakatime_day(local, today, today)
    day.grand_total.text = words(total_of(_measured(local, today)))
    return WakaToday(data=day, cached_at=wording.whole_second(now_us))


def day_range(timezone: str, day: int, today: int) -> DayRange:
    """Describe a local day: its date, its first and last second in UTC, and its name beside `today`."""
    period = day_period(local_calendar(timezone), day)
    date: dt.date = date_of(day)
    return DayRange(
        date=date.isoformat(),
        start=wording.whole_second(period.start_us),
        end=wording.whole_second(period.end_us - 1),
        text=wording.long_date(date, date_of(today)),
        timezone=timezone,
    )


def _measured(local: LocalDays, day: int) -> Measured:
    return local.measured.get(day, {})


def _totals(local: LocalDays) -> list[int]:
    return [total_of(_measured(local, day)) for day in local.days]


def _day(local: LocalDays, day: int, today: int) -> SummaryDay:
    measured = _measured(local, day)
    total = total_of(measured)
    projects = [
        ProjectDuration(
            **msgspec.structs.asdict(_duration(seconds)), name=name, percent=wording.percent(seconds, total)
        )
        for name, seconds in followed_projects(measured)
        if seconds > 0
    ]
    return SummaryDay(grand_total=_duration(total), projects=projects, range=day_range(local.timezone, day, today))


def _wakatime_day(local: LocalDays, day: int, today: int) -> WakaDay:
    measured = _measured(local, day)
    seconds = total_of(measured)
    lists = all_parts(measured) | {"projects": listed(followed_projects(measured))}
    return WakaDay(
        grand_total=full_total(seconds, wording.status_text(seconds)),
        range=day_range(local.timezone, day, today),
        **lists,
    )


def _average(totals: list[int], text: str) -> DailyAverage:
    active = sum(total > 0 for total in totals)
    seconds = sum(totals) // len(totals)
    return DailyAverage(
        holidays=len(totals) - active,
        days_including_holidays=len(totals),
        days_minus_holidays=active,
        seconds=seconds,
        seconds_including_other_language=seconds,
        text=text,
        text_including_other_language=text,
    )


def _duration(seconds: int) -> Duration:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return Duration(
        total_seconds=seconds,
        hours=hours,
        minutes=minutes,
        seconds=rest,
        digital=wording.digital(seconds),
        decimal=wording.decimal_hours(seconds),
        text=_text(seconds),
    )


def _text(seconds: int) -> str:
    return wording.full_text(seconds) or "0s"
