"""`GET /api/summary`: totals of whole UTC days in Wakapi's form (semantics.md, section 7)."""

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Final

from dateutil.relativedelta import relativedelta
from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints, WithJsonSchema

from query_api.access import AnyCaller, UsedServices
from query_api.errors import ApiError, json_answer
from query_api.lookup import find_shown
from query_api.models_projects import KeyTotal, Summary
from query_api.named_ranges import Dates
from query_api.openapi import OPTIONAL_KEY, answers
from query_api.parameters import Name, When
from query_api.ranges import Measured, measure_range
from query_api.wakatime_forms import NAMELESS, PARTS, seconds_of
from query_api.wording import whole_second
from schemas.calendars import DAY_US, date_of, day_number
from schemas.dimensions import Dimension
from schemas.instants import InstantError, parse_when
from storage.stats.reader import Span

router = APIRouter(tags=["projects"], default_response_class=Response)

_EPOCH: Final = dt.date(1970, 1, 1)
_DAY: Final = dt.timedelta(days=1)


def _back(time: relativedelta) -> Callable[[dt.date], Dates]:
    return lambda today: Dates(today - time, today)


def _week(today: dt.date) -> Dates:
    monday = today - today.weekday() * _DAY
    return Dates(monday, monday + 6 * _DAY)


def _months(count: int) -> Callable[[dt.date], Dates]:
    """Give so many months, of which the last is the current one."""

    def dates(today: dt.date) -> Dates:
        first = today.replace(day=1)
        return Dates(first - relativedelta(months=count - 1), first + relativedelta(months=1) - _DAY)

    return dates


def _year(today: dt.date) -> Dates:
    return Dates(today.replace(month=1, day=1), today.replace(month=12, day=31))


def _always(today: dt.date) -> Dates:
    return Dates(_EPOCH, today)


_INTERVALS: Final[dict[str, Callable[[dt.date], Dates]]] = {
    "today": _back(relativedelta()),
    "yesterday": lambda today: Dates(today - _DAY, today - _DAY),
    "week": _week,
    "7_days": _week,
    "last_7_days": _back(relativedelta(days=7)),
    "month": _months(1),
    "30_days": _months(1),
    "last_30_days": _back(relativedelta(days=30)),
    "6_months": _months(6),
    "last_6_months": _back(relativedelta(months=6)),
    "year": _year,
    "12_months": _year,
    "last_12_months": _back(relativedelta(years=1)),
    "last_year": _back(relativedelta(years=1)),
    "any": _always,
    "all_time": _always,
}
"""HEAD's intervals. Not those of WakaTime's paths: here the `last_…` ones have a day more."""

Interval = Annotated[str, StringConstraints(max_length=64), WithJsonSchema({"enum": [*_INTERVALS]})] | None


@router.get("/api/summary", responses=answers(Summary, 401, 403, 404, 422), openapi_extra=OPTIONAL_KEY)
def summary(
    services: UsedServices,
    caller: AnyCaller,
    user_id: Annotated[Name, Query(description="The user, by id, Slack id or username.")] = None,
    user: Annotated[Name, Query(description="Another name of `user_id`.")] = None,
    interval: Annotated[Interval, Query(description="Anything else is today. Default: all_time.")] = None,
    range: Annotated[Interval, Query(description="Another name of `interval`.")] = None,  # noqa: A002 - Wakapi's name
    start: Annotated[When, Query(description="First UTC day; with `end` in place of an interval.")] = None,
    end: Annotated[When, Query(description="Last UTC day, included.")] = None,
    from_: Annotated[When, Query(alias="from", description="Another name of `start`.")] = None,
    to: Annotated[When, Query(description="Another name of `end`.")] = None,
) -> Response:
    """Answer a user's totals over whole UTC days, by project, language and so on."""
    named = user_id or user
    if not named:
        raise ApiError(400, "Missing required parameter: user_id")
    found = find_shown(services, caller, named)
    dates = _dates(from_ or start, to or end, interval or range, services.clock())
    span = Span(day_number(dates.first) * DAY_US, (day_number(dates.last) + 1) * DAY_US)
    measured = measure_range(services.reader, services.history, found.user_id, span, PARTS)
    totals = {name: _totals(measured, dimension) for dimension, (name, _) in PARTS.items()}
    answer = Summary(user_id=named, from_=whole_second(span.from_us), to=whole_second(span.to_us - 1), **totals)
    return json_answer(answer)


def _dates(start: str | None, end: str | None, interval: str | None, now_us: int) -> Dates:
    """Tell which UTC days are meant. Raises 400 for days that are none."""
    if start and end:
        return Dates(_utc_date(start), _utc_date(end))
    today = date_of(now_us // DAY_US)
    return _INTERVALS.get(interval or "all_time", _INTERVALS["today"])(today)


def _utc_date(text: str) -> dt.date:
    try:
        return date_of(parse_when(text) // DAY_US)
    except InstantError as error:
        raise ApiError(400, "Invalid date range") from error


def _totals(measured: Measured, dimension: Dimension) -> list[KeyTotal]:
    _, shown = PARTS[dimension]
    return [
        KeyTotal(shown(str(value)) if value else NAMELESS, seconds)
        for value, seconds in seconds_of(measured, dimension)
    ]
