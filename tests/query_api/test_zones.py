"""What today is at each bound of a day that is hard to cut, with a clock that the tests set."""

import datetime as dt

import pytest
import sqlalchemy as sa

from query_api.streak import streak_days
from schemas.tables import users
from tests import oracle, oracle_answers, oracle_ranges, oracle_wakatime, zones
from tests.query_api.past import seen
from tests.query_api.world import World, beat

HACKATIME = "/api/hackatime/v1/users/current"
WAKATIME = "/api/compat/wakatime/v1/users/current"
DETAILED = f"{WAKATIME}/statusbar/today"


@pytest.fixture(scope="module")
def lived(tmp_path_factory, databases):
    """For each hard day: its user and key, and their heartbeats around its bounds; counted in two parts."""
    folder = tmp_path_factory.mktemp("zones")
    world = World(folder, databases.new(folder))
    people = {}
    for number, name in enumerate(zones.DAYS):
        zone, date = zones.case(name)
        user, key = world.add_user(f"user{number}", timezone=zone)
        bounds = bounds_of(zone, date)
        sent = [beat(time_us, project) for time_us, project in zones.around(bounds, number)]
        sent += [beat(bounds[1] - 40_000_000_000 + n * 100_000_000) for n in range(10)]  # this day has a streak
        for half in (sent[1::2], sent[::2]):
            world.send(user, half)
        people[name] = user, key, seen(sent)
    yield world, people
    world.close()


def bounds_of(zone, date):
    return zones.bounds_us(zone, date - dt.timedelta(days=1), date + dt.timedelta(days=1))


@pytest.mark.parametrize("name", zones.DAYS)
def test_today_changes_with_the_first_microsecond_of_a_day(lived, name):
    world, people = lived
    user, key, known = people[name]
    zone, date = zones.case(name)
    totals = set()
    for bound in bounds_of(zone, date):
        for world.now_us in (bound - 1, bound, bound + 40_000_000_000):
            expected = oracle.today_seconds(known, zone, world.now_us)
            totals.add(expected)
            bar = world.get(f"{HACKATIME}/statusbar/today", key).json()["data"]["grand_total"]
            assert bar == {"total_seconds": expected, "text": oracle_answers.long_text(expected)}
            assert streak_days(world.app.state.services, user.user_id) == oracle.streak(known, zone, world.now_us)
    assert len(totals) > 1


@pytest.mark.parametrize("name", zones.DAYS)
def test_a_week_and_its_days_end_with_the_day_that_it_is(lived, name):
    world, people = lived
    _, key, known = people[name]
    zone, date = zones.case(name)
    for world.now_us in (oracle_ranges.day_bounds(zone, date)[0] - 1, oracle_ranges.day_bounds(zone, date)[1]):
        today = oracle.local_day(zone, world.now_us)
        week = world.get(f"{HACKATIME}/stats/last_7_days", key).json()["data"]
        expected = oracle_ranges.last_7_days(known, zone, world.now_us)
        shown = ("total_seconds", "daily_average", "days_including_holidays", "projects")
        assert {name: week[name] for name in shown} == {name: expected[name] for name in shown}
        first = today - dt.timedelta(days=2)
        days = world.get(f"{HACKATIME}/summaries", key, params={"start": first, "end": today}).json()
        assert days == oracle_ranges.summaries(known, zone, first, today, today)
        assert world.get(DETAILED, key).json()["data"]["range"] == days["data"][-1]["range"]


@pytest.mark.parametrize("days_since", [6, 7])
@pytest.mark.parametrize("name", zones.DAYS)
def test_weeks_that_begin_with_a_hard_day_or_right_after_it_are_the_oracles(lived, name, days_since):
    """WakaTime's week begins six days ago, Hackatime's seven; where a day was skipped, on a day that is empty."""
    world, people = lived
    user, key, known = people[name]
    zone, date = zones.case(name)
    world.now_us = oracle_ranges.day_bounds(zone, date + dt.timedelta(days=days_since))[1] - 1
    known = [{"category": "coding"} | h for h in known]  # the log leaves it out where it is this
    named = {"user_id": user.user_id, "username": user.username}
    whole = world.get(f"{WAKATIME}/stats/last_7_days", key).json()["data"]
    assert _without_dates(whole) == oracle_wakatime.stats(known, named, zone, "last_7_days", world.now_us)
    days = world.get(f"{WAKATIME}/summaries?range=last_7_days", key)
    assert (days.status_code, days.json()) == oracle_wakatime.summaries_of_range(
        known, zone, "last_7_days", world.now_us
    )
    week = world.get(f"{HACKATIME}/stats/last_7_days", key).json()["data"]
    assert {bound: week[bound] for bound in ("start", "end")} == oracle_ranges.week_bounds(zone, world.now_us)
    assert week["total_seconds"] == oracle_ranges.last_7_days(known, zone, world.now_us)["total_seconds"]
    assert whole["total_seconds"] > 0


def _without_dates(stats):
    return {name: value for name, value in stats.items() if name not in ("created_at", "modified_at")}


@pytest.mark.parametrize(
    "path",
    [
        f"{HACKATIME}/statusbar/today",
        DETAILED,
        f"{HACKATIME}/stats/last_7_days",
        f"{HACKATIME}/summaries?start=yesterday&end=today",
        f"{HACKATIME}/summaries?start=yesterday&end=today&branches=main",
        "/api/v1/users/current/stats",
        "/api/v1/users/current/stats/last_7_days",
        "/api/v1/users/current/all_time_since_today",
        "/api/v1/users/current/heartbeats?date=today",
    ],
)
def test_a_zone_that_tzdata_has_no_longer_has_utcs_days(world, path):
    """An upgrade may bring this about; `heartline verify` names such users."""
    (ann, anns), (bob, bobs) = (world.add_user(name, timezone="UTC") for name in ("ann", "bob"))
    for user in (ann, bob):
        world.send(user, [beat(world.now_us - 30_000_000, branch="main"), beat(world.now_us, branch="main")])
    with world.database.writing() as connection:
        connection.execute(sa.update(users).where(users.c.user_id == bob.user_id).values(timezone="Mars/Olympus"))
    known, unknown = (world.get(path, key) for key in (anns, bobs))
    assert (known.status_code, unknown.status_code) == (200, 200)
    assert shape_of(unknown.json(), "bob", "Mars/Olympus") == shape_of(known.json(), "ann", "UTC")


def shape_of(body, name, zone):
    """An answer without what tells one user from another."""
    own = {"id", "user_id", "ip_address", "created_at"}  # the last: two users, maybe two seconds
    if isinstance(body, dict):
        return {key: shape_of(value, name, zone) for key, value in body.items() if key not in own}
    if isinstance(body, list):
        return [shape_of(item, name, zone) for item in body]
    return {name: "the user", zone: "the zone"}.get(body, body) if isinstance(body, str) else body
