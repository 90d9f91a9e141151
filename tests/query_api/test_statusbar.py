import asyncio
import datetime as dt

import pytest

from query_api.statusbar import StatusBarApp
from schemas.calendars import date_of, day_number, day_period
from storage.stats.reader import StatsReader
from tests.query_api.world import DAY, NOON, SECOND, beat, beats

HACKATIME = "/api/hackatime/v1/users/current/statusbar/today"
WITH_LISTS = "/api/v1/users/current/status_bar/today"
WAKATIME = ("/api/v1/users/current/statusbar/today", "/api/compat/wakatime/v1/users/current/statusbar/today")


def minutes(count):
    return [60 * minute for minute in range(count + 1)]


def test_the_hackatime_path_answers_exactly_the_documented_bytes(world, ada):
    user, key = ada
    world.send(user, beats(NOON - 3 * 3600 * SECOND, *minutes(120)))
    answer = world.get(HACKATIME, key)
    assert answer.status_code == 200
    assert answer.content == b'{"data":{"grand_total":{"total_seconds":7200.0,"text":"2 hrs"}}}'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", WAKATIME)
def test_wakatimes_paths_answer_the_types_that_its_client_parses(world, ada, path):
    user, key = ada
    world.send(user, beats(NOON - 2 * 3600 * SECOND, *minutes(62)))
    assert world.get(path, key).json() == {
        "data": {
            "grand_total": {
                "decimal": "1.03",
                "digital": "1:02",
                "hours": 1,
                "minutes": 2,
                "text": "1 hr 2 mins",
                "total_seconds": 3720.0,
            },
            "range": {
                "date": "2025-06-15",
                "start": "2025-06-15T00:00:00Z",
                "end": "2025-06-15T23:59:59Z",
                "text": "Today",
                "timezone": "UTC",
            },
            "categories": [],
        },
        "cached_at": "2025-06-15T12:00:00Z",
    }


def test_the_total_is_rounded_once_and_the_text_made_from_it(world, ada):
    user, key = ada
    world.send(user, beats(NOON, 0, 10.4, 20.8, 31.2, 59.75))
    assert world.get(HACKATIME, key).content == (b'{"data":{"grand_total":{"total_seconds":60.0,"text":"1 min"}}}')


def test_without_heartbeats_today_there_are_zero_seconds(world, ada):
    user, key = ada
    world.send(user, beats(NOON - DAY, 0, 60))
    assert world.get(HACKATIME, key).json()["data"]["grand_total"] == {"total_seconds": 0.0, "text": "0 secs"}


def test_the_short_style_is_hackatimes_wording(world, ada):
    user, key = ada
    world.make_app(statusbar_text="short")
    assert world.get(HACKATIME, key).json()["data"]["grand_total"]["text"] == "Start coding!"
    world.send(user, beats(NOON, 0, 59))
    assert world.get(HACKATIME, key).json()["data"]["grand_total"]["text"] == "0m"
    world.send(user, beats(NOON, *minutes(120)))
    for path in (HACKATIME, WAKATIME[0], WITH_LISTS):
        assert world.get(path, key).json()["data"]["grand_total"]["text"] == "2h"


def test_wakatimes_documented_name_has_the_day_of_the_summaries(world):
    user, key = world.add_user("kim", timezone="Asia/Kolkata", trust_level="red")
    midnight = day_period("Asia/Kolkata", day_number(dt.date(2025, 6, 15))).start_us
    world.send(user, beats(midnight, -90, -30, 30, 150), beats(midnight, 160, 4000, project="b", category="debugging"))
    world.now_us = midnight + SECOND
    days = world.get("/api/v1/users/kim/summaries", params={"start": "today", "end": "today"}).json()["data"]
    answer = world.get(WITH_LISTS, key).json()
    assert (answer["data"], answer["cached_at"]) == (days[0], "2025-06-14T18:30:01Z")
    assert answer["data"]["grand_total"]["total_seconds"] == 250.0
    plugins = world.get(WAKATIME[0], key).json()["data"]
    assert plugins.pop("categories") == []  # plugins would show them in place of the total
    assert answer["data"] | plugins == answer["data"]
    assert [p["name"] for p in answer["data"]["projects"]] == ["heartline", "b"]


def test_today_is_the_users_local_day(world):
    user, key = world.add_user("kim", timezone="Asia/Kolkata")
    midnight = day_period("Asia/Kolkata", day_number(dt.date(2025, 6, 15))).start_us
    world.send(user, beats(midnight, -90, -30, 30, 150, 400))
    world.now_us = midnight + SECOND
    assert world.get(HACKATIME, key).json()["data"]["grand_total"]["total_seconds"] == 240.0
    world.now_us = midnight - SECOND
    assert world.get(HACKATIME, key).json()["data"]["grand_total"]["total_seconds"] == 60.0


def test_a_day_of_23_hours_shows_its_own_bounds(world):
    _, key = world.add_user("kiwi", timezone="Pacific/Auckland")
    world.now_us = 1_758_974_400 * SECOND + 3600 * SECOND
    shown = world.get(WAKATIME[0], key).json()["data"]["range"]
    assert shown["date"] == "2025-09-28"
    assert (shown["start"], shown["end"]) == ("2025-09-27T12:00:00Z", "2025-09-28T10:59:59Z")


