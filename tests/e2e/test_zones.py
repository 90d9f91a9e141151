"""Local days of many zones over HTTP: summaries of the past, status bar and the like of today (design.md)."""

import datetime as dt
import time

import pytest

from tests import oracle, oracle_answers, oracle_ranges, zones
from tests.e2e.history import beat, seen
from tests.server import HACKATIME, eventually

SUMMARIES = f"{HACKATIME}/users/current/summaries"
NOW = (
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Marquesas",
    "Pacific/Kiritimati",
    "Pacific/Niue",
    "America/St_Johns",
    "Africa/Casablanca",
)
"""Zones whose day it is at another time than elsewhere."""


def accounts_of(server, wanted_zones, prefix):
    """One new user a zone, known to the server."""
    accounts = server.import_users(
        [{"username": f"{prefix}-{n}", "timezone": zone} for n, zone in enumerate(wanted_zones)]
    )
    for account in accounts:
        known = eventually(lambda account=account: account.get(f"{HACKATIME}/users/current").status_code, 200)
        assert known == 200
    return accounts


def send_all(account, instants):
    """Send (time_us, project) in bulks; return them as the oracle takes them."""
    answered = []
    for start in range(0, len(instants), 50):
        beats = [beat(time_us / 1_000_000, project=project) for time_us, project in instants[start : start + 50]]
        answered += account.send(*beats, settle=False)
    known = seen(answered)
    assert [h["time_us"] for h in known] == [time_us for time_us, _ in instants]
    return known


@pytest.fixture(scope="module")
def hard_days(server):
    """For each hard day: its user, and their heartbeats around its bounds and those of its neighbours."""
    made = {}
    accounts = accounts_of(server, [zone for zone, _ in zones.DAYS.values()], "hard-day")
    for seed, (name, account) in enumerate(zip(zones.DAYS, accounts, strict=True)):
        zone, date = zones.case(name)
        bounds = zones.bounds_us(zone, date - dt.timedelta(days=1), date + dt.timedelta(days=1))
        made[name] = account, send_all(account, zones.around(bounds, seed))
    server.settle()
    return made


def asked_around(account, date, **params):
    first, last = date - dt.timedelta(days=3), date + dt.timedelta(days=3)
    response = account.get(SUMMARIES, start=first, end=last, **params)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("name", zones.DAYS)
def test_a_hard_day_and_its_neighbours_equal_the_oracle(hard_days, name):
    account, answered = hard_days[name]
    zone, date = zones.case(name)
    first, last = date - dt.timedelta(days=3), date + dt.timedelta(days=3)
    today = oracle.local_day(zone, time.time_ns() // 1000)
    for project in (None, "alpha"):
        named = {"project": project} if project else {}
        expected = oracle_ranges.summaries(answered, zone, first, last, today, project)
        assert asked_around(account, date, **named) == expected
        assert expected["cumulative_total"]["seconds"] > 300


@pytest.mark.parametrize("name", zones.DAYS)
def test_a_range_that_begins_and_ends_with_a_local_day_holds_its_first_and_last_microsecond(hard_days, name):
    account, answered = hard_days[name]
    zone, date = zones.case(name)
    start_us, end_us = oracle_ranges.day_bounds(zone, date)
    for start, end in ((start_us, end_us), (start_us + 1, end_us), (start_us, end_us - 1), (start_us - 1, end_us + 1)):
        bounds = {"start_date": _decimal(start), "end_date": _decimal(end)}
        assert account.total(**bounds) == oracle.total_seconds(oracle.between(oracle.accepted(answered), start, end))


def test_hard_days_stay_as_they_were_in_parquet(server, hard_days):
    def answers():
        return {name: asked_around(account, zones.case(name)[1]) for name, (account, _) in hard_days.items()}

    before = answers()
    server.cli("flush")
    assert answers() == before
    for account, answered in hard_days.values():
        listed = account.heartbeats(start="2001-09-09", end="2030-01-01")["heartbeats"]
        assert [h["id"] for h in listed] == [h["id"] for h in oracle.accepted(answered)]


def test_today_is_cut_at_each_zones_own_midnights(server):
    accounts = accounts_of(server, NOW, "now")
    sent = {}
    for seed, account in enumerate(accounts):
        today = oracle.local_day(account.timezone, time.time_ns() // 1000)
        bounds = zones.bounds_us(account.timezone, today - dt.timedelta(days=7), today + dt.timedelta(days=1))
        worked = [(bounds[-4] + 40_000_000_000 + n * 100_000_000, "gamma") for n in range(12)]  # yesterday counts
        sent[account.timezone] = send_all(account, zones.around(bounds, seed) + worked)
    server.settle()
    for account in accounts:
        assert_today_is_the_oracles(account, sent[account.timezone])


def assert_today_is_the_oracles(account, answered):
    """Read again where a midnight went by between the readings."""
    zone = account.timezone
    known = oracle.accepted(answered)
    while True:
        now_us = time.time_ns() // 1000
        today = oracle.local_day(zone, now_us)
        shown = account.statusbar(), account.stats()["data"]["streak"], week_of(account), today_of(account, today)
        if oracle.local_day(zone, time.time_ns() // 1000) == today:
            break
    seconds = oracle.today_seconds(known, zone, now_us)
    assert shown[0] == {"total_seconds": seconds, "text": oracle_answers.long_text(seconds)}
    assert shown[1] == oracle.streak(known, zone, now_us) >= 1
    expected = oracle_ranges.last_7_days(known, zone, now_us)
    assert shown[2] == {name: expected[name] for name in shown[2]}
    assert shown[3] == oracle_ranges.summaries(known, zone, today, today, today)


def week_of(account):
    data = account.get(f"{HACKATIME}/users/current/stats/last_7_days").json()["data"]
    return {name: data[name] for name in ("total_seconds", "daily_average", "days_including_holidays", "projects")}


def today_of(account, today):
    return account.get(SUMMARIES, start=today, end=today).json()


def _decimal(time_us):
    return f"{time_us // 1_000_000}.{time_us % 1_000_000:06d}"
