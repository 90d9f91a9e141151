"""Segments: the arithmetic of coding time (semantics.md, section 6; design.md, "The one idea").

All instants and durations are integers, microseconds, so that sums are exact in any order.
"""

import itertools
from collections.abc import Iterable
from typing import Final, NamedTuple

CAP_US: Final = 120_000_000
"""A gap between neighbours counts at most this long."""


class Segment(NamedTuple):
    """A set of heartbeats: first and last instant, the capped gaps inside, how many (`beats`)."""

    first_us: int
    last_us: int
    duration_us: int
    beats: int


def merge(earlier: Segment, later: Segment) -> Segment:
    """Join two segments, the first wholly before (or touching) the second; associative."""
    gap = min(later.first_us - earlier.last_us, CAP_US)
    return Segment(
        earlier.first_us, later.last_us, earlier.duration_us + gap + later.duration_us, earlier.beats + later.beats
    )


def merge_all(segments: Iterable[Segment]) -> Segment | None:
    """Merge segments given in order of time; None for none."""
    total: Segment | None = None
    for segment in segments:
        total = segment if total is None else merge(total, segment)
    return total


def measure(times_us: Iterable[int]) -> Segment | None:
    """Measure a set of instants, in any order; None for none."""
    ordered = sorted(times_us)
    if not ordered:
        return None
    duration = sum(min(b - a, CAP_US) for a, b in itertools.pairwise(ordered))
    return Segment(ordered[0], ordered[-1], duration, len(ordered))


def insert(segment: Segment | None, at_us: int, before_us: int | None, after_us: int | None) -> Segment:
    """Add one heartbeat at `at_us` anywhere into a segment.

    `before_us`, `after_us`: its nearest neighbours in the segment's own sequence (an equal instant may stand on either
    side); None where there is none within the cap, the segment's own ends then tell whether there is one at all.
    """
    if segment is None:
        return Segment(at_us, at_us, 0, 1)
    first, last, duration, count = segment
    left = CAP_US if before_us is None else min(at_us - before_us, CAP_US)
    right = CAP_US if after_us is None else min(after_us - at_us, CAP_US)
    if at_us >= last:
        return Segment(first, at_us, duration + min(at_us - last, CAP_US), count + 1)
    if at_us <= first:
        return Segment(at_us, last, duration + min(first - at_us, CAP_US), count + 1)
    closed = CAP_US if before_us is None or after_us is None else min(after_us - before_us, CAP_US)
    return Segment(first, last, duration + left + right - closed, count + 1)


def whole_seconds(duration_us: int) -> int:
    """Round once, for printing, to the nearest second (half to even, as HEAD does)."""
    seconds, rest = divmod(duration_us, 1_000_000)
    return seconds + (rest > 500_000 or (rest == 500_000 and seconds % 2 == 1))
