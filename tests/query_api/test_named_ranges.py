import datetime as dt

import pytest

from query_api.named_ranges import named_dates, range_key

TODAY = dt.date(2024, 2, 29)  # a Thursday


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("today", "2024-02-29", "2024-02-29"),
        ("Yesterday", "2024-02-28", "2024-02-28"),
        ("last_7_days", "2024-02-23", "2024-02-29"),
        ("Last 7 Days", "2024-02-23", "2024-02-29"),
        ("Last 7 Days from Yesterday", "2024-02-22", "2024-02-28"),
        ("last_14_days", "2024-02-16", "2024-02-29"),
        ("last_30_days", "2024-01-31", "2024-02-29"),
        ("This Week", "2024-02-26", "2024-03-03"),
        ("Last Week", "2024-02-19", "2024-02-25"),
        ("this_month", "2024-02-01", "2024-02-29"),
        ("last_month", "2024-01-01", "2024-01-31"),
        ("last_6_months", "2023-08-30", "2024-02-29"),
        ("last_year", "2023-03-01", "2024-02-29"),
        ("This Year", "2024-01-01", "2024-12-31"),
        ("2023", "2023-01-01", "2023-12-31"),
        ("2023-02", "2023-02-01", "2023-02-28"),
    ],
)
def test_a_name_means_days_both_ends_included(name, first, last):
    dates = named_dates(range_key(name), TODAY)
    assert (str(dates.first), str(dates.last)) == (first, last)


@pytest.mark.parametrize(
    ("wakapis", "wakatimes"),
    [
        ("day", "yesterday"),
        ("week", "this_week"),
        ("month", "this_month"),
        ("year", "2024"),
        ("7_days", "last_7_days"),
        ("14_days", "last_14_days"),
        ("30_days", "last_30_days"),
        ("6_months", "last_6_months"),
        ("12_months", "last_year"),
        ("last_12_months", "Last Year"),
    ],
)
def test_wakapis_names_mean_the_same_days(wakapis, wakatimes):
    assert named_dates(range_key(wakapis), TODAY) == named_dates(range_key(wakatimes), TODAY) is not None
    assert range_key("Any") == "all_time"


@pytest.mark.parametrize("name", ["", "soon", "last_8_days", "0000", "9999", "2023-13", "2023-2", "२०२३", "2023-02-01"])
def test_anything_else_means_nothing(name):
    assert named_dates(range_key(name), TODAY) is None