def test_heartbeats_later_today_are_counted(world, ada):
    user, key = ada
    world.send(user, beats(NOON + 3600 * SECOND, 0, 100))
    assert world.get(HACKATIME, key).json()["data"]["grand_total"]["total_seconds"] == 100.0


def test_a_zone_that_changed_since_the_key_was_cached_is_read_from_the_database(world):
    user, key = world.add_user("kim", timezone="Asia/Kolkata")
    world.send(user, beats(NOON, 0, 30))
    assert world.get(HACKATIME, key).json()["data"]["grand_total"]["total_seconds"] == 30.0
    reader = StatsReader(world.database)
    # The same read, believing in the wrong zone.
    today = reader.today(user.user_id, "America/New_York", NOON)
    assert (today.timezone, date_of(today.day.day), today.duration_us) == (
        "Asia/Kolkata",
        dt.date(2025, 6, 15),
        30 * SECOND,
    )


def test_the_key_alone_tells_the_user(world, ada):
    user, _ = ada
    _, other = world.add_user("bob")
    world.send(user, beats(NOON, 0, 30))
    for path_id in ("current", str(user.user_id), "ada", "nobody"):
        answer = world.get(f"/api/hackatime/v1/users/{path_id}/statusbar/today", other)
        assert answer.json()["data"]["grand_total"]["total_seconds"] == 0.0


def test_convicted_users_see_their_status_bar(world):
    user, key = world.add_user("red", trust_level="red")
    world.send(user, beats(NOON, 0, 30))
    assert world.get(HACKATIME, key).json()["data"]["grand_total"]["total_seconds"] == 30.0


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobodys"}, {"Authorization": "Basic !"}])
def test_without_a_valid_key_the_answer_is_401(world, ada, headers):
    answer = world.get(HACKATIME, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "Invalid API key"})


def test_a_key_in_the_query_does_and_a_wrong_header_beside_it_is_refused(world, ada):
    _, key = ada
    assert world.get(HACKATIME, params={"api_key": key}).status_code == 200
    assert world.get(HACKATIME, "wrong", params={"api_key": key}).status_code == 401


def test_the_bare_application_gives_the_same_answers_as_the_route(world, ada):
    user, key = ada
    world.send(user, beats(NOON, 0, 30))
    bare = StatusBarApp(StatsReader(world.database), world.keys, "long", lambda: world.now_us)
    for path in (HACKATIME, *WAKATIME):
        for sent in (key, "wrong"):
            expected = world.get(path, sent)
            given = world.get(path, sent, app=bare)
            assert (given.status_code, given.content) == (expected.status_code, expected.content)
            assert given.headers["cache-control"] == "no-store"
            assert given.headers["access-control-allow-origin"] == "*"


def test_the_bare_application_takes_its_own_paths_alone(world):
    bare = StatusBarApp(StatsReader(world.database), world.keys, "long", lambda: world.now_us)
    assert all(bare.matches("GET", path) for path in (HACKATIME, *WAKATIME))
    assert not bare.matches("POST", HACKATIME)
    assert not bare.matches("GET", "/api/v2/users/current/statusbar/today")
    assert not bare.matches("GET", "/api/v1/users/a/b/statusbar/today")
    assert bare.matches("GET", f"/api/v1/users/{'x' * 320}/statusbar/today")
    assert not bare.matches("GET", f"/api/v1/users/{'x' * 321}/statusbar/today"), "a 422 of the read API"
    assert not bare.matches("GET", "/api/v1/users/current/heartbeats")


def test_a_database_that_is_away_gives_503_with_retry_after_and_is_found_again(world, ada, databases, stats_url):
    _, key = ada
    world.get(HACKATIME, key)
    reader = StatsReader(world.database)
    bare = StatusBarApp(reader, world.keys, "long", lambda: world.now_us)
    databases.cut_off(stats_url)
    answer = world.get(HACKATIME, key, app=bare)
    databases.let_in(stats_url)
    assert world.get(HACKATIME, key, app=bare).status_code == 200
    reader.close()
    assert (answer.status_code, list(answer.json())) == (503, ["error"])
    assert int(answer.headers["retry-after"]) >= 1


def test_other_methods_are_refused_with_the_allowed_one(world, ada):
    answer = asyncio.run(world.request("DELETE", HACKATIME, ada[1]))
    assert (answer.status_code, answer.json()) == (405, {"error": "Method not allowed"})
    assert answer.headers["allow"] == "GET, HEAD"


def test_every_category_and_test_entries_count(world, ada):
    user, key = ada
    world.send(
        user,
        beat(NOON),
        beat(NOON + 60 * SECOND, category="browsing"),
        beat(NOON + 120 * SECOND, source_type="test_entry"),
    )
    assert world.get(HACKATIME, key).json()["data"]["grand_total"]["total_seconds"] == 120.0
