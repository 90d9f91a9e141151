"""Durations and parts in WakaTime's own form: its wording, seconds as numbers with a fraction part. Pure."""

from collections.abc import Callable, Iterable
from typing import Final

from query_api import wording
from query_api.display_names import as_stored, editor_name, system_name
from query_api.models_wakatime import WakaPart
from query_api.ranges import Measured
from schemas.dimensions import Dimension, Value
from schemas.linguist import canonical_name
from schemas.segment import Segment, whole_seconds

NAMELESS: Final = "Other"

PARTS: Final[dict[Dimension, tuple[str, Callable[[str], str]]]] = {
    Dimension.CATEGORY: ("categories", as_stored),
    Dimension.PROJECT: ("projects", as_stored),
    Dimension.LANGUAGE: ("languages", canonical_name),
    Dimension.EDITOR: ("editors", editor_name),
    Dimension.OPERATING_SYSTEM: ("operating_systems", system_name),
    Dimension.MACHINE: ("machines", as_stored),
}
"""The lists that answers have: the dimension, the list's name, and how its values are shown."""

OF_A_DAY: Final = (Dimension.TOTAL, Dimension.FOLLOWED, *PARTS)
"""What to read for a local day with all its lists."""


def seconds_of(measured: Measured, dimension: Dimension) -> list[tuple[Value, int]]:
    """Give each group's seconds, rounded once, most first, then by name; null is a group of its own."""
    found = [(key[1], whole_seconds(segment.duration_us)) for key, segment in measured.items() if key[0] == dimension]
    return sorted(found, key=lambda entry: (-entry[1], str(entry[0] or "")))


def parts(measured: Measured, dimension: Dimension) -> list[WakaPart]:
    """Write the groups of a dimension that have any time."""
    _, shown = PARTS[dimension]
    entries = [
        (shown(str(value)) if value else NAMELESS, seconds) for value, seconds in seconds_of(measured, dimension)
    ]
    return listed(entries)


def all_parts(measured: Measured) -> dict[str, list[WakaPart]]:
    """Write every list, by its name."""
    return {name: parts(measured, dimension) for dimension, (name, _) in PARTS.items()}


def listed(entries: Iterable[tuple[str, int]]) -> list[WakaPart]:
    """Write entries of name and seconds in their order; those of 0 s are left out."""
    timed = [entry for entry in entries if entry[1] > 0]
    total = sum(seconds for _, seconds in timed)
    return [_part(name, seconds, total) for name, seconds in timed]


def followed_projects(measured: Measured) -> list[tuple[str, int]]:
    """Give a day's projects by the gaps that follow their heartbeats: seconds descending, then name.

    Heartbeats without a project are one entry, "Other" (semantics.md, section 7).
    """
    durations_us: dict[str, int] = {}
    for (dimension, value), segment in measured.items():
        if dimension == Dimension.FOLLOWED:
            name = str(value) if value else NAMELESS
            durations_us[name] = durations_us.get(name, 0) + segment.duration_us
    entries = [(name, whole_seconds(duration_us)) for name, duration_us in durations_us.items()]
    return sorted(entries, key=lambda entry: (-entry[1], entry[0]))


def total_of(measured: Measured) -> int:
    """Give the total in seconds, rounded once."""
    total: Segment | None = measured.get((Dimension.TOTAL, None))
    return whole_seconds(total.duration_us) if total else 0


def _part(name: str, seconds: int, total: int) -> WakaPart:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return WakaPart(
        name=name,
        total_seconds=float(seconds),
        percent=wording.percent(seconds, total),
        digital=wording.digital_minutes(seconds),
        decimal=wording.decimal_hours(seconds // 60 * 60),
        text=wording.status_text(seconds),
        hours=hours,
        minutes=minutes,
        seconds=rest,
    )
