"""The worked examples of semantics.md, section 6, that concern totals and groups, as data."""

import re
from typing import NamedTuple


class Example(NamedTuple):
    """Offsets in seconds from any base, each with an optional project (a, b) and language (P, R)."""

    name: str
    offsets: str
    total: int
    groups: dict = {}  # noqa: RUF012 - never changed


EXAMPLES = [
    Example("1 a lone heartbeat is listed with 0 s", "0a", 0, {"project": {"a": 0}}),
    Example("2 a gap", "0 60", 60),
    Example("3 a gap of the cap", "0 120", 120),
    Example("3 a gap above the cap", "0 121", 120),
    Example("3 a long gap", "0 3600", 120),
    Example("4 two long gaps", "0 121 3721", 240),
    Example("5 equal instants", "0a 0b 30a 30b", 30, {"project": {"a": 30, "b": 30}}),
    Example("6 two projects interleaved", "0a 60b 120a 180b", 180, {"project": {"a": 120, "b": 120}}),
    Example("7 a group's own gap is capped", "0a 100b 200a", 200, {"project": {"a": 120, "b": 0}}),
    Example(
        "8 alternating minutes",
        " ".join(f"{60 * i}{'ab'[i % 2]}" for i in range(11)),
        600,
        {"project": {"a": 600, "b": 480}},
    ),
    Example(
        "9 projects and languages",
        "0aP 50aR 100bP 150bR",
        150,
        {"project": {"a": 50, "b": 50}, "language": {"P": 100, "R": 100}},
    ),
    Example("10 rounded once", "0 10.4 20.8 31.2", 31),
    Example("11 rounded to the nearest", "0 30.75", 31),
    Example("12 each figure rounded by itself", "0a 0.3b 30.6a 30.9b", 31, {"project": {"a": 31, "b": 31}}),
    Example("13 no project is a group", "0 60 400a", 180, {"project": {None: 60, "a": 0}}),
    Example("14 before the late one", "0 3600", 120),
    Example("14 after the late one", "0 3600 1800", 240),
    Example("15 before the last late one", "0a 100a 40b", 100, {"project": {"a": 100, "b": 0}}),
    Example("15 after both late ones", "0a 100a 40b 70b", 100, {"project": {"a": 100, "b": 30}}),
    Example("16 all of it", "0 50 100 160 400", 280),
]

_OFFSET = re.compile(r"(-?[\d.]+)([a-z]?)([A-Z]?)")


def beats(offsets, base_us):
    """Heartbeats of an example in the order written, as the oracle takes them; ids count from 1."""
    made = []
    for number, text in enumerate(offsets.split(), start=1):
        offset, project, language = _OFFSET.fullmatch(text).groups()
        time_us = base_us + round(float(offset) * 1_000_000)
        made.append({"id": number, "time_us": time_us, "project": project or None, "language": language or None})
    return made
