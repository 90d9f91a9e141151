import msgspec
import pytest

from schemas.heartbeat import answer
from tests.query_api.world import DAY, NOON, SECOND, beat, beats

MIDNIGHT = NOON - DAY // 2
PATH = "/api/v1/my/heartbeats"


def window(world, key, **parameters):
    answered = world.get(PATH, key, params=parameters)
    assert answered.status_code == 200, answered.text
    return answered.json()


def times(shown):
    return [(heartbeat["time"] - NOON / SECOND) for heartbeat in shown["heartbeats"]]


def test_the_default_window_is_the_current_utc_day(world, ada):
    user, key = ada
    today = [beat(MIDNIGHT), beat(NOON, dependencies=["a"]), beat(MIDNIGHT + DAY - 1)]
    world.send(user, beat(MIDNIGHT - 1), today, beat(MIDNIGHT + DAY))
    assert window(world, key) == {
        "start_time": "2025-06-15T00:00:00.000Z",
        "end_time": "2025-06-15T23:59:59.999Z",
        "total_seconds": 240,
        "heartbeats": [msgspec.to_builtins(answer(heartbeat, user.user_id)) for heartbeat in today],
    }


def test_an_empty_window_is_an_empty_list(world, ada):
    assert window(world, ada[1])["heartbeats"] == []
    assert window(world, ada[1], limit="5") == {
        "start_time": None,
        "end_time": None,
        "total_seconds": 0,
        "heartbeats": [],
    }


@pytest.mark.parametrize("names", [("start", "end"), ("start_time", "end_time"), ("start", "end_time")])
def test_both_ends_are_inclusive_under_either_name(world, ada, names):
    user, key = ada
    world.send(user, beats(NOON, 0, 10, 20, 30))
    shown = window(world, key, **dict(zip(names, ("2025-06-15T12:00:10Z", "2025-06-15T12:00:20"), strict=True)))
    assert times(shown) == [10, 20]
    assert shown["total_seconds"] == 10
    assert (shown["start_time"], shown["end_time"]) == ("2025-06-15T12:00:10.000Z", "2025-06-15T12:00:20.000Z")


def test_one_end_alone_leaves_the_other_at_today(world, ada):
    user, key = ada
    world.send(user, beats(NOON - DAY, 0), beats(NOON, 0), beats(NOON + DAY, 0))
    assert times(window(world, key, start="2025-06-14")) == [-86_400, 0]
    assert times(window(world, key, end="2025-06-17")) == [0, 86_400]


def test_a_limit_lists_the_newest_of_the_window_ascending_and_measures_all_of_it(world, ada):
    user, key = ada
    world.send(user, beats(NOON, 0, 10, 20, 30, 40))
    shown = window(world, key, start="2025-06-15T12:00:10Z", end="2025-06-15T12:00:30Z", limit="2")
    assert (times(shown), shown["total_seconds"]) == ([20, 30], 20)
    assert times(window(world, key, start="2025-06-15T12:00:10Z", end="2025-06-15T12:00:30Z", limit="9")) == [
        10,
        20,
        30,
    ]


def test_a_limit_alone_lists_the_newest_of_all(world, ada):
    user, key = ada
    world.send(user, beats(NOON - 40 * DAY, 0, 10.5), beats(NOON + 2 * DAY, 0))
    world.aggregator.flush_now()
    world.send(user, beats(NOON - 3 * DAY, 0))
    shown = window(world, key, limit="3")
    assert times(shown) == [-40 * 86_400 + 10.5, -3 * 86_400, 2 * 86_400]
    assert shown["total_seconds"] == 240
    assert (shown["start_time"], shown["end_time"]) == ("2025-05-06T12:00:10.500Z", "2025-06-17T12:00:00.000Z")


def test_a_limit_above_a_hundred_gives_a_hundred(world, ada):
    user, key = ada
    world.send(user, beats(NOON, *range(60)), beats(NOON + 60 * SECOND, *range(45)))
    assert times(window(world, key, limit="1000")) == list(range(5, 105))
    assert len(window(world, key)["heartbeats"]) == 105


@pytest.mark.parametrize("limit", ["0", "-1", "ten", "1.5", "1e2", "", "٣"])
def test_a_limit_that_is_no_count_is_refused(world, ada, limit):
    refused = world.get(PATH, ada[1], params={"limit": limit})
    assert (refused.status_code, refused.json()) == (422, {"error": "limit must be a whole number from 1 to 100"})


@pytest.mark.parametrize("name", ["start", "end", "start_time", "end_time"])
def test_a_time_that_cannot_be_read_is_named(world, ada, name):
    refused = world.get(PATH, ada[1], params={name: "soon"})
    assert (refused.status_code, refused.json()) == (422, {"error": f"Invalid {name}"})


def test_many_days_from_files_and_tail_come_as_one_ascending_list(world, ada):
    user, key = ada
    expected = []
    for day in range(1, 6):
        sent = beats(NOON - day * DAY, *range(0, 300, 10))
        world.send(user, sent)
        expected = [h.id for h in sent] + expected
        if day == 3:
            world.aggregator.flush_now()
    shown = window(world, key, start="2025-06-01")
    assert [heartbeat["id"] for heartbeat in shown["heartbeats"]] == expected
    assert shown["total_seconds"] == 5 * 290 + 4 * 120


def test_a_user_reads_their_own_heartbeats_alone(world, ada):
    user, _ = ada
    _, other = world.add_user("bob")
    world.send(user, beats(NOON, 0, 10))
    assert window(world, other)["heartbeats"] == []
    assert window(world, other, limit="5")["heartbeats"] == []
    assert not world.get(f"{PATH}/most_recent", other).json()["has_heartbeat"]


@pytest.mark.parametrize("path", [PATH, f"{PATH}/most_recent"])
def test_my_heartbeats_need_the_key_of_a_user_in_good_standing(world, ada, path):
    _, red = world.add_user("red", trust_level="red")
    for key in (None, "wrong", red, "the-operators-key"):
        refused = world.get(path, key)
        assert (refused.status_code, refused.json()) == (401, {"error": "Invalid API key"})
    assert world.get(path, params={"api_key": ada[1]}).status_code == 200


def test_the_most_recent_is_the_newest_by_time_whatever_came_last(world, ada):
    user, key = ada
    newest = beat(NOON - 300 * SECOND, editor="vim")
    world.send(user, newest)
    world.send(user, beat(NOON - 900 * SECOND, editor="vscode"))
    assert world.get(f"{PATH}/most_recent", key).json() == {
        "has_heartbeat": True,
        "heartbeat": msgspec.to_builtins(answer(newest, user.user_id)),
        "editor": "vim",
        "time_ago": "5 minutes ago",
    }


def test_the_most_recent_is_no_test_entry(world, ada):
    user, key = ada
    real = beat(NOON - 3600 * SECOND)
    world.send(user, real, *(beat(NOON - i * SECOND, source_type="test_entry") for i in range(20)))
    assert world.get(f"{PATH}/most_recent", key).json()["heartbeat"]["id"] == real.id


def test_without_a_heartbeat_the_most_recent_is_null(world, ada):
    user, key = ada
    nothing = {"has_heartbeat": False, "heartbeat": None, "editor": None, "time_ago": None}
    assert world.get(f"{PATH}/most_recent", key).json() == nothing
    world.send(user, *(beat(NOON - i * SECOND, source_type="test_entry") for i in range(8)))
    assert world.get(f"{PATH}/most_recent", key).json() == nothing
