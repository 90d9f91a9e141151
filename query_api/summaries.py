"""`GET …/users/{id}/summaries`: local days one by one (semantics.md, section 7; clients.md, section 5)."""

from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Query, Response

from query_api.access import AnyCaller, PluginUser, Services, UsedServices
from query_api.config import PREFIXES
from query_api.day_scan import scan_days
from query_api.errors import ApiError, json_answer, user_not_found
from query_api.local_days import of_project, today_in
from query_api.lookup import find_shown
from query_api.models_days import Summaries
from query_api.models_wakatime import WakaSummaries
from query_api.named_ranges import Dates, bounded, named_dates, range_key, summary_dates
from query_api.openapi import KEY, OPTIONAL_KEY, answers
from query_api.parameters import AnyId, Day, Name, Names, ProjectName, RangeAsked, Username
from query_api.summaries_report import summaries, wakatime_summaries
from query_api.wakatime_forms import OF_A_DAY
from schemas.calendars import date_of, day_number, is_zone, local_calendar
from schemas.dimensions import Dimension
from schemas.heartbeat import Heartbeat
from schemas.users import User
from storage.stats.reader import LocalDays

router = APIRouter(tags=["summaries"], default_response_class=Response)

_HACKATIME: Final = (Dimension.TOTAL, Dimension.FOLLOWED)

Start = Annotated[Day, Query(description="First local date; needed, as `end` is, unless a range is named.")]
End = Annotated[Day, Query(description="Last local date, included; at most 366 days in all.")]
Range = Annotated[RangeAsked, Query(description="In place of dates: a range by its name, in any case.")]
Project = Annotated[ProjectName, Query(description="The exact name of one project to measure.")]
Timezone = Annotated[Name, Query(description="An IANA zone whose days to show. Default: the user's own.")]
Branches = Annotated[Names, Query(description="Exact names of branches to measure, separated by commas.")]


class _Asked(NamedTuple):
    """What a request asks for; `days` are in the zone that the user has or the request names."""

    start: str | None
    end: str | None
    range_name: str | None
    project: str | None
    branches: frozenset[str]
    timezone: str | None
    now_us: int

    def days(self, timezone: str) -> range:
        dates = self._dates(timezone)
        return range(day_number(dates.first), day_number(dates.last) + 1)

    def _dates(self, timezone: str) -> Dates:
        today = date_of(today_in(timezone, self.now_us))
        if not self.range_name or self.start or self.end:
            return summary_dates(self.start, self.end, today)
        dates = named_dates(range_key(self.range_name), today)
        if dates is None:
            raise ApiError(400, "Invalid range")
        return bounded(dates)

    def wants(self, heartbeat: Heartbeat) -> bool:
        of_project = self.project is None or heartbeat.project == self.project
        return of_project and (not self.branches or heartbeat.branch in self.branches)


@router.get(f"{PREFIXES[0]}/users/{{user_id}}/summaries", responses=answers(Summaries, 401, 422), openapi_extra=KEY)
def hackatime_summaries(
    services: UsedServices,
    user: PluginUser,
    user_id: AnyId,  # noqa: ARG001 - whatever it is, the key tells the user
    start: Start = None,
    end: End = None,
    project: Project = None,
    timezone: Timezone = None,
    branches: Branches = None,
) -> Response:
    """Show your local days one by one.

    Each gap between heartbeats belongs to the project of the earlier one; no gap crosses a local midnight.
    """
    asked = _asked(services, start, end, None, project, branches, timezone)
    local = _read(services, user, asked, _HACKATIME)
    return json_answer(summaries(local, today_in(local.timezone, asked.now_us)))


def user_summaries(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    start: Start = None,
    end: End = None,
    range: Range = None,  # noqa: A002 - WakaTime's name
    project: Project = None,
    timezone: Timezone = None,
    branches: Branches = None,
) -> Response:
    """Show a user's local days one by one, in WakaTime's form."""
    user = find_shown(services, caller, username)
    asked = _asked(services, start, end, range, project, branches, timezone)
    local = _read(services, user, asked, OF_A_DAY)
    return json_answer(wakatime_summaries(local, today_in(local.timezone, asked.now_us)))


for _prefix in PREFIXES[1:]:
    router.get(
        f"{_prefix}/users/{{username}}/summaries",
        responses=answers(WakaSummaries, 401, 403, 404, 422),
        openapi_extra=OPTIONAL_KEY,
    )(user_summaries)


def _asked(
    services: Services,
    start: str | None,
    end: str | None,
    range_name: str | None,
    project: str | None,
    branches: str | None,
    timezone: str | None,
) -> _Asked:
    """Read the parameters, of which clients send some empty. Raises 400 for an unknown zone."""
    if timezone and not is_zone(timezone):
        raise ApiError(400, "Invalid timezone")
    named = frozenset(filter(None, (branches or "").split(",")))
    return _Asked(start, end, range_name, project or None, named, timezone or None, services.clock())


def _read(services: Services, user: User, asked: _Asked, dimensions: tuple[Dimension, ...]) -> LocalDays:
    """Read the user's own days from the tables; other zones' days and other filters need the heartbeats."""
    timezone = asked.timezone or user.timezone
    in_tables = not asked.branches and (asked.project is None or dimensions == _HACKATIME)
    if in_tables and local_calendar(timezone) == local_calendar(user.timezone):
        local = _from_tables(services, user, asked, dimensions)
        if asked.timezone is None:
            return local
        if local_calendar(local.timezone) == local_calendar(timezone):
            return local._replace(timezone=timezone)
    return scan_days(services, user.user_id, timezone, asked.days(timezone), asked.wants)


def _from_tables(services: Services, user: User, asked: _Asked, dimensions: tuple[Dimension, ...]) -> LocalDays:
    wanted = dimensions if asked.project is None else (Dimension.PROJECT,)
    local = services.reader.local_days(user.user_id, asked.days, wanted)
    if local is None:
        raise user_not_found()
    return local if asked.project is None else of_project(local, asked.project)
