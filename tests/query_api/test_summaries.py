import datetime as dt

import pytest

from tests import oracle, oracle_ranges
from tests.query_api.past import random_past, seen
from tests.query_api.world import DAY, NOON, SECOND, beat, beats

PATH = "/api/hackatime/v1/users/current/summaries"
MIDNIGHT = NOON - DAY // 2
TODAY = dt.date(2025, 6, 15)


def summaries(world, key, start, end, **parameters):
    answered = world.get(PATH, key, params={"start": str(start), "end": str(end)} | parameters)
    assert answered.status_code == 200, answered.text
    return answered.json()


def day_before(days):
    return TODAY - dt.timedelta(days=days)


def test_example_18_a_gap_belongs_to_the_earlier_project(world, ada):
    world.send(ada[0], beats(NOON, 0, 60, 330, project="a"), beat(NOON + 300 * SECOND, project="b"))
    (day,) = summaries(world, ada[1], TODAY, TODAY)["data"]
    assert day["grand_total"]["total_seconds"] == 210
    assert [(p["name"], p["total_seconds"]) for p in day["projects"]] == [("a", 180), ("b", 30)]


def test_a_day_is_said_in_hackatimes_words(world, ada):
    world.send(ada[0], beats(NOON, 0, 60, project="alpha"), beat(NOON + 300 * SECOND, project="beta"))
    total = {
        "total_seconds": 180,
        "hours": 0,
        "minutes": 3,
        "seconds": 0,
        "digital": "00:03:00",
        "decimal": "0.05",
        "text": "3m",
    }
    shown = summaries(world, ada[1], day_before(1), TODAY)
    empty, day = shown["data"]
    assert day == {
        "grand_total": total,
        "branches": [],
        "categories": [],
        "dependencies": [],
        "editors": [],
        "entities": [],
        "languages": [],
        "machines": [],
        "operating_systems": [],
        "projects": [total | {"name": "alpha", "percent": 100.0}],
        "range": {
            "date": "2025-06-15",
            "start": "2025-06-15T00:00:00Z",
            "end": "2025-06-15T23:59:59Z",
            "text": "Today",
            "timezone": "UTC",
        },
    }
    assert (empty["grand_total"]["text"], empty["projects"], empty["range"]["text"]) == ("0s", [], "Yesterday")
    assert shown["cumulative_total"] == {**{k: v for k, v in total.items() if k != "total_seconds"}, "seconds": 180}
    assert shown["daily_average"] == {
        "holidays": 1,
        "days_including_holidays": 2,
        "days_minus_holidays": 1,
        "seconds": 90,
        "seconds_including_other_language": 90,
        "text": "1m 30s",
        "text_including_other_language": "1m 30s",
    }
    assert (shown["start"], shown["end"]) == ("2025-06-14", "2025-06-15")
    (older,) = summaries(world, ada[1], "2025-05-05", "2025-05-05")["data"]
    assert older["range"]["text"] == "May 05, 2025"


def test_no_gap_crosses_a_local_midnight(world):
    user, key = world.add_user("kim", timezone="Asia/Kolkata")
    midnight = MIDNIGHT - 5 * 3600 * SECOND - 1800 * SECOND
    world.send(user, beats(midnight, -90, -30, 30, 150, 400))
    days = summaries(world, key, day_before(1), TODAY)["data"]
    assert [day["grand_total"]["total_seconds"] for day in days] == [60, 240]


def test_those_without_a_name_are_one_entry_called_other(world, ada):
    world.send(ada[0], beats(NOON, 0, 100, project=None), beats(NOON, 50, 150, project=""), beat(NOON + 160 * SECOND))
    (day,) = summaries(world, ada[1], TODAY, TODAY)["data"]
    assert [(p["name"], p["total_seconds"]) for p in day["projects"]] == [("Other", 160)]


