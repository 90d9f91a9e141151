from urllib.parse import quote

import pytest

from schemas.normalise import MAX_KEY_BYTES
from tests import oracle_ranges
from tests.query_api.past import random_past, seen
from tests.query_api.world import DAY, NOON, SECOND, beat, beats

USER = "/api/v1/users/ada"


def answer(world, path, **parameters):
    answered = world.get(USER + path, params=parameters)
    assert answered.status_code == 200, answered.text
    return answered.json()


def test_projects_are_those_of_the_last_thirty_days_and_have_a_name(world, ada):
    midnight = NOON - DAY // 2
    world.send(
        ada[0],
        beat(midnight - 30 * DAY - 1, project="too old"),
        beat(midnight - 30 * DAY, project="just"),
        beat(NOON, project="now"),
        beat(NOON, project=None),
        beat(NOON, project=""),
        beat(NOON + 1, project="to come"),
    )
    assert answer(world, "/projects") == {"projects": ["just", "now"]}


@pytest.mark.parametrize(("since", "until"), [("since", "until"), ("start", "end"), ("start_date", "end_date")])
def test_projects_of_any_range_are_named_both_ends_included(world, ada, since, until):
    world.send(
        ada[0],
        *(beat(NOON - 100 * DAY + i * SECOND, project=f"p{i}") for i in range(4)),
    )
    bounds = {since: "2025-03-07T12:00:01Z", until: "2025-03-07T12:00:02Z"}
    assert answer(world, "/projects", **bounds) == {"projects": ["p1", "p2"]}


def test_details_describe_each_project_the_one_with_the_most_time_first(world, ada):
    world.send(
        ada[0],
        beats(NOON - DAY, 0, 60, 100.5, project="app", language="Rust"),
        beat(NOON - DAY + 30 * SECOND, project="app", language=None),
        beat(NOON - DAY + 31 * SECOND, project="app", language="Ada"),
        beats(NOON - 2 * DAY, 0, 900, project="site", language=None),
        beat(NOON, project=None),
    )
    assert answer(world, "/projects/details")["projects"] == [
        {
            "name": "site",
            "total_seconds": 120,
            "languages": [],
            "repo_url": None,
            "total_heartbeats": 2,
            "first_heartbeat": "2025-06-13T12:00:00Z",
            "last_heartbeat": "2025-06-13T12:15:00Z",
            "most_recent_heartbeat": "2025-06-13T12:15:00Z",
            "archived": False,
        },
        {
            "name": "app",
            "total_seconds": 100,  # 100.5, half to even
            "languages": ["Ada", "Rust"],
            "repo_url": None,
            "total_heartbeats": 5,
            "first_heartbeat": "2025-06-14T12:00:00Z",
            "last_heartbeat": "2025-06-14T12:01:40Z",
            "most_recent_heartbeat": "2025-06-14T12:01:40Z",
            "archived": False,
        },
    ]


@pytest.mark.parametrize("split", [0, 60, 200])
def test_details_of_any_past_equal_the_oracle(world, ada, split):
    past = random_past(5, NOON - 20 * DAY)
    if split:
        world.send(ada[0], past[:split])
        world.aggregator.flush_now()
    if past[split:]:
        world.send(ada[0], past[split:])
    bounds = {"start": "2025-05-28T12:00:07Z", "end": "2025-06-12T12:00:00Z"}
    expected = oracle_ranges.project_details(seen(past), NOON - 18 * DAY + 7 * SECOND, NOON - 3 * DAY)
    assert len(expected) == 3
    assert answer(world, "/projects/details", **bounds) == {"projects": expected}
    for project in expected:
        assert answer(world, f"/project/{project['name']}", **bounds) == project


def test_details_are_of_the_last_year_unless_asked_otherwise(world, ada):
    world.send(ada[0], beat(NOON - 366 * DAY, project="old"), beat(NOON - 364 * DAY, project="new"))
    assert [p["name"] for p in answer(world, "/projects/details")["projects"]] == ["new"]
    assert [p["name"] for p in answer(world, "/projects/details", start="2020-01-01")["projects"]] == ["new", "old"]


def test_details_of_some_projects_alone(world, ada):
    world.send(ada[0], *(beat(NOON, project=name) for name in ("a", "ab", "b c", "d")))
    shown = answer(world, "/projects/details", projects="a, b c ,,gone")
    assert [p["name"] for p in shown["projects"]] == ["a", "b c"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/v1/users/ada/project/{}", '"total_seconds":30,'),
        ("/api/v1/users/ada/heartbeats/spans?project={}", '"duration":30}'),
        ("/api/v1/users/ada/stats?filter_by_project={}", '"total_seconds":30,'),
        ("/api/v1/users/ada/stats/last_7_days?project={}", '"total_seconds":30.0,'),
        ("/api/v1/users/ada/all_time_since_today?project={}", '"total_seconds":30.0,'),
        ("/api/v1/users/ada/summaries?range=yesterday&project={}", '"total_seconds":30.0}'),
        ("/api/hackatime/v1/users/current/summaries?start=yesterday&end=yesterday&project={}", '"total_seconds":30,'),
        ("/api/compat/wakatime/v1/users/ada/stats?project={}", '"total_seconds":30.0,'),
        ("/api/compat/wakatime/v1/users/ada/projects?q={}", '"total":1,'),
    ],
)
def test_the_longest_name_that_is_stored_may_be_asked_for(world, ada, path, shown):
    name = "p" * MAX_KEY_BYTES
    world.send(ada[0], beats(NOON - DAY, 0, 30, project=name), beats(NOON - DAY, 200))
    answered = world.get(path.format(name), ada[1])
    assert answered.status_code == 200, answered.text
    assert shown in answered.text


@pytest.mark.parametrize("name", ["stats", "a/stats", "trust_factor", "x/trust_factor", "50%", "a b", "ünïcode/+&?#"])
def test_a_project_may_be_named_like_a_route_or_hold_a_slash(world, ada, name):
    world.send(ada[0], beats(NOON - DAY, 0, 30, project=name))
    for quoted in {quote(name, safe=""), quote(name)}:
        assert answer(world, f"/project/{quoted}")["total_seconds"] == 30


@pytest.mark.parametrize("name", ["gone", "ap", "appp", "APP", "app/"])
def test_an_unknown_project_is_not_found(world, ada, name):
    world.send(ada[0], beat(NOON, project="app"))
    missing = world.get(f"{USER}/project/{name}")
    assert (missing.status_code, missing.json()) == (404, {"error": "found nuthin"})


@pytest.mark.parametrize(
    ("path", "name"), [("/projects", "since"), ("/projects/details", "start"), ("/project/a", "end")]
)
def test_a_time_that_cannot_be_read_is_named(world, ada, path, name):
    refused = world.get(USER + path, params={name: "soon"})
    assert (refused.status_code, refused.json()) == (422, {"error": f"Invalid {name}"})
