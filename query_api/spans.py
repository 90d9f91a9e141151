"""`GET /api/v1/users/{username}/heartbeats/spans`: stretches of work (semantics.md, sections 6 and 7)."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Query, Response

from query_api.access import AnyCaller, Services, UsedServices
from query_api.errors import json_answer
from query_api.lookup import find_shown
from query_api.models_projects import TimeSpan, TimeSpans
from query_api.one_state import in_one_state
from query_api.openapi import OPTIONAL_KEY, answers
from query_api.parameters import Names, ProjectName, Username, When, names_of, stats_span
from schemas.dimensions import Dimension
from schemas.segment import CAP_US, whole_seconds
from storage.stats.reader import Span

router = APIRouter(tags=["projects"], default_response_class=Response)


@router.get(
    "/api/v1/users/{username}/heartbeats/spans",
    responses=answers(TimeSpans, 401, 403, 404, 422),
    openapi_extra=OPTIONAL_KEY,
)
def heartbeat_spans(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    start_date: Annotated[When, Query(description="Start, inclusive. Default: ten years ago.")] = None,
    end_date: Annotated[When, Query(description="End, inclusive. Default: 23:59:59 UTC today.")] = None,
    project: Annotated[ProjectName, Query(description="The exact name of one project.")] = None,
    filter_by_project: Annotated[
        Names, Query(description="Exact names separated by commas; only without `project`.")
    ] = None,
) -> Response:
    """List a user's stretches of work in order of time.

    A gap of more than two minutes ends one. Every stretch but the newest goes on for two minutes after its last
    heartbeat; those without any length are left out.
    """
    user = find_shown(services, caller, username)
    start_us, end_us = stats_span(start_date, end_date, services.clock())
    projects = frozenset({project}) if project else names_of(filter_by_project)

    def compute() -> TimeSpans:
        times_us = _times_us(services, user.user_id, Span(start_us, end_us + 1), projects)
        return TimeSpans(list(time_spans(times_us)))

    return json_answer(in_one_state(services, user.user_id, compute))


def time_spans(times_us: Iterable[int]) -> Iterator[TimeSpan]:
    """Cut ascending instants into stretches of work (semantics.md, section 6)."""
    first_us: int | None = None
    last_us = 0
    for time_us in times_us:
        if first_us is None:
            first_us = time_us
        elif time_us - last_us > CAP_US:
            yield _span(first_us, last_us, CAP_US)
            first_us = time_us
        last_us = time_us
    if first_us is not None and whole_seconds(last_us - first_us) > 0:
        yield _span(first_us, last_us, 0)


def _span(first_us: int, last_us: int, stretched_us: int) -> TimeSpan:
    return TimeSpan(
        start_time=first_us / 1_000_000,
        end_time=(last_us + stretched_us) / 1_000_000,
        duration=whole_seconds(last_us - first_us) + stretched_us // 1_000_000,
    )


def _times_us(services: Services, user_id: int, span: Span, projects: frozenset[str] | None) -> Iterator[int]:
    """Read the instants of a user's heartbeats, or of those of some projects, in order."""
    if projects is None:
        kept, days = pl.lit(value=True), services.reader.days_of(user_id, span)
    else:
        kept = pl.col("project").is_in(list(projects))
        days = frozenset(services.reader.days_with(user_id, span, Dimension.PROJECT, projects))
    with services.scans.place() as scan:
        for chunk in services.history.stream_measured(user_id, span.from_us, span.to_us, days):
            scan.check()
            yield from chunk.filter(kept)["time_us"].sort()
