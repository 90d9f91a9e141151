"""Routes of WakaTime and Wakapi that Hackatime does not have, or has with another answer (clients.md, section 5).

Where Hackatime has a route of the same path, its own answer stays: `/api/v1/users/{u}/stats` and `…/projects`.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from query_api import wakatime_report as report
from query_api.access import AnyCaller, Services, UsedServices
from query_api.config import PREFIXES
from query_api.day_scan import scan_days
from query_api.errors import ApiError, invalid_key, json_answer, user_not_found
from query_api.local_days import merged, of_project, span_of_days, today_in
from query_api.lookup import find_named, find_shown
from query_api.models_wakatime import (
    AllTime,
    WakaHeartbeat,
    WakaHeartbeats,
    WakaProjects,
    WakaStats,
)
from query_api.named_ranges import ALL_TIME, day_named, named_dates, range_key
from query_api.one_state import in_one_state
from query_api.openapi import KEY, OPTIONAL_KEY, answers
from query_api.parameters import Day, ProjectName, RangeAsked, RangeName, Username
from query_api.ranges import Measured, measure_range
from query_api.streaming import stream_list
from query_api.summaries_report import day_range
from query_api.wakatime_forms import PARTS
from schemas.calendars import DAY_US, date_of, day_number
from schemas.dimensions import Dimension
from schemas.instants import MAX_TIME_US, MIN_TIME_US
from schemas.users import User
from storage.stats.reader import LocalDays, Span

router = APIRouter(tags=["WakaTime and Wakapi"], default_response_class=Response)

_WAKATIME: Final = PREFIXES[1:]
_COMPAT: Final = PREFIXES[2]
_DEFAULT_RANGE: Final = "last_7_days"
_ALWAYS: Final = Span(MIN_TIME_US, MAX_TIME_US)
_EVERY_DAY: Final = range(MIN_TIME_US // DAY_US - 1, MAX_TIME_US // DAY_US + 2)
Project = Annotated[ProjectName, Query(description="The exact name of one project to measure.")]

_RANGES: Final = "A range by its name, in any case, or a year or month, in days of the user's zone."


def wakatime_stats(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    range: Annotated[RangeAsked, Query(description=f"{_RANGES} Default: {_DEFAULT_RANGE}.")] = None,  # noqa: A002 - WakaTime's name
    project: Project = None,
) -> Response:
    """Answer a user's coding time over a range of local days, in WakaTime's form."""
    return _stats(services, find_shown(services, caller, username), range or _DEFAULT_RANGE, project)


def stats_of_range(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    range: Annotated[RangeName, Path(description=_RANGES)],  # noqa: A002 - WakaTime's name
    project: Project = None,
) -> Response:
    """Answer a user's coding time over a range of local days, in WakaTime's form."""
    return _stats(services, find_shown(services, caller, username), range, project)


def all_time_since_today(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    project: Project = None,
) -> Response:
    """Answer all of a user's coding time, in WakaTime's form."""
    user = find_shown(services, caller, username)
    now_us = services.clock()
    wanted = Dimension.PROJECT if project else Dimension.TOTAL
    local = _read(services, user, lambda _: _EVERY_DAY, wanted)
    local = _until_today(of_project(local, project) if project else local, now_us)
    return json_answer(AllTime(report.all_time(merged(local), local, today_in(local.timezone, now_us))))


def wakatime_projects(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    q: Annotated[ProjectName, Query(description="Part of the projects' names, in any case.")] = None,
) -> Response:
    """List a user's projects, in WakaTime's form."""
    user = find_shown(services, caller, username)
    measured = measure_range(services.reader, services.history, user.user_id, _ALWAYS, (Dimension.PROJECT,))
    listed = report.projects(measured, services.clock())
    found = [project for project in listed if (q or "").casefold() in project.name.casefold()]
    return json_answer(WakaProjects(data=found, total=len(found)))


def heartbeats_of_a_day(
    services: UsedServices,
    caller: AnyCaller,
    id: Username,  # noqa: A002 - as the POST of this path calls it
    date: Annotated[Day, Query(description="A local date. Needed.")] = None,
) -> Response:
    """List your own heartbeats of one local day, in WakaTime's form."""
    if caller.trusted_user is None:  # before anything is said about the name
        raise invalid_key()
    user = find_named(services, caller, id)
    if caller.trusted_user.user_id != user.user_id:
        raise ApiError(403, "heartbeats are shown to their user alone")
    today = today_in(user.timezone, services.clock())
    day = day_number(day_named(date, date_of(today)))
    span = span_of_days(user.timezone, range(day, day + 1))
    bounds = day_range(user.timezone, day, today)
    head = WakaHeartbeats(start=bounds.start, end=bounds.end, timezone=user.timezone, data=[])
    return stream_list(head, _rows(services, user.user_id, span))


