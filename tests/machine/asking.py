"""The parameters of one round of questions, as hypothesis draws them."""

from typing import NamedTuple

from hypothesis import strategies as st

ZONES = (
    "UTC",
    "Asia/Kolkata",
    "America/St_Johns",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Asia/Kathmandu",
    "America/Los_Angeles",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Europe/London",
)
FILTERS = (None, "alpha", "alpha,beta", ",alpha", "Beta,gamma,team/site", "gone")
CATEGORIES = (None, "coding", "debugging,Meeting", "ai coding,coding", "gone")
FEATURES = (None, "languages", "projects", "languages,projects", "editors")
LISTED = (None, "", "0", "1", "2", "all")
LIMITS = (None, 1, 3, 100, 500)
RANGES = (
    "last_7_days",
    "today",
    "yesterday",
    "last_7_days_from_yesterday",
    "last_14_days",
    "last_30_days",
    "this_week",
    "last_week",
    "this_month",
    "last_month",
    "last_6_months",
    "last_year",
    "all_time",
    "2011",
    "2025-11",
)
RANGES_OF_DAYS = ("today", "Last 7 Days", "last_7_days_from_yesterday", "this_week", "last_month", "all_time")
"""Those whose days are listed one by one are short; the last one is refused."""
COLOURS = (None, "orange", "4C1")
INTERVALS = (
    None,
    "today",
    "yesterday",
    "week",
    "7_days",
    "last_7_days",
    "month",
    "30_days",
    "last_30_days",
    "6_months",
    "last_6_months",
    "year",
    "12_months",
    "last_12_months",
    "last_year",
    "any",
    "nonsense",
)
PROJECTS = ("alpha", "beta", "Beta", "gamma", "team/site", "gone")
NAMED = ("current", "my", "username", "user_id", "slack_uid")
"""How a path names a user."""


class Asked(NamedTuple):
    """What the parameters of one round of questions are; ends are a heartbeat's index and a distance from it."""

    ends: tuple[tuple[int, int], tuple[int, int]]
    is_bounded: tuple[bool, bool]
    filter: str | None
    categories: str | None
    flags: tuple[bool, bool, bool]
    features: str | None
    listed: str | None
    limit: int | None
    range: str
    interval: str | None
    project: str
    zone: str | None
    days: int
    editor: str | None
    source: str | None
    branches: str | None
    named: str
    range_of_days: str
    colour: str | None
    other_names: bool
    """Parameters that have two names are called by the other one."""


def askings():
    end = st.tuples(st.integers(0, 30), st.sampled_from([0, 1, -1, 10_000_000, -10_000_000, 400_000_000, -400_000_000]))
    return st.builds(
        Asked,
        ends=st.tuples(end, end),
        is_bounded=st.sampled_from([(True, True), (False, False), (True, False), (False, True)]),
        filter=st.sampled_from(FILTERS),
        categories=st.sampled_from(CATEGORIES),
        flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
        features=st.sampled_from(FEATURES),
        listed=st.sampled_from(LISTED),
        limit=st.sampled_from(LIMITS),
        range=st.sampled_from(RANGES),
        interval=st.sampled_from(INTERVALS),
        project=st.sampled_from(PROJECTS),
        zone=st.sampled_from((None, *ZONES)),
        days=st.integers(1, 4),
        editor=st.sampled_from([None, "VSCode", "nano", "gone"]),
        source=st.sampled_from([None, "direct_entry", "test_entry"]),
        branches=st.sampled_from([None, "", "main", "main,fix"]),
        named=st.sampled_from(NAMED),
        range_of_days=st.sampled_from(RANGES_OF_DAYS),
        colour=st.sampled_from(COLOURS),
        other_names=st.booleans(),
    )


PLAIN = Asked(
    ends=((0, 0), (-1, 0)),
    is_bounded=(False, False),
    filter=None,
    categories=None,
    flags=(False, False, False),
    features="languages,projects",
    listed=None,
    limit=None,
    range="all_time",
    interval=None,
    project="alpha",
    zone=None,
    days=4,
    editor=None,
    source=None,
    branches=None,
    named="current",
    range_of_days="Last 7 Days",
    colour=None,
    other_names=False,
)
"""Everything, without filters."""

NARROW = PLAIN._replace(
    is_bounded=(True, True),
    filter="alpha",
    categories="coding",
    flags=(True, True, True),
    listed="1",
    limit=3,
    interval="today",
    zone="UTC",
    editor="nano",
    source="test_entry",
    branches="main",
    colour="orange",
)
"""Every parameter."""