@pytest.mark.parametrize("asked", [None, "America/St_Johns", "Pacific/Auckland", "UTC"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("project", [None, "alpha", "alpha/beta", "gone"])
def test_any_past_gives_the_oracles_days_in_any_zone(world, zone, asked, project):
    user, key = world.add_user("kim", timezone=zone)
    past = random_past(13, NOON - 12 * DAY)
    for part in (past[:80], past[80:150], past[150:]):
        world.send(user, part)
        if part[0] is past[80]:
            world.aggregator.flush_now()
    parameters = {name: value for name, value in (("timezone", asked), ("project", project)) if value}
    first, last, shown_zone = day_before(11), day_before(2), asked or zone
    expected = oracle_ranges.summaries(seen(past), shown_zone, first, last, oracle.local_day(shown_zone, NOON), project)
    assert summaries(world, key, first, last, **parameters, branches="") == expected
    assert expected["cumulative_total"]["seconds"] > 0 or project == "gone"


@pytest.mark.parametrize("path", [PATH, PATH.replace("hackatime", "compat/wakatime")])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_the_users_own_days_need_no_single_heartbeat(world, monkeypatch, path, zone):
    def refuse(*_):
        raise AssertionError("the tables answer this")

    user, key = world.add_user("kim", timezone=zone)
    world.send(user, beats(NOON, 0, 100, project="a"), beat(NOON + 50 * SECOND, project="b"))
    monkeypatch.setattr(world.history, "stream", refuse)
    for parameters in ({}, {"timezone": zone}):
        answered = world.get(path, key, params={"start": "2025-06-15", "end": "2025-06-15"} | parameters)
        (day,) = answered.json()["data"]
        assert [(p["name"], p["total_seconds"]) for p in day["projects"]] == [("a", 50), ("b", 50)]


def test_equal_instants_are_in_the_order_of_their_ids(world, ada):
    first, second = beat(NOON, project="a"), beat(NOON, project="b")
    world.send(ada[0], beat(NOON + 60 * SECOND, project="c"), second, first)
    for parameters in ({}, {"timezone": "Asia/Tokyo"}):
        days = summaries(world, ada[1], TODAY, TODAY, **parameters)["data"]
        assert [(p["name"], p["total_seconds"]) for p in days[0]["projects"]] == [("b", 60)]


def test_branches_leave_only_theirs(world, ada):
    world.send(ada[0], beats(NOON, 0, 60, branch="main"), beats(NOON, 30, 100, branch="fix"), beat(NOON, branch=None))
    for branches, total in (("main", 60), ("fix", 70), ("main,fix", 100), ("gone", 0), (",", 100)):
        shown = summaries(world, ada[1], TODAY, TODAY, branches=branches)
        assert shown["cumulative_total"]["seconds"] == total


@pytest.mark.parametrize(
    ("zone", "date", "start", "end"),
    [
        ("Pacific/Auckland", "2025-09-28", "2025-09-27T12:00:00Z", "2025-09-28T10:59:59Z"),
        ("America/St_Johns", "2025-11-02", "2025-11-02T02:30:00Z", "2025-11-03T03:29:59Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T09:59:59Z"),
    ],
)
def test_days_of_other_lengths_show_their_own_bounds(world, ada, zone, date, start, end):
    (day,) = summaries(world, ada[1], date, date, timezone=zone)["data"]
    assert (day["range"]["start"], day["range"]["end"], day["range"]["timezone"]) == (start, end, zone)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"start": "2025-06-10"},
        {"end": "2025-06-10"},
        {"start": "not-a-date", "end": "2025-06-11"},
        {"start": "2025-02-29", "end": "2025-06-11"},
        {"start": "20250610", "end": "2025-06-11"},
        {"start": "٢٠٢٥-06-10", "end": "2025-06-11"},
        {"start": "0001-01-01", "end": "0001-01-01"},
        {"start": "9999-12-31", "end": "9999-12-31"},
        {"start": "2025-06-12", "end": "2025-06-11"},
        {"start": "2024-06-11", "end": "2025-06-12"},
        {"start": "2025-06-11", "end": "2025-06-11", "timezone": "Not/A_Timezone"},
        {"start": "2025-06-11", "end": "2025-06-11", "timezone": "../UTC"},
    ],
)
def test_bad_input_is_a_400(world, ada, parameters):
    refused = world.get(PATH, ada[1], params=parameters)
    assert (refused.status_code, list(refused.json())) == (400, ["error"])


def test_a_leap_year_and_a_day_is_the_most(world, ada):
    assert len(summaries(world, ada[1], "2024-06-11", "2025-06-11")["data"]) == 366


def test_the_key_alone_tells_the_user(world, ada):
    world.send(ada[0], beats(NOON, 0, 30))
    _, other = world.add_user("bob")
    parameters = {"start": "2025-06-15", "end": "2025-06-15"}
    for key, total in ((ada[1], 30), (other, 0)):
        shown = world.get(PATH.replace("current", "ada"), key, params=parameters).json()
        assert shown["cumulative_total"]["seconds"] == total
    assert world.get(PATH, params=parameters).status_code == 401
