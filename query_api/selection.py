"""Which heartbeats a question about stats is about, and what segments alone tell of them (semantics.md, section 4).

Pure. A selection applies before gaps are measured, so that segments answer for it only where they show that nothing
else is in them: a filter that drops nothing, or kept groups that never interleave.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from query_api.ranges import Measured
from schemas.dimensions import Dimension, Value
from schemas.segment import Segment, merge_all

AWAY_FROM_CODE: Final = frozenset({"browsing", "meeting", "communicating"})
"""Categories that boundary-aware totals leave out (semantics.md, section 6)."""

AI_CODING: Final = frozenset({"ai coding"})
"""The category that `no_ai_coding` leaves out."""

TOTAL: Final = (Dimension.TOTAL, None)

_BROWSING: Final = "browsing"


class Selection(NamedTuple):
    """Heartbeats of any of `projects` and `categories` (exact; None: all), but of no category `without` (any case)."""

    projects: frozenset[str] | None = None
    categories: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    @property
    def is_by_category(self) -> bool:
        """Tell whether categories matter."""
        return self.categories is not None or bool(self.without)

    def keeps_category(self, category: str) -> bool:
        """Tell whether a category is selected."""
        return (self.categories is None or category in self.categories) and category.lower() not in self.without


def dimensions_for(selection: Selection, *, listed: bool) -> set[Dimension]:
    """Name what to read for `from_segments`; `listed`: languages and projects as well as the total."""
    wanted = {Dimension.TOTAL}
    if selection.projects is not None:
        wanted |= {Dimension.PROJECT, *([Dimension.PROJECT_LANGUAGE] if listed else [])}
    elif listed:
        wanted |= {Dimension.PROJECT, Dimension.LANGUAGE}
    if selection.is_by_category:
        wanted |= {Dimension.CATEGORY, Dimension.ACTIVE}
    return wanted


def from_segments(measured: Measured, selection: Selection, *, listed: bool) -> Measured | None:
    """Pick total, languages and projects of a selection out of what all heartbeats measure; None where that fails.

    `measured`: by `dimensions_for`. The answer has keys of the dimensions TOTAL, LANGUAGE and PROJECT.
    """
    kept = kept_categories(measured, selection)
    if kept is None:
        return _of_projects(measured, selection.projects)
    if not kept:
        return {}
    if listed or selection.projects is not None:
        return None
    return _of_categories(measured, kept)


def kept_categories(measured: Measured, selection: Selection) -> list[str] | None:
    """Give the selected categories among those measured; None where that is all of them."""
    if not selection.is_by_category:
        return None
    present = [value for dimension, value in measured if dimension == Dimension.CATEGORY and isinstance(value, str)]
    kept = [category for category in present if selection.keeps_category(category)]
    return None if len(kept) == len(present) else kept


def _of_projects(measured: Measured, projects: frozenset[str] | None) -> Measured | None:
    if projects is None:
        shown = (Dimension.TOTAL, Dimension.LANGUAGE, Dimension.PROJECT)
        return {key: segment for key, segment in measured.items() if key[0] in shown}
    parts = {key: s for key, s in measured.items() if key[0] == Dimension.PROJECT and key[1] in projects}
    groups: dict[tuple[Dimension, Value], list[Segment]] = defaultdict(list)
    groups[TOTAL] = list(parts.values())
    for (_, value), segment in measured.items():
        if isinstance(value, tuple) and value[0] in projects:
            groups[Dimension.LANGUAGE, value[1]].append(segment)
    joined = _joined(groups)
    return None if joined is None else parts | joined


def _of_categories(measured: Measured, kept: Iterable[str]) -> Measured | None:
    kept = set(kept)
    present = {value for dimension, value in measured if dimension == Dimension.CATEGORY and isinstance(value, str)}
    if {category for category in present if category.lower() != _BROWSING} == kept:
        return {TOTAL: measured[Dimension.ACTIVE, None]}
    return _joined({TOTAL: [measured[Dimension.CATEGORY, category] for category in kept]})


def _joined(groups: dict[tuple[Dimension, Value], list[Segment]]) -> Measured | None:
    """Join each group's segments, which are of disjoint heartbeats; None where any two interleave."""
    joined: Measured = {}
    for key, segments in groups.items():
        ordered = sorted(segments)
        if any(later.first_us < earlier.last_us for earlier, later in pairwise(ordered)):
            return None
        whole = merge_all(ordered)
        if whole is not None:
            joined[key] = whole
    return joined
