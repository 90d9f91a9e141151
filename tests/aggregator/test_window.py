"""The heartbeats around late ones: what is read, and what stays in memory."""

from aggregator.window import Window
from schemas.calendars import DAY_US
from schemas.dimensions import group_keys

KEYS = group_keys("app", None, None, None, None, "coding")
NOON_US = DAY_US // 2


class Stored:
    """Heartbeats that are counted already, some on each of 100 days; it notes which days were read together."""

    def __init__(self, per_day):
        self._per_day = per_day
        self.reads = []

    def __call__(self, days):
        self.reads.append(sorted(days))
        return [(day * DAY_US + n, n, KEYS) for day in sorted(days) for n in range(self._per_day)]


def after_all(stored):
    """A window of a user whose heartbeats are all stored, and all older than what comes next."""
    return Window(100 * DAY_US, stored)


def test_the_days_that_one_request_needs_are_read_at_once():
    stored = Stored(per_day=3)
    window = after_all(stored)
    window.prepare([day * DAY_US + NOON_US for day in (7, 3, 50, 3)])
    assert stored.reads == [[3, 7, 50]]
    for day in (3, 7, 50):
        entries = window.around(day * DAY_US + NOON_US)
        assert [entry[:2] for entry in entries] == [(day * DAY_US + n, n) for n in range(3)]
    assert len(stored.reads) == 1


def test_around_midnight_both_days_are_needed():
    stored = Stored(per_day=1)
    window = after_all(stored)
    window.prepare([5 * DAY_US - 1])
    assert stored.reads == [[4, 5]]
    assert [time_us for time_us, _, _ in window.around(5 * DAY_US - 1)] == [4 * DAY_US, 5 * DAY_US]


def test_a_months_backlog_stays_in_memory_between_requests():
    stored = Stored(per_day=2_000)
    window = after_all(stored)
    for _ in range(3):
        window.prepare([day * DAY_US + NOON_US for day in range(30)])
        assert window.shrink() == 60_000
    assert len(stored.reads) == 1


def test_above_the_bound_the_days_used_last_stay():
    stored = Stored(per_day=30_000)
    window = after_all(stored)
    for day in range(10):
        window.around(day * DAY_US + NOON_US)
        window.around(NOON_US)  # the first day is used all the time
    assert 100_000 < window.shrink() <= 200_000
    stored.reads.clear()
    for day in (0, 9):
        window.around(day * DAY_US + NOON_US)
    assert stored.reads == []
    window.around(DAY_US + NOON_US)
    assert stored.reads == [[1]]


def test_what_a_request_adds_to_days_in_memory_is_found_again():
    window = after_all(Stored(per_day=1))
    window.prepare([5 * DAY_US + NOON_US])
    window.insert((5 * DAY_US + NOON_US, 7, KEYS))
    assert [entry[1] for entry in window.around(5 * DAY_US + NOON_US)] == [0, 7]


def test_heartbeats_not_stored_yet_are_found_in_a_day_read_after_them():
    stored = Stored(per_day=1)
    window = after_all(stored)
    window.extend([(100 * DAY_US + 5, 8, KEYS), (100 * DAY_US + 200_000_000, 9, KEYS)])
    assert [entry[1] for entry in window.around(100 * DAY_US - 10)] == [0, 0, 8, 9]
    assert stored.reads == [[99, 100]]
