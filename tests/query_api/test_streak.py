"""Days in a row, in the user's own zone (semantics.md, section 4)."""

import datetime as dt

import pytest

from query_api.streak import count_back, streak_days
from tests import oracle
from tests.query_api.world import DAY, NOON, SECOND, beats

ENOUGH = range(0, 901, 100)


def streak(world, user):
    return streak_days(world.app.state.services, user.user_id)


def test_days_before_a_gap_do_not_count():
    assert count_back({7, 8, 9, 10, 5}.__contains__, 10) == 4
    assert count_back({7, 8, 9, 5}.__contains__, 10) == 3
    assert count_back({7, 8}.__contains__, 10) == 0
    assert count_back(set().__contains__, 10) == 0


def test_a_day_needs_fifteen_minutes_of_its_own(world, ada):
    user, _ = ada
    assert streak(world, user) == 0
    world.send(user, beats(NOON - 2 * 3600 * SECOND, *range(0, 900, 100), 899.9))
    assert streak(world, user) == 0
    world.send(user, beats(NOON - 2 * 3600 * SECOND, 900))
    assert streak(world, user) == 1


def test_today_may_still_be_missing_but_yesterday_may_not(world, ada):
    user, _ = ada
    world.send(user, *(beats(NOON - day * DAY, *ENOUGH) for day in (1, 2, 4)))
    assert streak(world, user) == 2
    world.now_us += DAY
    assert streak(world, user) == 0


def test_browsing_and_what_is_still_to_come_do_not_count(world, ada):
    user, _ = ada
    world.send(user, beats(NOON - DAY, *ENOUGH, category="Browsing"))
    assert streak(world, user) == 0
    world.send(user, beats(NOON - 850 * SECOND, *ENOUGH))
    assert streak(world, user) == 0
    world.now_us += 50 * SECOND
    assert streak(world, user) == 1


def test_of_a_day_that_is_partly_to_come_browsing_does_not_count_either(world, ada):
    user, _ = ada
    world.send(user, beats(NOON - 900 * SECOND, *ENOUGH, category="browsing"), beats(NOON + 600 * SECOND, *ENOUGH))
    assert streak(world, user) == 0


def test_nothing_older_than_31_days_counts(world, ada):
    user, _ = ada
    world.send(user, *(beats(NOON - day * DAY - 1800 * SECOND, *ENOUGH) for day in range(40)))
    assert streak(world, user) == 31
    world.now_us -= 3600 * SECOND  # then the 32nd day's quarter of an hour is within 31 days, and today's is not yet
    assert streak(world, user) == 31


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "Pacific/Auckland", "UTC"])
def test_days_are_those_of_the_users_zone(world, zone):
    user, _ = world.add_user("bob", timezone=zone)
    sent = [beats(NOON - number * 20 * 3600 * SECOND - 7 * 3600 * SECOND, *ENOUGH) for number in range(30)]
    world.send(user, *sent)
    known = [{"time_us": h.time_us, "category": h.category} for part in sent for h in part]
    for _ in range(12):
        assert streak(world, user) == oracle.streak(known, zone, world.now_us)
        world.now_us -= 13 * 3600 * SECOND
    assert dt.timedelta(microseconds=NOON - world.now_us) > dt.timedelta(days=6)
