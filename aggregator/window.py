"""The heartbeats around a late one: recent ones from memory, older ones from tail and lake.

An entry is (time_us, id, groups), sorted; `groups` are the heartbeat's groups (`schemas.dimensions.group_keys`).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from schemas.calendars import DAY_US
from schemas.dimensions import GroupKey
from schemas.segment import CAP_US

Entry = tuple[int, int, tuple[GroupKey, ...]]
ReadDays = Callable[[set[int]], list[Entry]]
"""Read one user's entries of some UTC days, by their numbers since 1970-01-01."""

_RECENT: Final = 64  # entries of a user that stay: two editors overlap by no more than a queue of 30 to 120 s
_IN_DAYS: Final = 200_000
"""Entries of whole days that stay, about 30 MB: a backlog comes in many requests for the same days, in any order."""


class Window:
    """One user's heartbeats in memory: all from `complete_from_us` on, and whole UTC days that late ones needed."""

    def __init__(self, complete_from_us: int, read_days: ReadDays) -> None:
        self._recent: list[Entry] = []
        self._complete_from_us = complete_from_us
        self._days: dict[int, list[Entry]] = {}  # the one used last is last
        self._read_days = read_days

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

    def newest(self) -> Entry | None:
        """Give the user's last entry, if it is in memory."""
        return self._recent[-1] if self._recent else None

    def around(self, time_us: int) -> list[Entry]:
        """Give entries in order, among them all within the cap of `time_us`."""
        if time_us - CAP_US >= self._complete_from_us:
            return self._recent
        days = _days_around(time_us)
        self._load({day for day in days if day not in self._days})
        for day in days:
            self._days[day] = self._days.pop(day)
        return self._days[days[0]] if len(days) == 1 else [entry for day in days for entry in self._days[day]]

    def prepare(self, times_us: Iterable[int]) -> None:
        """Read at once what `around` will need for some heartbeats: a read costs much the same for any days."""
        late = (time_us for time_us in times_us if time_us - CAP_US < self._complete_from_us)
        self._load({day for time_us in late for day in _days_around(time_us)} - self._days.keys())

    def shrink(self) -> int:
        """Forget what can be read again, once everything here is committed; return how many entries are left."""
        in_days = sum(map(len, self._days.values()))
        while in_days > _IN_DAYS:
            unused_longest = next(iter(self._days))
            in_days -= len(self._days.pop(unused_longest))
        if len(self._recent) > 2 * _RECENT:
            self._complete_from_us = self._recent[-_RECENT - 1][0] + 1
            self._recent = self._recent[bisect_left(self._recent, (self._complete_from_us,)) :]
        return len(self._recent) + in_days

    def _load(self, days: set[int]) -> None:
        if not days:
            return
        stored = self._read_days(days)
        # What this micro-batch has added is not stored yet; all of it is recent, for the days were not held before.
        known = {entry[:2] for entry in stored}
        stored += [e for e in self._recent if e[0] // DAY_US in days and e[:2] not in known]
        stored.sort(key=lambda entry: entry[:2])
        self._days |= {day: [] for day in days}
        for entry in stored:
            self._days[entry[0] // DAY_US].append(entry)


def _days_around(time_us: int) -> range:
    """Give the numbers of the UTC days within the cap of an instant: one, or two around a midnight."""
    return range((time_us - CAP_US) // DAY_US, (time_us + CAP_US) // DAY_US + 1)


def find(entries: list[Entry], time_us: int, heartbeat_id: int) -> tuple[int, bool]:
    """Give a heartbeat's place in the order of `entries`, and whether this very one is there."""
    place = bisect_left(entries, (time_us, heartbeat_id))
    return place, place < len(entries) and entries[place][:2] == (time_us, heartbeat_id)


def neighbours(
    entries: list[Entry], place: int, time_us: int, keys: tuple[GroupKey, ...]
) -> tuple[dict[GroupKey, int], dict[GroupKey, int]]:
    """Find each group's nearest instants before and after a heartbeat that belongs at `place`, within the cap."""
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
