"""Instants of today that stay today however long a test runs."""

import datetime as dt
import time
import zoneinfo


def quiet_zone(*candidates):
    """Pick a zone where it is between 2 and 22 o'clock now: no midnight comes near while a test runs."""
    for name in candidates:
        if 2 <= dt.datetime.now(zoneinfo.ZoneInfo(name)).hour < 22:
            return name
    raise AssertionError(f"it is night in all of {candidates}")


UTC_OR_FAR = ("UTC", "Asia/Tokyo")
NOT_UTC = ("Asia/Kolkata", "America/Los_Angeles")


def midnight_s(zone):
    """Seconds since the epoch at the start of the zone's day that it is now."""
    now = dt.datetime.now(zoneinfo.ZoneInfo(zone))
    return int(now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp())


def wait_for_a_quiet_moment(zone):
    """Return at once, or after midnight where that is less than two minutes away: about one run in a thousand."""
    while (left_s := midnight_s(zone) + 86_400 - time.time()) < 120:
        time.sleep(left_s + 1)
