"""`GET /api/v1/stats` and `GET /api/v1/users/{username}/stats` (semantics.md, section 4 and its first table)."""

from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Query, Response

from query_api import report
from query_api.access import AnyCaller, Services, UsedServices
from query_api.errors import invalid_key, json_answer, user_not_found
from query_api.lookup import find_shown
from query_api.measuring import measure_boundary_aware, measure_close, measure_groups, measure_selection
from query_api.models import OwnStats, Stats, TotalSeconds
from query_api.one_state import in_one_state
from query_api.openapi import KEY, OPTIONAL_KEY, answers, either
from query_api.parameters import (
    Flag,
    ListLimit,
    Name,
    Names,
    Username,
    When,
    in_whole_seconds,
    list_limit_of,
    names_of,
    stats_span,
    whole_days,
)
from query_api.ranges import total_seconds as total_seconds_of
from query_api.selection import AI_CODING, AWAY_FROM_CODE, Selection
from query_api.streak import streak_days
from schemas.dimensions import Dimension
from schemas.segment import whole_seconds
from schemas.users import User
from storage.stats.reader import Span

router = APIRouter(tags=["stats"], default_response_class=Response)

Start = Annotated[When, Query(description="Date or time, UTC without a zone; inclusive. Default: ten years ago.")]
End = Annotated[When, Query(description="As `start_date`, but exclusive. Default: 23:59:59 UTC today.")]

_OVERALL: Final = (Dimension.PROJECT, Dimension.LANGUAGE)

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
    measured = measure_groups(services, caller.trusted_user.user_id, span, _OVERALL)
    return json_answer(report.own_stats(caller.trusted_user, report.shares_of(measured)))


def _operators_seconds(services: Services, days: Span, username: str | None, email: str | None) -> int:
    if not username and not email:
        return whole_seconds(services.reader.total_of_everyone(days))
    directory = services.directory
    user = directory.by_username(username) if username else directory.by_email(email or "")
    if user is None:
        raise user_not_found()
    return total_seconds_of(measure_groups(services, user.user_id, days, ()))


@router.get(
    "/api/v1/users/{username:text}/stats",
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
    limit: Annotated[ListLimit, Query(description="The first so many of each list; 0: all.")] = None,
    filter_by_project: Annotated[
        Names, Query(description="Exact names, separated by commas: measures heartbeats of these projects alone.")
    ] = None,
    total_seconds: Annotated[Flag, Query(description="`true`: answer the total alone.")] = None,
    filter_by_category: Annotated[
        Names,
        Query(description="Exact names, separated by commas. Only with `total_seconds=true`, without `test_param`."),
    ] = None,
    boundary_aware: Annotated[
        Flag,
        Query(
            description="`true`: the first heartbeat counts from the one before the range, the end is inclusive, and "
            "browsing, meeting and communicating are left out. Only with `total_seconds=true`."
        ),
    ] = None,
    no_ai_coding: Annotated[Flag, Query(description="`true`: leaves out the category `ai coding`.")] = None,
    test_param: Annotated[
        Flag,
        Query(
            description="`true`: the total is as with `boundary_aware`, lists leave out the same categories and show "
            "languages as they were sent."
        ),
    ] = None,
) -> Response:
    """Answer a user's coding time.

    No key is needed for users who show their stats. Filters apply before gaps between heartbeats are measured.
    Long computations are bounded: 503 when there are too many at once.
    """
    user = find_shown(services, caller, username)
    is_total_alone, is_test = total_seconds == "true", test_param == "true"
    is_aware = is_test or (is_total_alone and boundary_aware == "true")
    selection = Selection(
        projects=names_of(filter_by_project),
        categories=names_of(filter_by_category) if is_total_alone and not is_test else None,
        without=(AWAY_FROM_CODE if is_aware else frozenset()) | (AI_CODING if no_ai_coding == "true" else frozenset()),
    )
    span = stats_span(start_date, end_date, services.clock())
    asked = _Asked(user, span if is_total_alone and not is_test else in_whole_seconds(span), selection, is_aware)
    listed = list_limit_of(limit)

    def compute() -> TotalSeconds | Stats:
        if is_total_alone:
            return TotalSeconds(_total_seconds(services, asked))
        return _both_forms(services, asked, _features(features), listed, raw_names=is_test)

    return json_answer(in_one_state(services, user.user_id, compute))


class _Asked(NamedTuple):
    """What is to be measured; `is_aware`: the total begins with the heartbeat before the span."""

    user: User
    span: Span
    selection: Selection
    is_aware: bool


def _total_seconds(services: Services, asked: _Asked) -> int:
    user_id = asked.user.user_id
    if asked.is_aware:
        return whole_seconds(measure_boundary_aware(services, user_id, asked.span, asked.selection))
    return total_seconds_of(measure_selection(services, user_id, asked.span, asked.selection))


def _both_forms(
    services: Services, asked: _Asked, features: frozenset[str], limit: int | None, *, raw_names: bool
) -> Stats:
    measured = measure_selection(services, asked.user.user_id, asked.span, asked.selection, listed=True)
    shares = report.limited(report.shares_of(measured, raw_names=raw_names), limit)
    if asked.is_aware:
        shares = shares._replace(total=_total_seconds(services, asked))
    extras = report.Extras(
        streak_days=streak_days(services, asked.user.user_id),
        unique_seconds=_unique_seconds(services, asked) if "projects" in features else None,
    )
    return report.stats(asked.user, shares, asked.span, features, extras)


def _unique_seconds(services: Services, asked: _Asked) -> int | None:
    if asked.selection.projects is None:
        return None
    closed = Span(asked.span.from_us, asked.span.to_us + 1)
    coded = Selection(asked.selection.projects, categories=frozenset({"coding"}))
    return measure_close(services, asked.user.user_id, closed, coded) // 1_000_000


def _features(text: str | None) -> frozenset[str]:
    return frozenset({"languages"} if text is None else text.split(","))
