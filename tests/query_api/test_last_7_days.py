import pytest

from tests import oracle_ranges
from tests.query_api.past import random_past, seen
from tests.query_api.world import DAY, NOON, SECOND, beat, beats

PATH = "/api/hackatime/v1/users/current/stats/last_7_days"
MIDNIGHT = NOON - DAY // 2


def week(world, key):
    answered = world.get(PATH, key)
    assert answered.status_code == 200, answered.text
    return answered.json()["data"]


def test_everything_is_said_in_hackatimes_words(world, ada):
    world.send(
        ada[0],
        beats(NOON, *range(0, 7201, 100), project="app", language="js", editor="vscode", operating_system="macos"),
        beats(NOON - DAY, 0, 60, project=None, language=None, editor=None, operating_system=None),
    )
    nothing = {
        "hours": 0,
        "minutes": 1,
        "seconds": 0,
        "digital": "0:01:00",
        "text": "0 hrs 1 mins",
        "total_seconds": 60,
    }
    most = {"hours": 2, "minutes": 0, "seconds": 0, "digital": "2:00:00", "text": "2 hrs 0 mins", "total_seconds": 7200}
    shares = [most | {"percent": 99.17}, nothing | {"percent": 0.83}]
    whole = {"hours": 2, "minutes": 3, "seconds": 0, "digital": "2:03:00", "text": "2 hrs 3 mins"}
    # all heartbeats as one sequence: 120 s for the night between the two days
    assert week(world, ada[1]) == {
        "username": "U1",
        "user_id": "U1",
        "start": "2025-06-08T00:00:00Z",
        "end": "2025-06-15T23:59:59Z",
        "status": "ok",
        "total_seconds": 7380,
        "daily_average": 3690.0,
        "days_including_holidays": 2,
        "range": "last_7_days",
        "human_readable_range": "Last 7 Days",
        "human_readable_total": "2 hrs 3 mins",
        "human_readable_daily_average": "1 hrs 1 mins",
        "is_coding_activity_visible": True,
        "is_other_usage_visible": True,
        "editors": [shares[0] | {"name": "VSCode"}, shares[1] | {"name": "unknown"}],
        "languages": [shares[0] | {"name": "JavaScript"}, shares[1] | {"name": "unknown"}],
        "machines": [most | {"total_seconds": 7380, "percent": 100.0, **whole, "name": "unknown"}],
        "projects": [shares[0] | {"name": "app"}, shares[1] | {"name": "unknown"}],
        "operating_systems": [shares[0] | {"name": "macOS"}, shares[1] | {"name": "unknown"}],
        "categories": [{"name": "coding", "total_seconds": 7380, "percent": 100.0, **whole}],
    }


def test_without_heartbeats_the_lists_are_empty_but_for_the_category(world, ada):
    shown = week(world, ada[1])
    assert (shown["total_seconds"], shown["daily_average"], shown["days_including_holidays"]) == (0, 0, 0)
    assert shown["human_readable_total"] == "0 hrs 0 mins"
    assert [shown[name] for name in ("editors", "languages", "machines", "projects", "operating_systems")] == [[]] * 5
    assert [category["total_seconds"] for category in shown["categories"]] == [0]


def test_the_window_begins_with_the_midnight_seven_days_ago_and_ends_with_today(world, ada):
    world.send(
        ada[0],
        beat(MIDNIGHT - 7 * DAY - 1),
        beat(MIDNIGHT - 7 * DAY),
        beat(MIDNIGHT - 7 * DAY + 40 * SECOND),
        beat(MIDNIGHT + DAY - 1),
        beat(MIDNIGHT + DAY),
    )
    shown = week(world, ada[1])
    assert (shown["total_seconds"], shown["days_including_holidays"]) == (160, 2)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Auckland", "Asia/Kathmandu"])
def test_any_past_gives_the_oracles_week_in_any_zone(world, zone):
    user, key = world.add_user("kim", timezone=zone)
    past = random_past(11, NOON - 10 * DAY)
    world.send(user, past[:150])
    world.aggregator.flush_now()
    world.send(user, past[150:])
    shown = week(world, key)
    for name in ("start", "end", "username", "user_id"):
        shown.pop(name)
    expected = oracle_ranges.last_7_days(seen(past), zone, NOON)
    assert shown == expected
    assert expected["total_seconds"] > 3000


def test_the_bounds_are_written_with_the_users_offset(world):
    _, key = world.add_user("kim", timezone="Asia/Kolkata")
    shown = week(world, key)
    assert (shown["start"], shown["end"]) == ("2025-06-08T00:00:00+05:30", "2025-06-15T23:59:59+05:30")
    assert (shown["username"], shown["user_id"]) == ("kim", "1")


def test_the_key_alone_tells_the_user_convicted_ones_included(world, ada):
    red, key = world.add_user("red", trust_level="red")
    world.send(red, beats(NOON, 0, 30))
    for path_id in ("current", "ada", "1"):
        answered = world.get(PATH.replace("current", path_id), key)
        assert answered.json()["data"]["total_seconds"] == 30
    refused = world.get(PATH)
    assert (refused.status_code, refused.json()) == (401, {"error": "Invalid API key"})
