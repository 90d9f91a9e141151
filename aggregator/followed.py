"""Gaps by the heartbeat that they follow: each belongs to the earlier one's project (semantics.md, section 6).

A `FOLLOWED` row is its project's row in one of the user's own days, with another duration: the gaps from the project's
heartbeats to the day's next ones, whatever their projects. A heartbeat changes the durations of two projects at most:
its own, and that of the heartbeat before it. Order is (time, id).

`Gaps` say how much each project's duration changes, in microseconds; a project is named by its `PROJECT` group.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from aggregator.window import Entry, Window
from schemas.calendars import Period
from schemas.dimensions import Dimension, GroupKey
from schemas.segment import CAP_US
from storage.stats.segments import Groups, is_whole

Gaps = dict[GroupKey, int]

_TOTAL: Final[GroupKey] = (int(Dimension.TOTAL), None)
_PROJECT: Final = int(Dimension.PROJECT)
_FOLLOWED: Final = int(Dimension.FOLLOWED)


def gaps_of_run(groups: Groups, window: Window, entries: Sequence[Entry]) -> Gaps:
    """Share out the gaps that a run of entries brings, all in one day and later than the user's others.

    `groups`: the day's without the run.
    """
    gaps = _gaps_inside(entries)
    if total := groups.get(_TOTAL):
        newest = window.newest()
        before = _project(newest) if newest else _last_project(groups, window)
        gaps[before] = gaps.get(before, 0) + min(entries[0][0] - total[1], CAP_US)
    return gaps


def gaps_of_late(
    day: Period, groups: Groups, window: Window, entries: Sequence[Entry], place: int, late: Entry
) -> Gaps:
    """Share out what a heartbeat changes that comes anywhere into a day.

    `groups`: the day's without it; it belongs at `place` of `entries`, which have all within the cap of it.
    """
    time_us, own = late[0], _project(late)
    gaps = {own: 0}
    total = groups.get(_TOTAL)
    if total is None:
        return gaps
    after_us = entries[place][0] if place < len(entries) and entries[place][0] < day.end_us else None
    if after_us is None and total[1] > time_us:
        after_us = time_us + CAP_US  # or later: it counts the same
    if after_us is not None:
        gaps[own] = min(after_us - time_us, CAP_US)
    if place and entries[place - 1][0] >= day.start_us:
        before_us, before = entries[place - 1][0], _project(entries[place - 1])
        closed_us = 0 if after_us is None else min(after_us - before_us, CAP_US)
        gaps[before] = gaps.get(before, 0) + min(time_us - before_us, CAP_US) - closed_us
    elif total[1] < time_us:
        before = _last_project(groups, window)
        gaps[before] = gaps.get(before, 0) + CAP_US
    return gaps


def add_gaps(groups: Groups, gaps: Gaps) -> list[GroupKey]:
    """Change a day's `FOLLOWED` groups, after those of its projects; return which."""
    changed = []
    for project, gap_us in gaps.items():
        key = (_FOLLOWED, project[1])
        measured, known = groups.get(project), groups.get(key)
        if measured is None:
            raise ValueError(f"A gap follows a heartbeat of {project}, which the day does not have.")
        first_us, last_us, _, count = measured
        groups[key] = [first_us, last_us, known[2] + gap_us if known else gap_us, count]
        changed.append(key)
    return changed


def _gaps_inside(entries: Sequence[Entry]) -> Gaps:
    gaps: Gaps = {}
    stretch_us, before_us, project = 0, entries[0][0], _project(entries[0])
    for time_us, _, keys in entries:
        gap_us = time_us - before_us
        stretch_us += gap_us if gap_us < CAP_US else CAP_US  # noqa: FURB136 - a hot line; a call costs half of it
        before_us = time_us
        if keys[_PROJECT] != project:
            gaps[project] = gaps.get(project, 0) + stretch_us
            stretch_us, project = 0, keys[_PROJECT]
    gaps[project] = gaps.get(project, 0) + stretch_us
    return gaps


def _last_project(groups: Groups, window: Window) -> GroupKey:
    """Find the project of a day's last heartbeat; where several projects end at one instant, the ids tell."""
    last_us = groups[_TOTAL][1]
    if is_whole(groups):
        ending = [key for key, group in groups.items() if key[0] == _PROJECT and group[1] == last_us]
        if len(ending) == 1:
            return ending[0]
    entries = window.around(last_us)
    return _project(entries[bisect_right(entries, last_us, key=lambda entry: entry[0]) - 1])


def _project(entry: Entry) -> GroupKey:
    return entry[2][_PROJECT]
