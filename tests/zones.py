"""Days that are hard to cut, and heartbeats around their bounds."""

import datetime as dt
import random

from tests import oracle, oracle_ranges

DAYS = {
    "half an hour": ("Asia/Kolkata", "2024-05-06"),
    "three quarters of an hour": ("Asia/Kathmandu", "2024-05-06"),
    "twelve and three quarters, 25 hours": ("Pacific/Chatham", "2024-04-07"),
    "thirteen and three quarters, 23 hours": ("Pacific/Chatham", "2024-09-29"),
    "a day longer by half an hour": ("Australia/Lord_Howe", "2024-04-07"),
    "a day shorter by half an hour": ("Australia/Lord_Howe", "2024-10-06"),
    "half an hour of standard time less": ("Asia/Pyongyang", "2018-05-05"),
    "two hours of summer time": ("Antarctica/Troll", "2024-03-31"),
    "two hours back": ("Antarctica/Troll", "2024-10-27"),
    "a skipped day": ("Pacific/Apia", "2011-12-30"),
    "a skipped day, farther on": ("Pacific/Fakaofo", "2011-12-30"),
    "a midnight that did not exist, south": ("America/Sao_Paulo", "2018-11-04"),
    "back to the evening before, south": ("America/Sao_Paulo", "2018-02-18"),
    "a midnight that did not exist, Levant": ("Asia/Beirut", "2024-03-31"),
    "back to the evening before, Levant": ("Asia/Beirut", "2024-10-27"),
    "a midnight that does not exist, Nile": ("Africa/Cairo", "2024-04-26"),
    "back to the evening before, Nile": ("Africa/Cairo", "2024-11-01"),
    "a midnight that does not exist, Caribbean": ("America/Havana", "2024-03-10"),
    "back at one to midnight": ("America/Havana", "2024-11-03"),
    "back over midnight at one past it": ("America/St_Johns", "2010-11-07"),
    "on at one past midnight": ("America/St_Johns", "2011-03-13"),
    "back at midnight, Paraguay": ("America/Asuncion", "2024-03-24"),
    "on at midnight, Paraguay": ("America/Asuncion", "2023-10-01"),
    "clocks back for Ramadan": ("Africa/Casablanca", "2024-03-10"),
    "three hours back at two": ("Antarctica/Casey", "2010-03-05"),
    "the first clock of all": ("Pacific/Kiritimati", "2024-05-06"),
    "the last clock of all": ("Pacific/Niue", "2024-05-06"),
    "far west with half an hour": ("Pacific/Marquesas", "2024-05-06"),
    "23 hours": ("America/Los_Angeles", "2024-03-10"),
    "25 hours": ("America/Los_Angeles", "2024-11-03"),
}
"""What is hard about a day: (zone, date)."""

OFFSETS_US = (-300_000_000, -90_000_000, -30_000_000, -1, 0, 1, 30_000_000, 150_000_000, 400_000_000)
"""Around a bound: its last microsecond, itself, and instants whose gaps reach over it."""


def case(name):
    """The zone and date of a hard day."""
    zone, date = DAYS[name]
    return zone, dt.date.fromisoformat(date)


def bounds_us(zone, first, last):
    """The starts of the local days `first` to `last` and the end of the last, in order; a skipped day has one bound."""
    dates = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    return sorted({bound for date in dates for bound in oracle_ranges.day_bounds(zone, date)})


def around(bounds, seed=0):
    """Shuffled (time_us, project) around each bound, at odd minutes in between, and twice at the bounds themselves."""
    rng = random.Random(seed)
    times = [bound + offset for bound in bounds for offset in OFFSETS_US] + list(bounds)
    times += [bound + rng.randrange(oracle.DAY_US) for bound in bounds[:-1] for _ in range(6)]
    made = [(time_us, rng.choice(("alpha", "alpha", "beta", None))) for time_us in times]
    rng.shuffle(made)
    return made
