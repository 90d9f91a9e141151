"""The oracle itself, against the worked examples of semantics.md, section 6, by their numbers there."""

import datetime as dt

import pytest

from tests import oracle, oracle_answers
from tests.worked_examples import EXAMPLES, beats

BASE_US = 1_700_000_000_000_000


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_the_oracle_gives_the_worked_examples_figures(example):
    heartbeats = beats(example.offsets, BASE_US)
    assert oracle.total_seconds(heartbeats) == example.total
    for field, expected in example.groups.items():
        assert oracle.group_seconds(heartbeats, field) == expected


def test_a_range_is_measured_by_itself():  # example 16
    heartbeats = beats("0 50 100 160 400", BASE_US)

    def in_range(a, b):
        return oracle.total_seconds(oracle.between(heartbeats, BASE_US + a * 10**6, BASE_US + b * 10**6))

    assert [in_range(60, 200), in_range(60, 160), in_range(161, 401), in_range(500, 600)] == [60, 0, 0, 0]


def test_days_of_kolkata_are_measured_apart_and_one_utc_day_holds_them_all():  # example 19
    midnight_us = int(dt.datetime(2024, 3, 4, 18, 30, tzinfo=dt.UTC).timestamp()) * 10**6
    heartbeats = beats("-90 -30 30 150 400", midnight_us)
    assert oracle.total_seconds(heartbeats) == 360
    assert oracle.day_seconds(heartbeats, "Asia/Kolkata") == {dt.date(2024, 3, 4): 60, dt.date(2024, 3, 5): 240}
    assert oracle.day_seconds(heartbeats, "UTC") == {dt.date(2024, 3, 4): 360}


@pytest.mark.parametrize(
    ("zone", "date", "start", "end"),
    [
        ("Pacific/Auckland", dt.date(2025, 9, 28), 1758974400, 1759057200),
        ("America/St_Johns", dt.date(2025, 11, 2), 1762050600, 1762140600),
    ],
)
def test_days_of_23_and_25_hours_have_the_bounds_of_the_worked_example(zone, date, start, end):  # example 20
    instants = [start * 10**6 - 1, start * 10**6, end * 10**6 - 1, end * 10**6]
    day = dt.timedelta(days=1)
    assert [oracle.local_day(zone, at) for at in instants] == [date - day, date, date, date + day]


def test_an_hour_that_clocks_bring_back_from_over_midnight_belongs_to_the_day_before():
    # St John's 2010-11-07 00:01 NDT (02:31 UTC) went back to 23:01 of the 6th.
    back_us = int(dt.datetime(2010, 11, 7, 2, 31, tzinfo=dt.UTC).timestamp()) * 10**6
    zone, sixth = "America/St_Johns", dt.date(2010, 11, 6)
    assert oracle.local_date(zone, back_us - 1) == dt.date(2010, 11, 7)
    assert oracle.local_day(zone, back_us - 1) == sixth
    assert oracle.local_day(zone, back_us + 59 * 60 * 10**6 - 1) == sixth
    assert oracle.local_day(zone, back_us + 59 * 60 * 10**6) == dt.date(2010, 11, 7)


def test_samoas_skipped_day_holds_nothing():
    zone = "Pacific/Apia"  # 2011-12-30 did not happen there
    jump_us = int(dt.datetime(2011, 12, 30, 10, 0, tzinfo=dt.UTC).timestamp()) * 10**6
    assert oracle.local_day(zone, jump_us - 1) == dt.date(2011, 12, 29)
    assert oracle.local_day(zone, jump_us) == dt.date(2011, 12, 31)


@pytest.mark.parametrize(
    ("duration_us", "expected"),
    [(499_999, 0), (500_000, 0), (500_001, 1), (1_500_000, 2), (2_500_000, 2), (30_750_000, 31), (31_200_000, 31)],
)
def test_seconds_are_rounded_once_half_to_even(duration_us, expected):
    assert oracle.seconds(duration_us) == expected


@pytest.mark.parametrize(
    ("total", "long", "short"),
    [
        (0, "0 secs", "Start coding!"),
        (1, "1 sec", "0m"),
        (59, "59 secs", "0m"),
        (60, "1 min", "1m"),
        (3599, "59 mins", "59m"),
        (3600, "1 hr", "1h"),
        (3660, "1 hr 1 min", "1h 1m"),
        (7200, "2 hrs", "2h"),
        (90060, "25 hrs 1 min", "25h 1m"),
    ],
)
def test_texts_have_the_wording_of_the_table(total, long, short):
    assert oracle_answers.long_text(total) == long
    assert oracle_answers.short_statusbar_text(total) == short


@pytest.mark.parametrize(
    ("seconds_ago", "expected"),
    [
        (0, "less than a minute ago"),
        (29, "less than a minute ago"),
        (30, "1 minute ago"),
        (300, "5 minutes ago"),
        (44 * 60 + 29, "44 minutes ago"),
        (44 * 60 + 30, "about 1 hour ago"),
        (2 * 3600, "about 2 hours ago"),
        (24 * 3600, "1 day ago"),
        (3 * 86400, "3 days ago"),
        (31 * 86400, "about 1 month ago"),
        (100 * 86400, "3 months ago"),
        (366 * 86400, "about 1 year ago"),
        (500 * 86400, "over 1 year ago"),
        (700 * 86400, "almost 2 years ago"),
    ],
)
def test_time_ago_has_rails_wording(seconds_ago, expected):
    now_us = int(dt.datetime(2026, 2, 1, tzinfo=dt.UTC).timestamp()) * 10**6
    assert oracle_answers.time_ago(now_us - seconds_ago * 10**6, now_us) == expected


def test_a_repeat_is_accepted_once_and_order_does_not_matter():
    a, b = beats("0 60", BASE_US)
    assert oracle.accepted([b, a, b]) == [a, b]


def test_a_window_lists_the_newest_ascending_and_measures_all():
    heartbeats = beats("0 60 90 100", BASE_US)
    answer = oracle.window(heartbeats, BASE_US, BASE_US + 90 * 10**6, limit=2)
    assert answer == {"total_seconds": 90, "ids": [2, 3]}


def test_stats_show_both_shapes():
    user = {"user_id": 7, "username": "ann", "trust_level": "blue", "trust_value": 0}
    heartbeats = beats("0a 3700a 60b", BASE_US)
    end_us = BASE_US + 2 * oracle.DAY_US
    answer = oracle_answers.stats(heartbeats, user, BASE_US, end_us, ("projects",))
    assert answer["total_seconds"] == 180
    assert answer["projects"] == [{"name": "a", "seconds": 120}, {"name": "b", "seconds": 0}]
    assert answer["data"]["projects"][0] == {
        "name": "a",
        "total_seconds": 120,
        "text": "2m",
        "hours": 0,
        "minutes": 2,
        "percent": 66.67,
        "digital": "00:02:00",
    }
    assert answer["data"]["daily_average"] == 90
    assert answer["data"]["human_readable_total"] == "3m"
    assert "languages" not in answer["data"]
