import datetime as dt

import pytest

from tests import oracle, oracle_ranges
from tests.query_api.past import random_past, seen
from tests.query_api.world import DAY, NOON, beats

PATH = "/api/summary"


def summary(world, **parameters):
    answered = world.get(PATH, params=parameters)
    assert answered.status_code == 200, answered.text
    return answered.json()


@pytest.mark.parametrize(("start", "end"), [("start", "end"), ("from", "to")])
def test_any_past_gives_the_oracles_totals_of_whole_utc_days(world, ada, start, end):
    past = random_past(7, NOON - 20 * DAY)
    world.send(ada[0], past)
    inside = oracle_ranges.in_dates(seen(past), "UTC", dt.date(2025, 5, 30), dt.date(2025, 6, 12))
    assert summary(world, user_id="ada", **{start: "2025-05-30", end: "2025-06-12"}) == {
        "user_id": "ada",
        "from": "2025-05-30T00:00:00Z",
        "to": "2025-06-12T23:59:59Z",
        "projects": oracle_ranges.key_totals(inside, "project"),
        "languages": oracle_ranges.key_totals(inside, "language", oracle_ranges.LANGUAGES),
        "editors": oracle_ranges.key_totals(inside, "editor", oracle_ranges.EDITORS),
        "operating_systems": oracle_ranges.key_totals(inside, "operating_system", oracle_ranges.SYSTEMS),
        "machines": oracle_ranges.key_totals(inside, "machine"),
        "categories": [{"key": "coding", "total": oracle.total_seconds(inside)}],
        "branches": [],
        "entities": [],
        "labels": [],
    }


@pytest.mark.parametrize(
    ("interval", "first", "last"),
    [
        ("today", "2025-06-15", "2025-06-15"),
        ("yesterday", "2025-06-14", "2025-06-14"),
        ("week", "2025-06-09", "2025-06-15"),
        ("7_days", "2025-06-09", "2025-06-15"),
        ("last_7_days", "2025-06-08", "2025-06-15"),
        ("month", "2025-06-01", "2025-06-30"),
        ("last_30_days", "2025-05-16", "2025-06-15"),
        ("6_months", "2025-01-01", "2025-06-30"),
        ("last_6_months", "2024-12-15", "2025-06-15"),
        ("year", "2025-01-01", "2025-12-31"),
        ("last_year", "2024-06-15", "2025-06-15"),
        ("all_time", "1970-01-01", "2025-06-15"),
        ("any", "1970-01-01", "2025-06-15"),
        ("whatever", "2025-06-15", "2025-06-15"),
        ("", "1970-01-01", "2025-06-15"),
    ],
)
def test_intervals_are_whole_utc_days(world, ada, interval, first, last):
    edges = [int(dt.datetime.fromisoformat(f"{date}T00:00:00Z").timestamp()) * 1_000_000 for date in (first, last)]
    if first != "1970-01-01":
        world.send(ada[0], beats(edges[0] - 1, 0, project="before"), beats(edges[0], 0, project="first"))
    world.send(ada[0], beats(edges[1] + DAY - 1, 0, project="last"), beats(edges[1] + DAY, 0, project="after"))
    for name in ("interval", "range"):
        shown = summary(world, user="ada", **{name: interval})
        assert (shown["from"], shown["to"]) == (f"{first}T00:00:00Z", f"{last}T23:59:59Z")
        expected = {"last"} if first == "1970-01-01" else {"first", "last"}
        assert {project["key"] for project in shown["projects"]} == expected


def test_one_date_alone_is_no_range(world, ada):
    assert summary(world, user_id="ada", interval="today", start="2020-01-01")["from"] == "2025-06-15T00:00:00Z"


def test_no_user_is_a_400_and_so_are_dates_that_are_none(world, ada):
    missing = world.get(PATH, ada[1])
    assert (missing.status_code, missing.json()) == (400, {"error": "Missing required parameter: user_id"})
    wrong = world.get(PATH, params={"user_id": "ada", "start": "soon", "end": "2025-06-12"})
    assert (wrong.status_code, wrong.json()) == (400, {"error": "Invalid date range"})
    unknown = world.get(PATH, params={"user_id": "nobody"})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "User not found"})
