"""Days and months as intervals of instants, against local dates by zoneinfo and the oracle's brute force."""

import datetime as dt
import functools
import io
import os
import subprocess
import sys
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calendars import (
    DAY_US,
    LIFETIME,
    UTC_DAYS,
    UTC_MONTHS,
    date_of,
    day_number,
    day_period,
    is_zone,
    local_calendar,
    month_of,
    period_at,
)
from tests import oracle

FIRST_US, LAST_US = 1_000_000_000_000_000, 1_999_999_999_999_999
YEARS_S = int(dt.datetime(2038, 1, 1, tzinfo=dt.UTC).timestamp())
ALIASES = {"localtime", "posixrules", "Factory"}
ZONES = sorted(zoneinfo.available_timezones() - ALIASES)
INTERESTING = [
    "America/St_Johns",
    "America/Havana",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Asia/Gaza",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "America/Los_Angeles",
    "UTC",
]


def utc_us(year, month, day, hour=0, minute=0):
    return int(dt.datetime(year, month, day, hour, minute, tzinfo=dt.UTC).timestamp()) * 10**6


def bounds(zone, date):
    period = day_period(local_calendar(zone), day_number(date))
    return period.start_us, period.end_us


@functools.cache
def changes_us(zone):
    """The instants from 1970 to 2037 at which the zone's clocks change.

    No zone has changed its clocks and changed them back within a day.
    """
    return _changes_us(oracle.zone_data(zone))


@functools.cache
def _changes_us(data):
    """The same for the bytes of a zone's file: many names have one file."""
    tz = zoneinfo.ZoneInfo.from_file(io.BytesIO(data))

    def offset(at_s):
        return dt.datetime.fromtimestamp(at_s, tz).utcoffset()

    found, before = [], offset(0)
    for late in range(86_400, YEARS_S, 86_400):
        if before != (after := offset(late)):
            found.append(_first_second(lambda at_s, before=before: offset(at_s) != before, late - 86_400, late) * 10**6)
        before = after
    return found


def _first_second(holds, early, late):
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (early, middle) if holds(middle) else (middle, late)
    return late


@st.composite
def zoned_instants(draw):
    """An instant of a zone: any, or within a day of a change of its clocks, often at a whole hour or beside one."""
    zone = draw(st.sampled_from(INTERESTING) | st.sampled_from(ZONES))
    centre = st.sampled_from(changes_us(zone)) if changes_us(zone) else st.integers(FIRST_US, LAST_US)
    at_us = draw(st.integers(FIRST_US, LAST_US) | centre)
    at_us += draw(st.integers(-48, 48)) * 30 * 60_000_000 + draw(st.sampled_from([-60_000_000, -1, 0, 1, 60_000_000]))
    return zone, at_us


@pytest.mark.parametrize(
    ("zone", "date", "start_s", "end_s"),
    [
        ("Pacific/Auckland", dt.date(2025, 9, 28), 1758974400, 1759057200),
        ("America/St_Johns", dt.date(2025, 11, 2), 1762050600, 1762140600),
    ],
)
def test_worked_example_20(zone, date, start_s, end_s):
    assert bounds(zone, date) == (start_s * 10**6, end_s * 10**6)


def test_the_day_that_samoa_skipped_is_empty():
    jump = utc_us(2011, 12, 30, 10)
    assert bounds("Pacific/Apia", dt.date(2011, 12, 29)) == (jump - DAY_US, jump)
    assert bounds("Pacific/Apia", dt.date(2011, 12, 30)) == (jump, jump)
    assert bounds("Pacific/Apia", dt.date(2011, 12, 31)) == (jump, jump + DAY_US)


def test_the_hour_that_st_johns_brought_back_stays_with_the_day_before():
    # At 00:01 on 2010-11-07 (02:31 UTC) clocks went back to 23:01 on the 6th; the 7th began an hour after midnight.
    begin = utc_us(2010, 11, 7, 3, 30)
    assert bounds("America/St_Johns", dt.date(2010, 11, 6)) == (utc_us(2010, 11, 6, 2, 30), begin)
    assert bounds("America/St_Johns", dt.date(2010, 11, 7)) == (begin, utc_us(2010, 11, 8, 3, 30))


def test_st_johns_spring_at_one_past_midnight_shortens_that_day():
    # At 00:01 on 2011-03-13 clocks went on to 01:01.
    expected = utc_us(2011, 3, 13, 3, 30), utc_us(2011, 3, 14, 2, 30)
    assert bounds("America/St_Johns", dt.date(2011, 3, 13)) == expected


def test_havanas_midnight_that_does_not_exist_begins_the_day_with_the_jump():
    # 2024-03-10: 00:00 became 01:00.
    expected = utc_us(2024, 3, 10, 5), utc_us(2024, 3, 11, 4)
    assert bounds("America/Havana", dt.date(2024, 3, 10)) == expected


