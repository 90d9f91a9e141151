"""The heartbeats around a late one: recent ones from memory, older ones from tail and lake.

An entry is (time_us, id, groups), sorted; `groups` are the heartbeat's groups (`schemas.dimensions.group_keys`).
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

from schemas.calendars import DAY_US
from schemas.dimensions import GroupKey
from schemas.segment import CAP_US

Entry = tuple[int, int, tuple[GroupKey, ...]]
ReadDay = Callable[[int, int], list[Entry]]
"""Read one user's entries with from_us <= time < to_us, in order."""

_RECENT: Final = 64  # entries of a user that stay: two editors overlap by no more than a queue of 30 to 120 s
_IN_DAYS: Final = 20_000  # entries of whole days that stay: a backlog comes in many requests for the same days


class Window:
    """One user's heartbeats in memory: all from `complete_from_us` on, and whole UTC days that late ones needed."""

    def __init__(self, complete_from_us: int, read_day: ReadDay) -> None:
        self._recent: list[Entry] = []
        self._complete_from_us = complete_from_us
        self._days: dict[int, list[Entry]] = {}
        self._read_day = read_day

    def extend(self, entries: Sequence[Entry]) -> None:
        """Add entries in order, later than all others."""
        self._recent.extend(entries)
        if self._days:
            for entry in entries:
                if (day := self._days.get(entry[0] // DAY_US)) is not None:
                    day.append(entry)

    def insert(self, entry: Entry) -> None:
        """Add an entry anywhere."""
        if entry[0] >= self._complete_from_us:
            self._recent.insert(bisect_left(self._recent, entry[:2]), entry)
        if (day := self._days.get(entry[0] // DAY_US)) is not None:
            day.insert(bisect_left(day, entry[:2]), entry)

    def around(self, time_us: int) -> list[Entry]:
        """Give entries in order, among them all within the cap of `time_us`."""
        if time_us - CAP_US >= self._complete_from_us:
            return self._recent
        first, last = (time_us - CAP_US) // DAY_US, (time_us + CAP_US) // DAY_US
        if first == last:
            return self._day(first)
        return [entry for day in range(first, last + 1) for entry in self._day(day)]

    def shrink(self) -> int:
        """Forget what can be read again, once everything here is committed; return how many entries are left."""
        in_days = sum(map(len, self._days.values()))
        if in_days > _IN_DAYS:
            self._days.clear()
            in_days = 0
        if len(self._recent) > 2 * _RECENT:
            self._complete_from_us = self._recent[-_RECENT - 1][0] + 1
            self._recent = self._recent[bisect_left(self._recent, (self._complete_from_us,)) :]
        return len(self._recent) + in_days

    def _day(self, day: int) -> list[Entry]:
        if day not in self._days:
            start_us, end_us = day * DAY_US, (day + 1) * DAY_US
            stored = self._read_day(start_us, end_us)
            # What this micro-batch has added is not stored yet; all of it is recent, for the day was not held before.
            known = {entry[:2] for entry in stored}
            stored += [e for e in self._recent if start_us <= e[0] < end_us and e[:2] not in known]
            stored.sort(key=lambda entry: entry[:2])
            self._days[day] = stored
        return self._days[day]


def is_known(entries: list[Entry], time_us: int, heartbeat_id: int) -> bool:
    """Tell whether this very heartbeat is among `entries`."""
    place = bisect_left(entries, (time_us, heartbeat_id))
    return place < len(entries) and entries[place][:2] == (time_us, heartbeat_id)


def neighbours(
    entries: list[Entry], time_us: int, keys: tuple[GroupKey, ...]
) -> tuple[dict[GroupKey, int], dict[GroupKey, int]]:
    """Find each group's nearest instants before (or at) and after `time_us`, within the cap."""
    place = bisect_left(entries, (time_us,))
    before = _nearest(entries, range(place - 1, -1, -1), time_us, keys)
    after = _nearest(entries, range(place, len(entries)), time_us, keys)
    return before, after


def _nearest(entries: list[Entry], places: range, time_us: int, keys: tuple[GroupKey, ...]) -> dict[GroupKey, int]:
    missing = set(keys)
    found: dict[GroupKey, int] = {}
    for place in places:
        at_us, _, groups = entries[place]
        if abs(at_us - time_us) > CAP_US or not missing:
            break
        for key in missing.intersection(groups):
            found[key] = at_us
            missing.discard(key)
    return found
