"""`GET /api/v1/stats` and `GET /api/v1/users/{username}/stats` (semantics.md, section 4 and its first table)."""

from collections.abc import Collection
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from query_api import report
from query_api.access import AnyCaller, Caller, Services, UsedServices
from query_api.errors import ApiError, invalid_key, json_answer, user_not_found
from query_api.lookup import find_named
from query_api.models import OwnStats, Stats, TotalSeconds
from query_api.openapi import KEY, OPTIONAL_KEY, answers, either
from query_api.parameters import (
    Flag,
    Name,
    Names,
    Username,
    When,
    in_whole_seconds,
    list_limit_of,
    stats_span,
    whole_days,
)
from query_api.ranges import Measured, measure_range, total_seconds
from schemas.dimensions import Dimension
from schemas.segment import whole_seconds
from schemas.users import User
from storage.stats.reader import Span

router = APIRouter(tags=["stats"], default_response_class=Response)

Start = Annotated[When, Query(description="Date or time, UTC without a zone; inclusive. Default: ten years ago.")]
End = Annotated[When, Query(description="As `start_date`, but exclusive. Default: 23:59:59 UTC today.")]

_OVERALL: Final = (Dimension.PROJECT, Dimension.LANGUAGE)
_OF_A_PROJECT: Final = (Dimension.PROJECT, Dimension.PROJECT_LANGUAGE)

_OPERATORS_TEXT: Final = {"text/plain": {"schema": {"type": "string", "examples": ["86400"]}}}
_OWN_ANSWERS: Final = answers(OwnStats, 401, 404, 422)
_OWN_ANSWERS[200]["content"].update(_OPERATORS_TEXT)


@router.get("/api/v1/stats", responses=_OWN_ANSWERS, openapi_extra=KEY)
def own_stats(
    services: UsedServices,
    caller: AnyCaller,
    start_date: Start = None,
    end_date: End = None,
    username: Annotated[Name, Query(description="With the operator's key: this user alone.")] = None,
    user_email: Annotated[Name, Query(description="With the operator's key: this user alone.")] = None,
) -> Response:
    """Answer your own coding time.

    With a user's key: that user's total, languages and projects, over [start_date, end_date) as in
    `/api/v1/users/{username}/stats`. With the operator's key: a plain integer, the seconds of all users (each measured
    alone), or of the one named by `username` or `user_email`, over whole UTC days, both included.
    """
    if caller.is_operator:
        days = whole_days(start_date, end_date, services.clock())
        return Response(str(_operators_seconds(services, days, username, user_email)), media_type="text/plain")
    if caller.trusted_user is None:
        raise invalid_key()
    span = in_whole_seconds(stats_span(start_date, end_date, services.clock()))
    measured = _measure(services, caller.trusted_user, span, _OVERALL)
    return json_answer(report.own_stats(caller.trusted_user, report.shares_of(measured, None)))


def _operators_seconds(services: Services, days: Span, username: str | None, email: str | None) -> int:
    if not username and not email:
        return whole_seconds(services.reader.total_of_everyone(days))
    directory = services.directory
    user = directory.by_username(username) if username else directory.by_email(email or "")
    if user is None:
        raise user_not_found()
    return total_seconds(_measure(services, user, days, ()))


@router.get(
    "/api/v1/users/{username:path}/stats",
    responses=either(Stats, TotalSeconds, 401, 403, 404, 422),
    openapi_extra=OPTIONAL_KEY,
)
def user_stats(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    start_date: Start = None,
    end_date: End = None,
    features: Annotated[
        Names, Query(description="Lists in `data`, separated by commas: `languages`, `projects`. Default: languages.")
    ] = None,
    limit: Annotated[Flag, Query(description="The first so many of each list; 0: all.")] = None,
    filter_by_project: Annotated[Names, Query(description="The exact name of one project to measure.")] = None,
    total_seconds: Annotated[Flag, Query(description="`true`: answer the total alone.")] = None,
    filter_by_category: Annotated[Names, Query(description="Not supported yet with `total_seconds=true`.")] = None,
    boundary_aware: Annotated[Flag, Query(description="Not supported yet with `total_seconds=true`.")] = None,
    no_ai_coding: Annotated[Flag, Query(description="Not supported yet.")] = None,
    test_param: Annotated[Flag, Query(description="Not supported yet.")] = None,
) -> Response:
    """Answer a user's coding time.

    No key is needed for users who show their stats. What is not supported yet is refused (422) rather than answered
    with other figures.
    """
    user = find_named(services, caller, username)
    _refuse_strangers(user, caller)
    total_alone = total_seconds == "true"
    _refuse_unsupported(no_ai_coding, test_param, boundary_aware if total_alone else None)
    if total_alone and filter_by_category:
        raise _unsupported("filter_by_category")
    project = _one_project(filter_by_project)
    span = stats_span(start_date, end_date, services.clock())
    listed = list_limit_of(limit)
    if total_alone:
        dimensions = () if project is None else (Dimension.PROJECT,)
        shares = report.shares_of(_measure(services, user, span, dimensions), project)
        return json_answer(TotalSeconds(shares.total))
    span = in_whole_seconds(span)
    measured = _measure(services, user, span, _OVERALL if project is None else _OF_A_PROJECT)
    shares = report.limited(report.shares_of(measured, project), listed)
    return json_answer(report.stats(user, shares, span, _features(features)))


def _measure(services: Services, user: User, span: Span, dimensions: Collection[Dimension]) -> Measured:
    return measure_range(services.reader, services.history, user.user_id, span, dimensions)


def _refuse_strangers(user: User, caller: Caller) -> None:
    known = caller.trusted_user
    if not user.public_stats and (known is None or known.user_id != user.user_id):
        raise ApiError(403, "user has disabled public stats")


def _refuse_unsupported(no_ai_coding: str | None, test_param: str | None, boundary_aware: str | None) -> None:
    flags = {"no_ai_coding": no_ai_coding, "test_param": test_param, "boundary_aware": boundary_aware}
    for name, value in flags.items():
        if value == "true":
            raise _unsupported(name)


def _unsupported(name: str) -> ApiError:
    return ApiError(422, f"{name} is not supported yet")


def _one_project(names: str | None) -> str | None:
    if not names:
        return None
    if "," in names:
        raise ApiError(422, "filter_by_project with more than one project is not supported yet")
    return names


def _features(text: str | None) -> frozenset[str]:
    return frozenset({"languages"} if text is None else text.split(","))
