"""Measuring a selection of a user's heartbeats: from segments where they tell, else by a scan of heartbeats.

A scan reads four columns, of this user and of the days that have anything selected alone, in chunks; what it keeps is a
segment for each group (semantics.md, sections 4 and 6).
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import polars as pl

from query_api.access import Services
from query_api.one_state import in_one_state
from query_api.ranges import Measured, measure_range
from query_api.selection import TOTAL, Selection, dimensions_for, from_segments, kept_categories
from schemas.dimensions import Dimension
from schemas.segment import CAP_US, Segment, merge
from storage.stats.reader import Span

_GAPS: Final = pl.col("time_us").diff().clip(upper_bound=CAP_US)
_SEGMENT: Final = (
    pl.col("time_us").first().alias("first_us"),
    pl.col("time_us").last().alias("last_us"),
    _GAPS.sum().alias("duration_us"),
    pl.len(),
)
_COLUMNS: Final = {Dimension.LANGUAGE: "language", Dimension.PROJECT: "project"}
_MORE_DAYS: Final = 8
"""Each further look back for an earlier heartbeat reads so many times as many days."""


def measure_groups(services: Services, user_id: int, span: Span, dimensions: Collection[Dimension]) -> Measured:
    """Measure all heartbeats of a span by `dimensions`, the total included in any case."""

    def compute() -> Measured:
        return measure_range(services.reader, services.history, user_id, span, dimensions)

    return in_one_state(services, user_id, compute)


def measure_selection(
    services: Services, user_id: int, span: Span, selection: Selection, *, listed: bool = False
) -> Measured:
    """Measure the total of a selection in `span`, by language and by project too where they are `listed`.

    Raises 503 where a scan is needed and finds no place or takes too long.
    """
    wanted = dimensions_for(selection, listed=listed)
    everything = measure_range(services.reader, services.history, user_id, span, wanted)
    measured = from_segments(everything, selection, listed=listed)
    if measured is None:
        days = _days_of(services, user_id, span, selection, everything)
        measured = _scan(services, user_id, span, selection, days, listed=listed)
    return measured


def measure_boundary_aware(services: Services, user_id: int, span: Span, selection: Selection) -> int:
    """Measure the total, in microseconds, from the selected heartbeat before `span` on; its end is inclusive.

    The first one inside earns up to the cap, however old the one before is (semantics.md, section 6).
    """
    measured = measure_selection(services, user_id, Span(span.from_us, span.to_us + 1), selection)
    inside = measured.get(TOTAL)
    if inside is None:
        return 0
    before_us = _newest_before(services, user_id, span.from_us, selection)
    lead_us = 0 if before_us is None else min(inside.first_us - before_us, CAP_US)
    return lead_us + inside.duration_us


def measure_close(services: Services, user_id: int, span: Span, selection: Selection) -> int:
    """Sum the gaps up to the cap, longer ones left out, in microseconds (semantics.md: `unique_total_seconds`)."""
    if selection.projects is None:
        raise ValueError("Close gaps are measured of named projects alone.")
    days = services.reader.days_with(user_id, span, Dimension.PROJECT, selection.projects)
    total_us = 0
    last = pl.Series("time_us", [], pl.Int64)
    for frame in _frames(services, user_id, span, selection, days):
        times = pl.concat([last, frame["time_us"]])
        gaps = times.diff()
        total_us += int(gaps.filter(gaps <= CAP_US).sum())
        last = times.tail(1)
    return total_us


def _scan(
    services: Services, user_id: int, span: Span, selection: Selection, days: Sequence[int], *, listed: bool
) -> Measured:
    measured: Measured = {}
    for frame in _frames(services, user_id, span, selection, days):
        for key, later in _groups(frame, listed=listed).items():
            earlier = measured.get(key)
            measured[key] = merge(earlier, later) if earlier else later
    return measured


def _frames(
    services: Services, user_id: int, span: Span, selection: Selection, days: Sequence[int]
) -> Iterator[pl.DataFrame]:
    """Read what is selected, in order of time, in frames that are not empty; the place for it is held meanwhile."""
    if not days:
        return
    with services.scans.place() as scan:
        for chunk in services.history.stream_measured(user_id, span.from_us, span.to_us, frozenset(days)):
            scan.check()
            frame = chunk.filter(*_conditions(selection)).sort("time_us")
            if len(frame):
                yield frame


def _conditions(selection: Selection) -> Iterator[pl.Expr]:
    if selection.projects is not None:
        yield pl.col("project").is_in(list(selection.projects))
    if selection.categories is not None:
        yield pl.col("category").is_in(list(selection.categories))
    if selection.without:
        yield ~pl.col("category").str.to_lowercase().is_in(list(selection.without))


def _groups(frame: pl.DataFrame, *, listed: bool) -> Measured:
    groups: Measured = {TOTAL: Segment(*frame.select(*_SEGMENT).row(0))}
    for dimension, column in _COLUMNS.items() if listed else ():
        for value, *segment in frame.group_by(column).agg(*_SEGMENT).iter_rows():
            groups[dimension, value] = Segment(*segment)
    return groups


def _days_of(services: Services, user_id: int, span: Span, selection: Selection, everything: Measured) -> Sequence[int]:
    """Find the days that may have anything selected; `everything`: what `dimensions_for` asks for, of `span`."""
    if selection.projects is not None:
        return services.reader.days_with(user_id, span, Dimension.PROJECT, selection.projects)
    kept = kept_categories(everything, selection) or ()
    return services.reader.days_with(user_id, span, Dimension.CATEGORY, kept)


def _newest_before(services: Services, user_id: int, before_us: int, selection: Selection) -> int | None:
    """Find when the newest selected heartbeat before an instant was."""
    span = Span(0, before_us)
    everything = measure_range(
        services.reader, services.history, user_id, span, dimensions_for(selection, listed=False)
    )
    kept = kept_categories(everything, selection)
    if kept is None:
        groups = [TOTAL] if selection.projects is None else [(Dimension.PROJECT, name) for name in selection.projects]
    elif selection.projects is None:
        groups = [(Dimension.CATEGORY, category) for category in kept]
    else:
        return _look_back(services, user_id, span, selection) if kept else None
    return max((everything[group].last_us for group in groups if group in everything), default=None)


def _look_back(services: Services, user_id: int, span: Span, selection: Selection) -> int | None:
    """Scan backwards, few days first: the newest one mostly has what is looked for."""
    days = _days_of(services, user_id, span, selection, {})
    count = 1
    while days:
        days, last_days = days[:-count], days[-count:]
        newest = max(
            (frame["time_us"][-1] for frame in _frames(services, user_id, span, selection, last_days)), default=None
        )
        if newest is not None:
            return int(newest)
        count *= _MORE_DAYS
    return None
