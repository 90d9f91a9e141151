"""Every zone's every change of clocks since 1970, against tzdata's files read by hand."""

import datetime as dt
import zoneinfo

import pytest

from schemas.calendars import UTC_DAYS, date_of, day_period, is_zone, local_calendar, period_at
from tests import oracle, zone_files

FIRST_S, LAST_S = 0, 2_000_000_000
ZONES = sorted(zone for zone in zoneinfo.available_timezones() if is_zone(zone))


def changes_s(zone):
    return [at_s for at_s in zone_files.changes_s(zone) if FIRST_S <= at_s < LAST_S]


def local_starts_us(zone, day):
    """When a day and the next one start."""
    return tuple(zone_files.day_start_s(zone, number) * 1_000_000 for number in (day, day + 1))


def of_days(period):
    return period.start_us, period.end_us


def test_rules_and_changes_are_read_as_they_stand_in_the_files():
    new_york = zone_files.changes_s("America/New_York")
    # 2024-03-10 and 2024-11-03 at 2 o'clock
    assert [at_s for at_s in new_york if 1_704_067_200 <= at_s < 1_735_689_600] == [1_710_054_000, 1_730_613_600]
    assert zone_files.changes_s("Pacific/Apia")[-1] > 1_325_239_200
    assert 1_325_239_200 in zone_files.changes_s("Pacific/Apia")  # where a day was skipped
    assert zone_files.changes_s("Etc/UTC") == []
    assert len(ZONES) > 590
    assert sum(len(changes_s(zone)) for zone in ZONES) > 20_000


@pytest.mark.parametrize("zone", ZONES)
def test_days_beside_every_change_of_clocks_and_days_in_between_are_cut_as_the_files_say(zone):
    calendar = local_calendar(zone)
    beside = {at_s // zone_files.DAY_S + shift for at_s in changes_s(zone) for shift in (-2, -1, 0, 1, 2)}
    for day in beside | set(range(FIRST_S // zone_files.DAY_S, LAST_S // zone_files.DAY_S, 397)):
        assert of_days(day_period(calendar, day)) == local_starts_us(zone, day), date_of(day)


@pytest.mark.parametrize("zone", ZONES)
def test_the_microseconds_around_every_change_of_clocks_lie_in_the_days_that_the_files_say(zone):
    calendar = local_calendar(zone)
    for at_s in changes_s(zone):
        for at_us in (at_s * 1_000_000 - 1, at_s * 1_000_000, at_s * 1_000_000 + 1):
            period = period_at(calendar, at_us)
            start_us, end_us = local_starts_us(zone, period.day)
            assert start_us <= at_us < end_us
            assert of_days(period) == (start_us, end_us)


def test_the_oracle_cuts_days_as_the_files_say():
    for zone in ZONES[::3]:
        for at_s in [at_s for at_s in changes_s(zone) if at_s >= 1_000_000_000][::9]:
            for at_us in (at_s * 1_000_000 - 1, at_s * 1_000_000):
                day = (oracle.local_day(zone, at_us) - dt.date(1970, 1, 1)).days
                start_us, end_us = local_starts_us(zone, day)
                assert start_us <= at_us < end_us, (zone, at_us)


def test_zones_that_share_utcs_rows_have_utcs_clocks():
    shared = [zone for zone in ZONES if local_calendar(zone) == UTC_DAYS]
    assert len(shared) > 5
    assert [zone for zone in shared if {piece.offset_s for piece in zone_files.pieces(zone)} != {0}] == []
