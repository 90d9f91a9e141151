import pytest

from tests import oracle_ranges
from tests.query_api.past import random_past, seen
from tests.query_api.world import DAY, NOON, SECOND, beats

PATH = "/api/v1/users/ada/heartbeats/spans"


def spans(world, **parameters):
    answered = world.get(PATH, params=parameters)
    assert answered.status_code == 200, answered.text
    return answered.json()["spans"]


def test_example_17_a_gap_above_the_cap_cuts_and_a_lone_newest_one_is_dropped(world, ada):
    world.send(ada[0], beats(NOON, 0, 50, 100, 160, 400))
    start = NOON / SECOND
    assert spans(world) == [{"start_time": start, "end_time": start + 280, "duration": 280}]


def test_all_but_the_newest_are_stretched_by_the_cap_lone_ones_too(world, ada):
    world.send(ada[0], beats(NOON, 0, 1000, 1120, 3000, 3010.5))
    assert [(s["start_time"] - NOON / SECOND, s["end_time"] - NOON / SECOND, s["duration"]) for s in spans(world)] == [
        (0, 120, 120),
        (1000, 1240, 240),
        (3000, 3010.5, 10),
    ]


def test_both_ends_of_the_range_are_inclusive(world, ada):
    world.send(ada[0], beats(NOON, 0, 60, 120, 180))
    inside = spans(world, start_date="2025-06-15T12:01:00Z", end_date="2025-06-15T12:02:00Z")
    assert [span["duration"] for span in inside] == [60]


def test_by_default_the_last_ten_years_until_the_end_of_today_count(world, ada):
    world.send(ada[0], beats(NOON - 3700 * DAY, 0, 60), beats(NOON, 0, 60), beats(NOON + DAY, 0, 60))
    assert [span["start_time"] for span in spans(world)] == [NOON / SECOND]


@pytest.mark.parametrize(
    ("parameters", "projects"),
    [
        ({}, None),
        ({"project": "alpha"}, {"alpha"}),
        ({"project": "alpha", "filter_by_project": "beta"}, {"alpha"}),
        ({"filter_by_project": "alpha,beta"}, {"alpha", "beta"}),
        ({"project": "", "filter_by_project": ""}, None),
        ({"project": "gamma"}, {"gamma"}),
    ],
)
def test_any_past_gives_the_oracles_spans(world, ada, parameters, projects):
    past = random_past(3, NOON - 20 * DAY)
    world.send(ada[0], past[:100])
    world.aggregator.flush_now()
    world.send(ada[0], past[100:])
    start, end = NOON - 18 * DAY + 7 * SECOND, NOON - 3 * DAY
    expected = oracle_ranges.spans(seen(past), start, end, projects)
    bounds = {"start_date": "2025-05-28T12:00:07Z", "end_date": "2025-06-12T12:00:00Z"}
    assert spans(world, **bounds, **parameters) == expected
    assert expected or projects == {"gamma"}


@pytest.mark.parametrize("name", ["start_date", "end_date"])
def test_a_date_that_is_none_is_named(world, ada, name):
    refused = world.get(PATH, params={name: "soon"})
    assert (refused.status_code, refused.json()) == (422, {"error": f"Invalid {name}"})