def test_a_jump_over_midnight_that_begins_before_it_begins_the_day():
    # Toronto, 1919-03-30: 23:30 was followed by 00:30. Dates since 1900 can be asked for.
    jump = int(dt.datetime(1919, 3, 31, 4, 30, tzinfo=dt.UTC).timestamp()) * 1_000_000
    assert bounds("America/Toronto", dt.date(1919, 3, 30)) == (jump - DAY_US * 23 // 24 - DAY_US // 48, jump)
    assert bounds("America/Toronto", dt.date(1919, 3, 31))[0] == jump


def test_havanas_repeated_midnight_begins_the_day_once():
    # 2024-11-03: 01:00 became 00:00 again; the local date never went back, so the day begins with the first midnight.
    expected = utc_us(2024, 11, 3, 4), utc_us(2024, 11, 4, 5)
    assert bounds("America/Havana", dt.date(2024, 11, 3)) == expected


@given(zoned_instants())
def test_an_instants_local_day_is_the_oracles(zoned):
    zone, at_us = zoned
    period = period_at(local_calendar(zone), at_us)
    assert date_of(period.day) == oracle.local_day(zone, at_us)
    assert period.start_us <= at_us < period.end_us
    assert period == day_period(local_calendar(zone), period.day)


@given(zoned_instants())
def test_no_instant_from_a_days_start_on_has_an_earlier_local_date_and_the_one_before_has(zoned):
    zone, at_us = zoned
    period = period_at(local_calendar(zone), at_us)
    date = date_of(period.day)
    assert oracle.local_date(zone, period.start_us - 1) < date
    for minutes in range(4 * 60):
        assert oracle.local_date(zone, period.start_us + minutes * 60_000_000) >= date


def days_beside_changes(zone):
    """Numbers of the days beside a change of the zone's clocks, and of one day without."""
    return sorted({at // DAY_US + shift for at in changes_us(zone) for shift in (-1, 0, 1)} | {20_000})


@pytest.mark.parametrize("zone", ZONES)
def test_local_days_tile_time_without_gap_or_overlap(zone):
    calendar = local_calendar(zone)
    for day in days_beside_changes(zone):
        period, following = day_period(calendar, day), day_period(calendar, day + 1)
        assert period.start_us <= period.end_us == following.start_us
        for at_us in {period.start_us, period.end_us - 1} if period.start_us < period.end_us else ():
            assert period_at(calendar, at_us) == period


def test_clocks_go_back_by_three_hours_at_most_where_heartbeats_are():
    """What the oracle counts on."""
    most = dt.timedelta(hours=3)
    for zone in ZONES:
        for at in (at for at in changes_us(zone) if at >= FIRST_US):
            assert local_offset(zone, at) - local_offset(zone, at - 1) >= -most, (zone, at)


def local_offset(zone, at_us):
    return dt.datetime.fromtimestamp(at_us // 1_000_000, zoneinfo.ZoneInfo(zone)).utcoffset()


@given(st.integers(FIRST_US, LAST_US) | st.integers(11_574, 23_148).map(lambda day: day * DAY_US))
def test_utc_days_and_months_hold_their_instants(at_us):
    for instant in (at_us - 1, at_us):
        date = oracle.utc_day(instant)
        day, month = period_at(UTC_DAYS, instant), period_at(UTC_MONTHS, instant)
        assert (date_of(day.day), day.end_us - day.start_us) == (date, DAY_US)
        assert date_of(month.day) == date.replace(day=1)
        for period in (day, month):
            assert period.start_us <= instant < period.end_us
        following = oracle.utc_day(month.end_us)
        assert (following.day, (following - date_of(month.day)).days) == (1, (month.end_us - month.start_us) // DAY_US)
        assert month == month_of(day.day)


def test_a_lifetime_is_one_period():
    first, last = period_at(LIFETIME, FIRST_US), period_at(LIFETIME, LAST_US)
    assert first == last
    assert first.day == 0
    assert first.start_us < FIRST_US < LAST_US < first.end_us


def test_zones_whose_days_are_utcs_share_its_rows():
    assert {local_calendar(zone) for zone in ("UTC", "Etc/UTC", "Zulu")} == {UTC_DAYS}
    assert local_calendar("Asia/Kolkata") == "Asia/Kolkata"


def test_zones_are_those_of_the_pinned_data():
    assert all(is_zone(zone) for zone in ZONES)
    refused = ("", "utc ", "Mars/Olympus", "../etc/passwd", "posixrules", "localtime", "Asia/Kolkata\0")
    assert not any(is_zone(name) for name in refused)


def test_zone_files_of_the_machine_are_never_asked(tmp_path):
    """Two machines whose systems are of different age still cut the same days."""
    (tmp_path / "Asia").mkdir()
    (tmp_path / "Asia" / "Kolkata").write_bytes(oracle.zone_data("America/New_York"))
    ask = "from schemas.calendars import day_period; print(day_period('Asia/Kolkata', 19_849).start_us)"
    done = subprocess.run(
        [sys.executable, "-c", ask],
        env=os.environ | {"PYTHONTZPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == (19_849 * 86_400 - 19_800) * 1_000_000
