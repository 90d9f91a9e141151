"""Answers in WakaTime's own form, for what was made for WakaTime or Wakapi: every number has the type of theirs."""

from typing import Final

import msgspec

from query_api.models import DayRange, FullGrandTotal
from query_api.models_days import DailyAverage


class WakaPart(msgspec.Struct, kw_only=True):
    """A language, project and so on; `percent` is of the sum of the parts of its list."""

    name: str
    total_seconds: float
    percent: float
    digital: str
    decimal: str
    text: str
    hours: int
    minutes: int
    seconds: int


class WakaDay(msgspec.Struct, kw_only=True):
    """One local day; each gap belongs to the project before it, other parts measure their own heartbeats."""

    grand_total: FullGrandTotal
    categories: list[WakaPart]
    projects: list[WakaPart]
    languages: list[WakaPart]
    editors: list[WakaPart]
    operating_systems: list[WakaPart]
    machines: list[WakaPart]
    dependencies: list[WakaPart] = []
    branches: list[WakaPart] = []
    entities: list[WakaPart] = []
    range: DayRange


class WakaToday(msgspec.Struct):
    """Today with all its parts, under the name that WakaTime's documentation has for its status bar."""

    data: WakaDay
    cached_at: str
    has_team_features: bool = False


class WakaCumulative(msgspec.Struct):
    """The sum of the days' totals."""

    seconds: float
    text: str
    decimal: str
    digital: str


class WakaSummaries(msgspec.Struct, kw_only=True):
    """Local days one by one, as WakaTime answers them."""

    data: list[WakaDay]
    cumulative_total: WakaCumulative
    daily_average: DailyAverage
    start: str
    end: str


class BestDay(msgspec.Struct):
    """The local day with the most time."""

    date: str
    total_seconds: float
    text: str


class WakaStatsData(msgspec.Struct, kw_only=True):
    """A range of local days measured as one sequence; averages are of the days with any time."""

    id: str
    user_id: str
    username: str
    range: str
    human_readable_range: str
    start: str
    end: str
    timezone: str
    status: str = "ok"
    is_up_to_date: bool = True
    is_already_updating: bool = False
    is_stuck: bool = False
    is_including_today: bool
    is_coding_activity_visible: bool = True
    is_language_usage_visible: bool = True
    is_editor_usage_visible: bool = True
    is_category_usage_visible: bool = True
    is_os_usage_visible: bool = True
    is_other_usage_visible: bool = True
    percent_calculated: int = 100
    timeout: int = 2
    writes_only: bool = False
    holidays: int
    days_including_holidays: int
    days_minus_holidays: int
    total_seconds: float
    total_seconds_including_other_language: float
    human_readable_total: str
    human_readable_total_including_other_language: str
    daily_average: float
    daily_average_including_other_language: float
    human_readable_daily_average: str
    human_readable_daily_average_including_other_language: str
    best_day: BestDay | None
    categories: list[WakaPart]
    projects: list[WakaPart]
    languages: list[WakaPart]
    editors: list[WakaPart]
    operating_systems: list[WakaPart]
    machines: list[WakaPart]
    dependencies: list[WakaPart] = []
    created_at: str
    modified_at: str


class WakaStats(msgspec.Struct):
    """A range of local days as WakaTime answers it."""

    data: WakaStatsData


class AllTimeRange(msgspec.Struct, kw_only=True):
    """From the first heartbeat's local day until today."""

    start: str
    start_date: str
    start_text: str
    end: str
    end_date: str
    end_text: str
    timezone: str


class AllTimeData(msgspec.Struct, kw_only=True):
    """All time ever sent."""

    total_seconds: float
    text: str
    decimal: str
    digital: str
    daily_average: float
    is_up_to_date: bool = True
    percent_calculated: int = 100
    timeout: int = 2
    range: AllTimeRange


class AllTime(msgspec.Struct):
    """All time ever sent, as WakaTime answers it."""

    data: AllTimeData


class WakaProject(msgspec.Struct, kw_only=True):
    """A project, by its name."""

    id: str
    name: str
    urlencoded_name: str
    url: str
    created_at: str
    first_heartbeat_at: str
    last_heartbeat_at: str
    human_readable_first_heartbeat_at: str
    human_readable_last_heartbeat_at: str
    has_public_url: bool = False
    badge: str | None = None
    color: str | None = None
    repository: str | None = None


class WakaProjects(msgspec.Struct, kw_only=True):
    """All projects on one page, the newest first."""

    data: list[WakaProject]
    total: int
    total_pages: int = 1
    page: int = 1
    prev_page: int | None = None
    next_page: int | None = None


class WakaHeartbeat(msgspec.Struct, kw_only=True):
    """A heartbeat with WakaTime's names and types; machine and user agent stand for their ids."""

    id: str
    user_id: str
    time: float
    entity: str | None
    type: str | None
    category: str
    project: str | None
    project_root_count: int | None
    branch: str | None
    language: str | None
    dependencies: list[str]
    is_write: bool | None
    lines: int | None
    lineno: int | None
    cursorpos: int | None
    line_additions: int | None
    line_deletions: int | None
    ai_model: str | None
    ai_session: str | None
    ai_subscription_plan: str | None
    ai_input_tokens: int | None
    ai_output_tokens: int | None
    ai_prompt_length: int | None
    ai_line_changes: int | None
    human_line_changes: int | None
    machine_name_id: str | None
    user_agent_id: str | None
    created_at: str


class WakaHeartbeats(msgspec.Struct):
    """One local day's heartbeats in order of time."""

    start: str
    end: str
    timezone: str
    data: list[WakaHeartbeat]


ANSWERS: Final = (WakaToday, WakaSummaries, WakaStats, AllTime, WakaProjects, WakaHeartbeats)
