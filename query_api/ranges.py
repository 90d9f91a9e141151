"""Measuring a user's heartbeats in a range, by group: from the tables, and from heartbeats where a day is divided."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from schemas.dimensions import Dimension, GroupKey, Value, group_keys
from schemas.heartbeat import Heartbeat
from schemas.segment import Segment, measure, merge_all, whole_seconds
from storage.history import History
from storage.stats.reader import Span, StatsReader

Measured = dict[tuple[Dimension, Value], Segment]
"""What each group's own heartbeats in the range measure."""


def measure_range(
    reader: StatsReader, history: History, user_id: int, span: Span, dimensions: Collection[Dimension]
) -> Measured:
    """Measure by `dimensions`, the total included in any case.

    The tables are read in one snapshot, the divided days at the ends right after it: see `query_api.one_state`.
    """
    read = reader.read_range(user_id, span, dimensions)
    pieces = read.pieces
    wanted = {Dimension.TOTAL, *dimensions}
    for part in read.missing:
        for key, segment in _measure_groups(history.read(user_id, part.from_us, part.to_us), wanted).items():
            pieces.setdefault(key, []).append(segment)
    merged = ((key, merge_all(sorted(segments))) for key, segments in pieces.items())
    return {key: segment for key, segment in merged if segment is not None}


def total_seconds(measured: Measured) -> int:
    """Give the total, rounded once."""
    total = measured.get((Dimension.TOTAL, None))
    return whole_seconds(total.duration_us) if total else 0


def _measure_groups(heartbeats: Iterable[Heartbeat], wanted: Collection[Dimension]) -> Measured:
    times_us: dict[tuple[Dimension, Value], list[int]] = defaultdict(list)
    for heartbeat in heartbeats:
        for number, value in _groups_of(heartbeat):
            if number in wanted:
                times_us[Dimension(number), value].append(heartbeat.time_us)
    measured = ((key, measure(times)) for key, times in times_us.items())
    return {key: segment for key, segment in measured if segment is not None}


def _groups_of(h: Heartbeat) -> tuple[GroupKey, ...]:
    return group_keys(h.project, h.language, h.editor, h.operating_system, h.machine, h.category)
