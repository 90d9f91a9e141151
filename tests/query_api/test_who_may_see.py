"""Who may see what every route shows of a named user; the routes are those that the app has (semantics.md, 1 and 4)."""

import asyncio
import base64
import re
from contextlib import closing

import pytest

from tests.query_api.world import NOON, OPERATORS_KEY, World, beats

FILLED = {"project": "app", "project_name": "app", "range": "all_time"}
QUERIES = {"summaries": "?range=today"}
PUBLIC = "trust_factor"
HIDDEN = (403, {"error": "user has disabled public stats"})
UNKNOWN = (404, {"error": "User not found"})
NO_KEY = (401, {"error": "Invalid API key"})


def routes_of(described):
    """Every route that shows a user's figures to others, the name as {}."""
    routes = ["/api/summary?user_id={}"]
    for path in described:
        if "{username}" in path and not path.endswith(PUBLIC):
            last = path.rpartition("/")[2]
            routes.append(path.replace("{username}", "{{}}").format(**FILLED) + QUERIES.get(last, ""))
    return routes


@pytest.fixture(scope="module")
def described(tmp_path_factory, databases):
    """The paths of the app's own description."""
    folder = tmp_path_factory.mktemp("routes")
    with closing(World(folder, databases.new(folder))) as world:
        return world.app.openapi()["paths"]


@pytest.fixture(scope="module")
def routes(described):
    found = routes_of(described)
    assert {"/api/v1/badge/{}/app", "/api/v1/users/{}/heartbeats/spans", "/api/v1/users/{}/stats"} < set(found)
    assert len(found) > 14
    return found


@pytest.fixture
def ask(world, routes):
    """Give what each of all routes answers about a name, by route; the body of errors alone."""

    async def all_of(name, key):
        return {route: await world.request("GET", route.format(name), key) for route in routes}

    def asked(name, key=None):
        answers = asyncio.run(all_of(name, key))  # in one loop: each would start threads of its own
        return {
            route: answer.status_code if answer.status_code == 200 else (answer.status_code, answer.json())
            for route, answer in answers.items()
        }

    return asked


def everywhere(routes, answer):
    return dict.fromkeys(routes, answer)


def with_time(world, username, **fields):
    user, key = world.add_user(username, **fields)
    world.send(user, beats(NOON, -200, -100, project="app"))
    return user, key


def test_a_private_user_is_shown_to_themselves_alone_by_whatever_name(world, ada, routes, ask):
    hidden, key = with_time(world, "hidden", public_stats=False, slack_uid="U2")
    _, reds = world.add_user("red", trust_level="red")
    for name, stranger in (("hidden", None), ("hidden", ada[1]), (hidden.user_id, reds), ("U2", OPERATORS_KEY)):
        assert ask(name, stranger) == everywhere(routes, HIDDEN)
    assert ask("hidden", "wrong") == everywhere(routes, NO_KEY)
    for name in ("hidden", hidden.user_id, "U2", "current", "my"):
        assert ask(name, key) == everywhere(routes, 200)
    for name, nobody in (("current", None), ("my", reds), ("current", OPERATORS_KEY)):
        assert ask(name, nobody) == everywhere(routes, NO_KEY)


def test_a_convicted_users_key_opens_no_more_than_none_does(world, routes, ask):
    user, key = with_time(world, "red", trust_level="red", email="red@example.org", slack_uid="URED")
    assert ask("red", key) == ask("red") == everywhere(routes, 200)
    for path in (
        "/api/v1/stats",
        "/api/v1/users/lookup_email/red@example.org",
        "/api/v1/users/lookup_slack_uid/URED",
        "/api/v1/users/red/heartbeats?date=today",
        "/api/v1/my/heartbeats",
    ):
        refused = world.get(path, key)
        assert (refused.status_code, refused.json()) == NO_KEY, path
    world.directory.update(user.user_id, public_stats=False)
    assert ask("red", key) == ask("red") == everywhere(routes, HIDDEN)


def test_a_renamed_private_user_stays_private_and_their_own(world, ada, routes, ask):
    user, key = with_time(world, "before", public_stats=False)
    assert ask("before", key) == everywhere(routes, 200)
    world.directory.update(user.user_id, username="after")
    assert ask("after", key) == ask("current", key) == everywhere(routes, 200)
    assert ask("after", ada[1]) == ask("after") == everywhere(routes, HIDDEN)
    assert ask("before", key) == ask("before") == everywhere(routes, UNKNOWN)
    with_time(world, "before")  # another one, who is public
    assert ask("before") == everywhere(routes, 200)
    assert ask("after") == everywhere(routes, HIDDEN)


def test_who_is_named_as_another_is_numbered_does_not_show_the_other(world, routes, ask):
    hidden, key = with_time(world, "hidden", public_stats=False, slack_uid="4711")
    for number in (str(hidden.user_id), "4711"):
        _, namesakes = with_time(world, number)
        assert ask(number) == ask(number, namesakes) == everywhere(routes, HIDDEN)
        assert ask(number, key) == ask("current", namesakes) == everywhere(routes, 200)
        whose = world.get(f"/api/v1/users/{number}/stats", key).json()
        assert (whose["user"], whose["total_seconds"]) == ("hidden", 100)


def test_a_users_names_are_whole(world, routes, ask):
    with_time(world, "ann-marie", public_stats=False, slack_uid="U77")
    for part in ("ann", "ann-mari", "ann-marie ", "ANN-MARIE", "ann%", "U7", "u77"):
        assert ask(part) == everywhere(routes, UNKNOWN), part


def test_every_route_that_knows_keys_refuses_a_wrong_one_and_takes_a_right_one_in_any_form(world, ada, described):
    """A wrong header is refused beside a right query; where a key is needed, none is as bad as a wrong one."""
    key = ada[1]
    basic = base64.b64encode(f"{key}:".encode()).decode()
    asked = 0
    for path, operations in described.items():
        if "get" not in operations or "security" not in operations["get"]:
            continue
        asked += 1
        filled = re.sub(r"{[^}]*}", "current", path)
        wrong = world.get(filled, "wrong", params={"api_key": key})
        assert (wrong.status_code, wrong.json()) == NO_KEY, path
        if {} not in operations["get"]["security"]:
            none = world.get(filled)
            assert (none.status_code, none.json()) == NO_KEY, path
        for right in (
            world.get(filled, key),
            world.get(filled, params={"api_key": key}),
            world.get(filled, headers={"Authorization": f"Basic {basic}"}),
        ):
            assert right.status_code != 401, path
    assert asked > 30
