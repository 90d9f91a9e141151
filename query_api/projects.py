"""A user's projects: their names, one of them, all in detail (semantics.md, section 7)."""

import datetime as dt
from collections import defaultdict
from typing import Annotated, Final

from dateutil.relativedelta import relativedelta
from fastapi import APIRouter, Path, Query, Response

from query_api.access import AnyCaller, Services, UsedServices
from query_api.errors import ApiError, json_answer
from query_api.lookup import find_shown
from query_api.measuring import measure_groups
from query_api.models_projects import ProjectDetails, ProjectNames, ProjectsDetails
from query_api.openapi import OPTIONAL_KEY, answers
from query_api.parameters import MAX_PROJECT, Names, Username, When
from query_api.ranges import Measured
from query_api.wording import whole_second
from schemas.calendars import DAY_US
from schemas.dimensions import Dimension
from schemas.instants import InstantError, parse_when
from schemas.segment import Segment, whole_seconds
from schemas.users import User
from storage.stats.reader import Span

router = APIRouter(tags=["projects"], default_response_class=Response)

_RECENT_DAYS: Final = 30

Since = Annotated[When, Query(description="Start, inclusive: date or time, UTC without a zone. Default: 30 days ago.")]
Until = Annotated[When, Query(description="End, inclusive. Default: now.")]
Start = Annotated[When, Query(description="Start, inclusive: date or time, UTC without a zone. Default: a year ago.")]
End = Annotated[When, Query(description="End, inclusive. Default: now.")]
SameStart = Annotated[When, Query(description="Another name of the start.")]
SameEnd = Annotated[When, Query(description="Another name of the end.")]


@router.get(
    "/api/v1/users/{username}/projects",
    responses=answers(ProjectNames, 401, 403, 404, 422),
    openapi_extra=OPTIONAL_KEY,
)
def project_names(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    since: Since = None,
    until: Until = None,
    start: SameStart = None,
    end: SameEnd = None,
    start_date: SameStart = None,
    end_date: SameEnd = None,
    until_date: SameEnd = None,
) -> Response:
    """Name the projects that a user has worked on lately; heartbeats without one are left out."""
    user = find_shown(services, caller, username)
    now_us = services.clock()
    default_us = (now_us // DAY_US - _RECENT_DAYS) * DAY_US
    from_us = _first_given({"since": since, "start": start, "start_date": start_date}, default_us)
    to_us = _first_given({"until": until, "until_date": until_date, "end": end, "end_date": end_date}, now_us)
    measured = measure_groups(services, user.user_id, Span(from_us, to_us + 1), (Dimension.PROJECT,))
    return json_answer(ProjectNames(sorted(_projects(measured))))


@router.get(
    "/api/v1/users/{username}/projects/details",
    responses=answers(ProjectsDetails, 401, 403, 404, 422),
    openapi_extra=OPTIONAL_KEY,
)
def projects_details(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    projects: Annotated[Names, Query(description="Exact names separated by commas. Default: all.")] = None,
    start: Start = None,
    end: End = None,
    start_date: SameStart = None,
    end_date: SameEnd = None,
) -> Response:
    """Describe a user's projects, the one with the most time first."""
    user = find_shown(services, caller, username)
    described = _details(services, user, _details_span(services, start or start_date, end or end_date))
    wanted = {name.strip() for name in (projects or "").split(",")} - {""}
    return json_answer(ProjectsDetails([project for project in described if not wanted or project.name in wanted]))


# A project's name may have slashes in it.
@router.get(
    "/api/v1/users/{username}/project/{project_name:text}",
    responses=answers(ProjectDetails, 401, 403, 404, 422),
    openapi_extra=OPTIONAL_KEY,
)
def project_details(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    project_name: Annotated[str, Path(max_length=MAX_PROJECT, description="The exact name; slashes are fine.")],
    start: Start = None,
    end: End = None,
    start_date: SameStart = None,
    end_date: SameEnd = None,
) -> Response:
    """Describe one of a user's projects."""
    user = find_shown(services, caller, username)
    described = _details(services, user, _details_span(services, start or start_date, end or end_date))
    for project in described:
        if project.name == project_name:
            return json_answer(project)
    raise ApiError(404, "found nuthin")


def _details_span(services: Services, start: str | None, end: str | None) -> Span:
    now_us = services.clock()
    from_us = _first_given({"start": start}, _year_before(now_us))
    return Span(from_us, _first_given({"end": end}, now_us) + 1)


def _first_given(named: dict[str, str | None], default_us: int) -> int:
    """Read the first parameter that says anything. Raises 422 where that is no instant."""
    for name, text in named.items():
        if text:
            try:
                return parse_when(text)
            except InstantError as error:
                raise ApiError(422, f"Invalid {name}") from error
    return default_us


def _year_before(now_us: int) -> int:
    seconds, rest_us = divmod(now_us, 1_000_000)
    then = dt.datetime.fromtimestamp(seconds, dt.UTC) - relativedelta(years=1)
    return int(then.timestamp()) * 1_000_000 + rest_us


def _details(services: Services, user: User, span: Span) -> list[ProjectDetails]:
    measured = measure_groups(services, user.user_id, span, (Dimension.PROJECT, Dimension.PROJECT_LANGUAGE))
    languages: dict[str | None, set[str]] = defaultdict(set)
    for _, value in measured:
        if isinstance(value, tuple) and value[1]:
            languages[value[0]].add(value[1])
    described = [_described(name, segment, languages[name]) for name, segment in _projects(measured).items()]
    return sorted(described, key=lambda project: (-project.total_seconds, project.name))


def _projects(measured: Measured) -> dict[str, Segment]:
    """Pick the projects that have a name."""
    return {
        value: segment
        for (dimension, value), segment in measured.items()
        if dimension == Dimension.PROJECT and isinstance(value, str) and value
    }


def _described(name: str, segment: Segment, languages: set[str]) -> ProjectDetails:
    last = whole_second(segment.last_us)
    return ProjectDetails(
        name=name,
        total_seconds=whole_seconds(segment.duration_us),
        languages=sorted(languages),
        total_heartbeats=segment.beats,
        first_heartbeat=whole_second(segment.first_us),
        last_heartbeat=last,
        most_recent_heartbeat=last,
    )