for _prefix in _WAKATIME:
    _users = f"{_prefix}/users"
    router.get(
        f"{_users}/{{username}}/stats/{{range}}",
        responses=answers(WakaStats, 401, 403, 404, 422),
        openapi_extra=OPTIONAL_KEY,
    )(stats_of_range)
    router.get(
        f"{_users}/{{username}}/all_time_since_today",
        responses=answers(AllTime, 401, 403, 404, 422),
        openapi_extra=OPTIONAL_KEY,
    )(all_time_since_today)
    router.get(f"{_users}/{{id}}/heartbeats", responses=answers(WakaHeartbeats, 401, 403, 404, 422), openapi_extra=KEY)(
        heartbeats_of_a_day
    )

router.get(
    f"{_COMPAT}/users/{{username}}/stats",
    responses=answers(WakaStats, 401, 403, 404, 422),
    openapi_extra=OPTIONAL_KEY,
)(wakatime_stats)
router.get(
    f"{_COMPAT}/users/{{username}}/projects",
    responses=answers(WakaProjects, 401, 403, 404, 422),
    openapi_extra=OPTIONAL_KEY,
)(wakatime_projects)


def _stats(services: Services, user: User, range_name: str, project: str | None) -> Response:
    now_us = services.clock()
    key = range_key(range_name)
    if project:
        days = _EVERY_DAY if key == ALL_TIME else _days(key, user.timezone, now_us)
        local = scan_days(services, user.user_id, user.timezone, days, lambda h: h.project == project)
        local = _until_today(local, now_us) if key == ALL_TIME else local
        measured = merged(local)
    elif key == ALL_TIME:
        local, measured = in_one_state(services, user.user_id, lambda: _all_time(services, user, now_us))
    else:
        local = _read(services, user, lambda zone: _days(key, zone, now_us), Dimension.TOTAL, *PARTS)
        measured = merged(local)
    today = today_in(local.timezone, now_us)
    return json_answer(WakaStats(report.stats(user, measured, local, key, now_us, today)))


def _all_time(services: Services, user: User, now_us: int) -> tuple[LocalDays, Measured]:
    local = _until_today(_read(services, user, lambda _: _EVERY_DAY, Dimension.TOTAL), now_us)
    return local, measure_range(services.reader, services.history, user.user_id, _ALWAYS, PARTS)


def _read(services: Services, user: User, choose: Callable[[str], range], *dimensions: Dimension) -> LocalDays:
    local = services.reader.local_days(user.user_id, choose, dimensions)
    if local is None:
        raise user_not_found()
    return local


def _days(key: str, timezone: str, now_us: int) -> range:
    dates = named_dates(key, date_of(today_in(timezone, now_us)))
    if dates is None:
        raise ApiError(400, "Invalid range")
    return range(day_number(dates.first), day_number(dates.last) + 1)


def _until_today(local: LocalDays, now_us: int) -> LocalDays:
    """Let the days begin with the first that has a heartbeat, and end with today or with what is dated later."""
    days = {*local.measured, today_in(local.timezone, now_us)}
    return local._replace(days=range(min(days), max(days) + 1))


def _rows(services: Services, user_id: int, span: Span) -> Iterator[list[WakaHeartbeat]]:
    for chunk in services.history.stream(user_id, span.from_us, span.to_us):
        yield [report.heartbeat(heartbeat, user_id) for heartbeat in chunk]
