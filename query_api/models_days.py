"""Answers about a user's local days: summaries and the last seven days (semantics.md, section 7)."""

from typing import Final

import msgspec

from query_api.models import DayRange


class Duration(msgspec.Struct, kw_only=True):
    """A duration in all forms: digital "00:03:00", decimal "0.05" (hours), text "3m"."""

    total_seconds: int
    hours: int
    minutes: int
    seconds: int
    digital: str
    decimal: str
    text: str


class ProjectDuration(Duration, kw_only=True):
    """A project's part of a day: each gap belongs to the project of the heartbeat before it."""

    name: str
    percent: float


class SummaryDay(msgspec.Struct, kw_only=True):
    """One local day; the lists other than `projects` are always empty."""

    grand_total: Duration
    projects: list[ProjectDuration]
    range: DayRange
    branches: list[str] = []
    categories: list[str] = []
    dependencies: list[str] = []
    editors: list[str] = []
    entities: list[str] = []
    languages: list[str] = []
    machines: list[str] = []
    operating_systems: list[str] = []


class CumulativeTotal(msgspec.Struct, kw_only=True):
    """The sum of the days' totals; `seconds` are all of them."""

    seconds: int
    hours: int
    minutes: int
    digital: str
    decimal: str
    text: str


class DailyAverage(msgspec.Struct, kw_only=True):
    """The sum divided by all days, the seconds cut; a holiday is a day without any time."""

    holidays: int
    days_including_holidays: int
    days_minus_holidays: int
    seconds: int
    seconds_including_other_language: int
    text: str
    text_including_other_language: str


class Summaries(msgspec.Struct, kw_only=True):
    """Local days one by one, as Hackatime answers them."""

    data: list[SummaryDay]
    cumulative_total: CumulativeTotal
    daily_average: DailyAverage
    start: str
    end: str


class WeekPart(msgspec.Struct, kw_only=True):
    """A part of the last seven days; `percent` is of the sum of the parts of its list."""

    name: str
    total_seconds: int
    percent: float
    digital: str
    text: str
    hours: int
    minutes: int
    seconds: int


class Week(msgspec.Struct, kw_only=True):
    """The last seven local days and today; `days_including_holidays` counts those with a heartbeat."""

    username: str
    user_id: str
    start: str
    end: str
    status: str = "ok"
    total_seconds: int
    daily_average: float
    days_including_holidays: int
    range: str = "last_7_days"
    human_readable_range: str = "Last 7 Days"
    human_readable_total: str
    human_readable_daily_average: str
    is_coding_activity_visible: bool = True
    is_other_usage_visible: bool = True
    editors: list[WeekPart]
    languages: list[WeekPart]
    machines: list[WeekPart]
    projects: list[WeekPart]
    operating_systems: list[WeekPart]
    categories: list[WeekPart]


class WeekAnswer(msgspec.Struct):
    """The last seven local days and today, as Hackatime answers them."""

    data: Week


ANSWERS: Final = (Summaries, WeekAnswer)
