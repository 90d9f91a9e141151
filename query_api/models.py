"""The API's answers: what is sent is made of these, and `/openapi.json` describes these."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from schemas.heartbeat import HeartbeatAnswer


class ErrorAnswer(msgspec.Struct):
    """What went wrong, in words."""

    error: str


class Health(msgspec.Struct):
    """The service answers, and so does its database."""

    status: str


class GrandTotal(msgspec.Struct):
    """Today's coding time: rounded to whole seconds, and in words made from that number."""

    total_seconds: float
    text: str


class GrandTotalData(msgspec.Struct):
    """Today, on Hackatime's path."""

    grand_total: GrandTotal


class StatusBar(msgspec.Struct):
    """The status bar as Hackatime answers it."""

    data: GrandTotalData


class FullGrandTotal(msgspec.Struct):
    """Today's coding time in all of WakaTime's forms: decimal "1.03", digital "1:02", hours and minutes cut."""

    decimal: str
    digital: str
    hours: int
    minutes: int
    text: str
    total_seconds: float


class DayRange(msgspec.Struct):
    """The day that is measured: its date in the user's zone, its first and last second in UTC."""

    date: str
    start: str
    end: str
    text: str
    timezone: str


class FullData(msgspec.Struct):
    """Today, on WakaTime's paths. `categories` is always empty: clients count it, and show the total below two."""

    grand_total: FullGrandTotal
    range: DayRange
    categories: tuple[()] = ()


class FullStatusBar(msgspec.Struct):
    """The status bar as WakaTime answers it."""

    data: FullData
    cached_at: str


class NamedSeconds(msgspec.Struct):
    """Coding time of a language or project; heartbeats without one are "Other"."""

    name: str
    seconds: int


class Part(msgspec.Struct):
    """Coding time of a language or project; `percent` is of the total, null where that is 0."""

    name: str
    total_seconds: int
    text: str
    hours: int
    minutes: int
    percent: float | None
    digital: str


class LanguagePart(Part):
    """Coding time of a language, and the colour in which GitHub shows it."""

    color: str


class TrustFactor(msgspec.Struct):
    """How far the operator trusts a user's figures."""

    trust_level: str
    trust_value: int


class OwnStats(msgspec.Struct):
    """A user's coding time over a range."""

    user: str
    total_seconds: int
    languages: list[NamedSeconds]
    projects: list[NamedSeconds]


class StatsData(msgspec.Struct, kw_only=True):
    """A user's coding time over [start, end), in Hackatime's form; the lists as `features` asks.

    `unique_total_seconds`: with `features` that hold projects, and `filter_by_project`; gaps above two minutes are left
    out. `streak`: of local days in a row with 15 minutes of coding, up to now, whatever the range.
    """

    username: str
    user_id: str
    is_coding_activity_visible: bool = True
    is_other_usage_visible: bool = True
    status: str = "ok"
    start: str
    end: str
    range: str = "all_time"
    human_readable_range: str = "All Time"
    total_seconds: int
    daily_average: int
    human_readable_total: str
    human_readable_daily_average: str
    languages: list[LanguagePart] | UnsetType = UNSET
    projects: list[Part] | UnsetType = UNSET
    unique_total_seconds: int | UnsetType = UNSET
    streak: int


class Stats(OwnStats):
    """A user's coding time over a range, in both documented forms."""

    data: StatsData
    trust_factor: TrustFactor


class TotalSeconds(msgspec.Struct):
    """A total alone."""

    total_seconds: int


class HeartbeatWindow(msgspec.Struct):
    """A window of one's own heartbeats, ascending by time; the total is of the whole window."""

    start_time: str | None
    end_time: str | None
    total_seconds: int
    heartbeats: list[HeartbeatAnswer]


class MostRecent(msgspec.Struct):
    """One's own newest heartbeat by time, and how long ago it was."""

    has_heartbeat: bool
    heartbeat: HeartbeatAnswer | None
    editor: str | None
    time_ago: str | None


class FoundByEmail(msgspec.Struct):
    """Whose email address it is."""

    user_id: int
    email: str


class FoundBySlackUid(msgspec.Struct):
    """Whose Slack id it is."""

    user_id: int
    slack_uid: str


class EmailNotFound(msgspec.Struct):
    """Nobody has this email address."""

    error: str
    email: str


class SlackUidNotFound(msgspec.Struct):
    """Nobody has this Slack id."""

    error: str
    slack_uid: str


class Profile(msgspec.Struct):
    """The owner of the key."""

    id: str
    username: str
    display_name: str
    full_name: str | None
    photo: str | None
    timezone: str
    created_at: str
    modified_at: str
    plan: str


class ProfileAnswer(msgspec.Struct):
    """The owner of the key."""

    data: Profile


ANSWERS: Final = (
    ErrorAnswer,
    Health,
    StatusBar,
    FullStatusBar,
    OwnStats,
    Stats,
    TotalSeconds,
    HeartbeatWindow,
    MostRecent,
    FoundByEmail,
    FoundBySlackUid,
    EmailNotFound,
    SlackUidNotFound,
    TrustFactor,
    ProfileAnswer,
)
