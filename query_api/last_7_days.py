"""`GET /api/hackatime/v1/users/{id}/stats/last_7_days`: for README cards (semantics.md, section 7)."""

import datetime as dt
import zoneinfo
from typing import Final

from fastapi import APIRouter, Response

from query_api import wording
from query_api.access import PluginUser, UsedServices
from query_api.config import PREFIXES
from query_api.errors import json_answer, user_not_found
from query_api.local_days import merged, span_of_days, today_in
from query_api.models_days import Week, WeekAnswer, WeekPart
from query_api.openapi import KEY, answers
from query_api.parameters import AnyId
from query_api.ranges import Measured, total_seconds
from query_api.wakatime_forms import PARTS, seconds_of
from schemas.calendars import local_calendar
from schemas.dimensions import Dimension
from schemas.users import User
from storage.stats.reader import LocalDays

router = APIRouter(tags=["stats"], default_response_class=Response)

_DAYS_BACK: Final = 7
_NAMELESS: Final = "unknown"
_DIMENSIONS: Final = (Dimension.TOTAL, *PARTS)


@router.get(
    f"{PREFIXES[0]}/users/{{user_id}}/stats/last_7_days", responses=answers(WeekAnswer, 401, 422), openapi_extra=KEY
)
def last_7_days(services: UsedServices, user: PluginUser, user_id: AnyId) -> Response:  # noqa: ARG001 - the key tells the user
    """Answer your coding time since the local midnight seven days ago, until the end of today."""
    now_us = services.clock()

    def chosen(timezone: str) -> range:
        today = today_in(timezone, now_us)
        return range(today - _DAYS_BACK, today + 1)

    local = services.reader.local_days(user.user_id, chosen, _DIMENSIONS)
    if local is None:
        raise user_not_found()
    return json_answer(WeekAnswer(_week(user, local)))


def _week(user: User, local: LocalDays) -> Week:
    measured = merged(local)
    total = total_seconds(measured)
    active = len(local.measured)
    average = wording.quotient(total, active, 1) if active else 0
    span = span_of_days(local.timezone, local.days)
    return Week(
        username=user.slack_uid or user.username,
        user_id=user.slack_uid or str(user.user_id),
        start=_local_second(span.from_us, local.timezone),
        end=_local_second(span.to_us - 1, local.timezone),
        total_seconds=total,
        daily_average=average,
        days_including_holidays=active,
        human_readable_total=wording.hours_and_minutes(total),
        human_readable_daily_average=wording.hours_and_minutes(int(average)),
        editors=_parts(measured, Dimension.EDITOR),
        languages=_parts(measured, Dimension.LANGUAGE),
        machines=_parts(measured, Dimension.MACHINE),
        projects=_parts(measured, Dimension.PROJECT),
        operating_systems=_parts(measured, Dimension.OPERATING_SYSTEM),
        categories=[_part("coding", total, 100.0)],
    )


def _parts(measured: Measured, dimension: Dimension) -> list[WeekPart]:
    _, shown = PARTS[dimension]
    timed = [(value, seconds) for value, seconds in seconds_of(measured, dimension) if seconds > 0]
    total = sum(seconds for _, seconds in timed)
    return [
        _part(shown(str(value)) if value else _NAMELESS, seconds, wording.percent(seconds, total))
        for value, seconds in timed
    ]


def _part(name: str, seconds: int, percent: float) -> WeekPart:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return WeekPart(
        name=name,
        total_seconds=seconds,
        percent=percent,
        digital=wording.clock(seconds),
        text=wording.hours_and_minutes(seconds),
        hours=hours,
        minutes=minutes,
        seconds=rest,
    )


def _local_second(time_us: int, timezone: str) -> str:
    """Write an instant with its zone's offset, cut to the second."""
    zone = zoneinfo.ZoneInfo(local_calendar(timezone))  # tzdata may have it no longer
    return dt.datetime.fromtimestamp(time_us // 1_000_000, zone).isoformat().replace("+00:00", "Z")
