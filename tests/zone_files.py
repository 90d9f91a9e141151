"""Zones' clocks, read from tzdata's files by hand (RFC 9636), and days cut by them.

Shares no code with zoneinfo, which the packages trust and the oracle asks.
"""

import datetime as dt
import functools
import itertools
import re
import struct
from typing import NamedTuple

from tests import oracle

DAY_S = 86_400
LAST_YEAR = 2035
_HEADER = struct.Struct(">4sc15x6l")
_NAME = "(?:[A-Za-z]{3,}|<[-+A-Za-z0-9]+>)"
_CLOCK = r"[-+]?\d+(?::\d+)*"
_FOOTER = re.compile(f"{_NAME}({_CLOCK})(?:{_NAME}({_CLOCK})?,(.+),(.+))?")
_CHANGE = re.compile(rf"M(\d+)\.(\d)\.(\d)(?:/({_CLOCK}))?")


class Piece(NamedTuple):
    """From `start_s` on, until the next piece, clocks show UTC and `offset_s`."""

    start_s: int
    offset_s: int


def pieces(zone):
    """All pieces of a zone until the end of `LAST_YEAR`."""
    return _pieces(_data(zone))


def changes_s(zone):
    """The instants at which the zone's clocks change."""
    return [later.start_s for earlier, later in _pairs(pieces(zone)) if earlier.offset_s != later.offset_s]


def day_start_s(zone, day):
    """When a day starts: right after the last instant whose local date is before it (design.md)."""
    return _day_start_s(_data(zone), day)


_data = functools.cache(oracle.zone_data)


@functools.cache
def _day_start_s(data, day):
    midnight_s = day * DAY_S
    end_s = None
    # No offset is larger than a day, nor goes on for ever: pieces from two days after midnight on are all later.
    for piece, following in reversed(_pairs([*_pieces(data), Piece(1 << 60, 0)])):
        if piece.start_s < midnight_s + 2 * DAY_S:
            before_s = min(following.start_s, midnight_s - piece.offset_s)
            if before_s > piece.start_s:
                end_s = before_s if end_s is None else max(end_s, before_s)
            if piece.start_s < midnight_s - 2 * DAY_S:
                break
    return end_s


@functools.cache
def _pieces(data):
    magic, version, *counts = _HEADER.unpack_from(data)
    assert (magic, version >= b"2") == (b"TZif", True)
    start = _HEADER.size + _size(counts, 4)
    _, _, *counts = _HEADER.unpack_from(data, start)
    *_, times, types, _names = counts
    at = start + _HEADER.size
    instants = struct.unpack_from(f">{times}q", data, at)
    kinds = data[at + 8 * times : at + 9 * times]
    offsets = [struct.unpack_from(">l", data, at + 9 * times + 6 * kind)[0] for kind in range(types)]
    found = [Piece(-(1 << 60), offsets[0])]
    found += [Piece(instant, offsets[kind]) for instant, kind in zip(instants, kinds, strict=True)]
    footer = data[start + _HEADER.size + _size(counts, 8) :].strip(b"\n").decode()
    return found + [piece for piece in _of_rule(footer, found[-1]) if piece.start_s > found[-1].start_s]


def _size(counts, time_size):
    uts, standards, leaps, times, types, names = counts
    return times * (time_size + 1) + types * 6 + names + leaps * (time_size + 4) + standards + uts


def _of_rule(footer, last):
    """What a rule like `EST5EDT,M3.2.0,M11.1.0` says of each year."""
    standard, summer, begin, end = _FOOTER.fullmatch(footer).groups()
    offset_s = -_seconds(standard)
    if begin is None:
        assert offset_s == last.offset_s
        return []
    summer_s = offset_s + 3600 if summer is None else -_seconds(summer)
    made = []
    for year in range(1970, LAST_YEAR + 1):
        made += [Piece(_wall_s(year, begin) - offset_s, summer_s), Piece(_wall_s(year, end) - summer_s, offset_s)]
    return sorted(made)


def _wall_s(year, change):
    """`M3.2.0/3`: the second Sunday of March at 3 o'clock by the clocks until then; week 5 is the last one."""
    month, week, weekday, clock = _CHANGE.fullmatch(change).groups()
    first = dt.date(year, int(month), 1)
    date = first + dt.timedelta(days=(int(weekday) - first.isoweekday()) % 7 + 7 * (int(week) - 1))
    if date.month != first.month:
        date -= dt.timedelta(days=7)
    return (date - dt.date(1970, 1, 1)).days * DAY_S + _seconds(clock or "2")


def _seconds(clock):
    """`-3:30`: hours, minutes and seconds, all of one sign."""
    parts = [int(part) for part in clock.lstrip("+-").split(":")]
    total = sum(part * size for part, size in zip(parts, (3600, 60, 1), strict=False))
    return -total if clock.startswith("-") else total


def _pairs(items):
    return list(itertools.pairwise(items))
