"""Local days measured from heartbeats, where no table has them, and what a run of local days measures as one. Pure."""

from collections.abc import Iterable

from query_api.ranges import Measured
from schemas.calendars import Period, day_period, local_calendar, period_at
from schemas.dimensions import Dimension, group_keys
from schemas.heartbeat import Heartbeat
from schemas.segment import Segment, merge
from storage.stats.reader import LocalDays, Span


def today_in(timezone: str, now_us: int) -> int:
    """Give the number of the local day that it is in a zone."""
    return period_at(local_calendar(timezone), now_us).day


def span_of_days(timezone: str, days: range) -> Span:
    """Give the instants of a run of local days."""
    calendar = local_calendar(timezone)
    return Span(day_period(calendar, days.start).start_us, day_period(calendar, days.stop - 1).end_us)


def merged(local: LocalDays) -> Measured:
    """Measure all days as one sequence: the gaps between them count too (semantics.md, section 6)."""
    whole: Measured = {}
    for _, measured in sorted(local.measured.items()):
        for key, segment in measured.items():
            if key[0] != Dimension.FOLLOWED:
                whole[key] = merge(whole[key], segment) if key in whole else segment
    return whole


def of_project(local: LocalDays, project: str) -> LocalDays:
    """Leave one project's heartbeats of days measured by project: all gaps between them are its own."""
    key = Dimension.PROJECT, project
    measured: dict[int, Measured] = {
        day: {(Dimension.TOTAL, None): groups[key], (Dimension.FOLLOWED, project): groups[key]}
        for day, groups in local.measured.items()
        if key in groups
    }
    return local._replace(measured=measured)


def measure_days(heartbeats: Iterable[Heartbeat], timezone: str, days: range) -> LocalDays:
    """Measure each local day by itself, by every dimension; `heartbeats` come in the order (time, id)."""
    calendar = local_calendar(timezone)
    measured: dict[int, Measured] = {}
    period: Period | None = None
    before: Heartbeat | None = None
    for heartbeat in heartbeats:
        if period is None or heartbeat.time_us >= period.end_us:
            period, before = period_at(calendar, heartbeat.time_us), None
        groups = measured.setdefault(period.day, {})
        _add(groups, heartbeat)
        if before is not None:
            _follow(groups, before, heartbeat)
        before = heartbeat
    return LocalDays(timezone, days, measured)


def _add(groups: Measured, h: Heartbeat) -> None:
    instant = Segment(h.time_us, h.time_us, 0, 1)
    for number, value in group_keys(h.project, h.language, h.editor, h.operating_system, h.machine, h.category):
        key = Dimension(number), value
        groups[key] = merge(groups[key], instant) if key in groups else instant


def _follow(groups: Measured, before: Heartbeat, h: Heartbeat) -> None:
    """Give the gap to the earlier heartbeat's project."""
    gap = merge(Segment(before.time_us, before.time_us, 0, 1), Segment(h.time_us, h.time_us, 0, 0))
    key = Dimension.FOLLOWED, before.project
    earlier = groups.get(key)
    groups[key] = (
        gap
        if earlier is None
        else gap._replace(
            first_us=earlier.first_us, duration_us=earlier.duration_us + gap.duration_us, beats=earlier.beats + 1
        )
    )
