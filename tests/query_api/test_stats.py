import pytest

from schemas.instants import MAX_TIME_US, MIN_TIME_US
from tests.query_api.world import DAY, NOON, OPERATORS_KEY, SECOND, beat, beats

MIDNIGHT = NOON - DAY // 2


def stats(world, username, key=None, **parameters):
    answer = world.get(f"/api/v1/users/{username}/stats", key, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_one_object_holds_the_seeds_form_and_hackatimes(world, ada):
    user, _ = ada
    world.send(
        user,
        beats(NOON - DAY, *range(0, 3660, 60), project="app", language="Python"),
        beats(NOON - DAY + 7200 * SECOND, 0, 65, project="site", language="JavaScript"),
    )
    assert stats(world, "ada", start_date="2025-06-13", end_date="2025-06-15", features="languages,projects") == {
        "user": "ada",
        "total_seconds": 3785,
        "languages": [{"name": "Python", "seconds": 3600}, {"name": "JavaScript", "seconds": 65}],
        "projects": [{"name": "app", "seconds": 3600}, {"name": "site", "seconds": 65}],
        "data": {
            "username": "ada",
            "user_id": "1",
            "is_coding_activity_visible": True,
            "is_other_usage_visible": True,
            "status": "ok",
            "start": "2025-06-13T00:00:00Z",
            "end": "2025-06-15T00:00:00Z",
            "range": "all_time",
            "human_readable_range": "All Time",
            "total_seconds": 3785,
            "daily_average": 1892,
            "human_readable_total": "1h 3m 5s",
            "human_readable_daily_average": "31m 32s",
            "languages": [
                {
                    "name": "Python",
                    "total_seconds": 3600,
                    "text": "1h",
                    "hours": 1,
                    "minutes": 0,
                    "percent": 95.11,
                    "digital": "01:00:00",
                    "color": "#3572A5",
                },
                {
                    "name": "JavaScript",
                    "total_seconds": 65,
                    "text": "1m",
                    "hours": 0,
                    "minutes": 1,
                    "percent": 1.72,
                    "digital": "00:01:05",
                    "color": "#f1e05a",
                },
            ],
            "projects": [
                {
                    "name": "app",
                    "total_seconds": 3600,
                    "text": "1h",
                    "hours": 1,
                    "minutes": 0,
                    "percent": 95.11,
                    "digital": "01:00:00",
                },
                {
                    "name": "site",
                    "total_seconds": 65,
                    "text": "1m",
                    "hours": 0,
                    "minutes": 1,
                    "percent": 1.72,
                    "digital": "00:01:05",
                },
            ],
            "streak": 1,
        },
        "trust_factor": {"trust_level": "blue", "trust_value": 0},
    }


def test_the_default_range_is_ten_years_until_the_last_second_of_today(world, ada):
    user, _ = ada
    world.send(user, beats(NOON - 3000 * DAY, 0, 50), beats(NOON + DAY // 2 - 61 * SECOND, 0, 30, 60))
    shown = stats(world, "ada")
    # The last heartbeat of the day falls out; the gap between the two days counts.
    assert shown["total_seconds"] == 50 + 120 + 30
    assert (shown["data"]["start"], shown["data"]["end"]) == ("2015-06-15T12:00:00Z", "2025-06-15T23:59:59Z")


def test_ten_years_before_a_leap_day_is_the_last_of_february(world, ada):
    world.now_us = 1_709_208_000 * SECOND  # 2024-02-29 12:00
    assert stats(world, "ada")["data"]["start"] == "2014-02-28T12:00:00Z"


@pytest.mark.parametrize(
    ("start_s", "end_s", "seconds"),
    [(60, 200, 60), (60, 160, 0), (161, 401, 0), (500, 600, 0), (0, 401, 280), (0, 400, 160)],
)
def test_a_range_that_divides_a_day_counts_what_is_inside_alone(world, ada, start_s, end_s, seconds):
    user, _ = ada
    world.send(user, beats(NOON - DAY, 0, 50, 100, 160, 400))
    shown = stats(
        world,
        "ada",
        start_date=f"2025-06-14T12:{start_s // 60:02d}:{start_s % 60:02d}Z",
        end_date=f"2025-06-14T12:{end_s // 60:02d}:{end_s % 60:02d}Z",
    )
    assert shown["total_seconds"] == seconds


def test_a_divided_range_reads_flushed_heartbeats_too(world, ada):
    user, _ = ada
    world.send(user, beats(NOON - DAY, 0, 50, project="a"))
    world.aggregator.flush_now()
    world.send(user, beats(NOON - DAY, 100, 150, project="b"))
    shown = stats(world, "ada", start_date="2025-06-14T12:00:30Z", end_date="2025-06-14T12:02:30Z")
    assert shown["total_seconds"] == 50
    assert shown["projects"] == [{"name": "a", "seconds": 0}, {"name": "b", "seconds": 0}]


def test_ranges_over_months_and_days_count_the_gaps_between_them(world, ada):
    user, _ = ada
    first = 1_735_689_600 * SECOND  # 2025-01-01
    world.send(user, beats(first - 30 * SECOND, 0, 60), beats(first + 31 * DAY - 10 * SECOND, 0, 20))
    world.send(user, beats(first + 70 * DAY, 0, 40))
    assert stats(world, "ada")["total_seconds"] == 60 + 120 + 20 + 120 + 40
    january = stats(world, "ada", start_date="2025-01-01", end_date="2025-02-01")
    assert january["total_seconds"] == 120
    assert stats(world, "ada", start_date="2024-12-31", end_date="2025-02-02")["total_seconds"] == 60 + 120 + 20


def test_total_seconds_alone_keeps_fractions_of_the_range(world, ada):
    user, _ = ada
    world.send(user, beats(NOON - DAY, 0, 0.4, 30, 30.4))
    range_ = {"start_date": "2025-06-14T12:00:00.2Z", "end_date": "2025-06-14T12:00:30.3Z"}
    answer = world.get("/api/v1/users/ada/stats", params=range_ | {"total_seconds": "true"})
    assert answer.content == b'{"total_seconds":30}'
    # In whole seconds the first one is inside and the one at 30 s is not: 0 and 0.4 remain.
    assert stats(world, "ada", **range_)["total_seconds"] == 0


def test_entries_without_a_name_are_called_other_and_null_stays_apart_from_empty(world, ada):
    user, _ = ada
    world.send(user, beats(NOON, 0, 10, project=None), beats(NOON + 20 * SECOND, 0, 10, project=""))
    assert stats(world, "ada")["projects"] == [{"name": "Other", "seconds": 10}, {"name": "Other", "seconds": 10}]


def test_a_lone_heartbeat_is_listed_with_zero_seconds_and_no_percentage(world, ada):
    user, _ = ada
    world.send(user, beat(NOON))
    shown = stats(world, "ada")
    assert shown["data"]["languages"] == [
        {
            "name": "Python",
            "total_seconds": 0,
            "text": "0m",
            "hours": 0,
            "minutes": 0,
            "percent": None,
            "digital": "00:00:00",
            "color": "#3572A5",
        }
    ]
    assert (shown["data"]["human_readable_total"], shown["data"]["daily_average"]) == ("", 0)


@pytest.mark.parametrize(
    ("end_date", "average"),
    [
        ("2025-06-15", 3779),
        ("2025-06-15T23:59:59", 3779),  # the second day is not whole
        ("2025-06-16", 1889),
        ("2025-06-17", 1259),  # of 1259.67
        ("2025-06-14T23:59:59", 0),
    ],
)
def test_the_daily_average_is_of_whole_days_and_cut_to_whole_seconds(world, ada, end_date, average):
    user, _ = ada
    world.send(user, beats(NOON - DAY - 3600 * SECOND, *range(0, 3720, 60), 3779))
    assert stats(world, "ada", start_date="2025-06-14", end_date=end_date)["data"]["daily_average"] == average


def test_features_choose_the_lists_of_data_and_the_top_level_lists_always_stay(world, ada):
    user, _ = ada
    world.send(user, beats(NOON, 0, 10))
    for features, lists in (("projects", {"projects"}), ("", set()), ("streak", set()), ("languages", {"languages"})):
        shown = stats(world, "ada", features=features)
        assert {"languages", "projects"} & shown["data"].keys() == lists
        assert len(shown["languages"]) == len(shown["projects"]) == 1


def test_limit_cuts_every_list_and_zero_or_no_number_cuts_none(world, ada):
    user, _ = ada
    world.send(user, *(beats(NOON + i * 600 * SECOND, 0, 10 + i, project=f"p{i}") for i in range(3)))
    shown = stats(world, "ada", features="projects", limit="2")
    assert [entry["name"] for entry in shown["projects"]] == ["p2", "p1"]
    assert [entry["name"] for entry in shown["data"]["projects"]] == ["p2", "p1"]
    for everything in ("0", "", "many"):
        assert len(stats(world, "ada", limit=everything)["projects"]) == 3
    assert world.get("/api/v1/users/ada/stats", params={"limit": "-1"}).status_code == 422


def test_one_project_is_measured_alone_with_its_languages(world, ada):
    user, _ = ada
    world.send(
        user,
        beat(NOON, project="P", language="Go"),
        beat(NOON + 50 * SECOND, project="R", language="Go"),
        beat(NOON + 100 * SECOND, project="P", language="C"),
        beat(NOON + 150 * SECOND, project="P", language=None),
    )
    shown = stats(world, "ada", filter_by_project="P", features="languages,projects")
    assert (shown["user"], shown["total_seconds"]) == ("ada", 150)
    assert shown["projects"] == [{"name": "P", "seconds": 150}]
    assert {entry["name"] for entry in shown["languages"]} == {"Go", "C", "Other"}
    assert stats(world, "ada", filter_by_project="P", total_seconds="true") == {"total_seconds": 150}
    nothing = stats(world, "ada", filter_by_project="p")
    assert (nothing["total_seconds"], nothing["projects"], nothing["languages"]) == (0, [], [])


def test_parameters_that_change_nothing_are_ignored(world, ada):
    user, _ = ada
    world.send(user, beats(NOON - 90 * SECOND, 0), beats(NOON, 0, 60, category="browsing"))
    for parameters in ({"boundary_aware": "true"}, {"filter_by_category": "coding"}, {"no_ai_coding": "false"}):
        assert stats(world, "ada", **parameters) == stats(world, "ada")


@pytest.mark.parametrize("name", ["start_date", "end_date"])
def test_a_date_that_cannot_be_read_is_named(world, ada, name):
    for text in ("yesterdayish", "2025-13-01", "x" * 65):
        answer = world.get("/api/v1/users/ada/stats", params={name: text})
        assert answer.status_code == 422
        assert list(answer.json()) == ["error"]
    assert world.get("/api/v1/users/ada/stats", params={name: "nope"}).json() == {"error": f"Invalid {name}"}


def test_dates_far_outside_of_any_heartbeat_are_fine(world, ada):
    user, _ = ada
    world.send(user, beats(NOON, 0, 10))
    shown = stats(world, "ada", start_date="0001-01-01", end_date="9999-12-31T23:59:59Z")
    assert shown["total_seconds"] == 10
    assert shown["data"]["start"] == "0001-01-01T00:00:00Z"
    assert stats(world, "ada", start_date="2030-01-01", end_date="2020-01-01")["total_seconds"] == 0


def test_a_user_is_found_by_id_then_slack_id_then_name(world, ada):
    world.add_user("7", user_id=50)
    world.add_user("seven", user_id=7, slack_uid="50")
    assert stats(world, "7")["user"] == "seven"
    assert stats(world, "50")["user"] == "7"
    assert stats(world, "U1")["user"] == "ada"
    missing = world.get("/api/v1/users/nobody/stats")
    assert (missing.status_code, missing.json()) == (404, {"error": "User not found"})
    for nobody in (str(10**30), "-1", "a%2Fb", "%00", "%ff"):
        missing = world.get(f"/api/v1/users/{nobody}/stats")
        assert (missing.status_code, missing.json()) == (404, {"error": "User not found"})


def test_names_with_any_printable_characters_are_found(world):
    world.add_user("Zoë O'Néil 100%?#&+")
    assert stats(world, "Zo%C3%AB%20O'N%C3%A9il%20100%25%3F%23%26+")["user"] == "Zoë O'Néil 100%?#&+"


def test_current_and_my_are_the_keys_owner(world, ada):
    _, key = ada
    for name in ("current", "my"):
        assert stats(world, name, key)["user"] == "ada"
        answer = world.get(f"/api/v1/users/{name}/stats")
        assert (answer.status_code, answer.json()) == (401, {"error": "Invalid API key"})


def test_private_stats_are_for_their_user_alone(world, ada):
    _, stranger = ada
    _, key = world.add_user("shy", public_stats=False)
    for asking in (None, stranger):
        answer = world.get("/api/v1/users/shy/stats", asking)
        assert (answer.status_code, answer.json()) == (403, {"error": "user has disabled public stats"})
    assert stats(world, "shy", key)["user"] == "shy"


def test_convicted_users_are_not_known_as_callers(world):
    _, key = world.add_user("red", trust_level="red", public_stats=False)
    assert world.get("/api/v1/users/red/stats", key).status_code == 403
    assert world.get("/api/v1/users/current/stats", key).status_code == 401
    assert world.get("/api/v1/stats", key).status_code == 401


def test_a_wrong_key_is_refused_even_where_none_is_needed(world, ada):
    assert world.get("/api/v1/users/ada/stats", "wrong").status_code == 401


def test_a_users_key_gets_their_own_stats_in_the_seeds_form(world, ada):
    user, key = ada
    other, _ = world.add_user("bob")
    world.send(user, beats(NOON - DAY, 0, 30), beats(NOON, 0, 10))
    world.send(other, beats(NOON, 0, 100))
    assert world.get("/api/v1/stats", key).json() == {
        "user": "ada",
        "total_seconds": 160,
        "languages": [{"name": "Python", "seconds": 160}],
        "projects": [{"name": "heartline", "seconds": 160}],
    }
    assert world.get("/api/v1/stats", key, params={"end_date": "2025-06-15"}).json()["total_seconds"] == 30


def test_without_a_key_overall_stats_are_401(world):
    assert world.get("/api/v1/stats").status_code == 401


class TestOperator:
    def seconds(self, world, **parameters):
        answer = world.get("/api/v1/stats", OPERATORS_KEY, params=parameters)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain")
        return answer.text

    def test_gets_the_sum_over_all_users(self, world, ada):
        user, _ = ada
        other, _ = world.add_user("bob")
        world.send(user, beats(NOON, 0, 30.3))
        world.send(other, beats(NOON, 10, 40.3))
        assert self.seconds(world) == "61"

    def test_chooses_whole_utc_days_both_included(self, world, ada):
        user, _ = ada
        world.send(user, beats(MIDNIGHT - DAY - 20 * SECOND, 0, 10, 30, 40), beats(MIDNIGHT - 20 * SECOND, 0, 10, 30))
        day = {"start_date": "2025-06-14", "end_date": "2025-06-14"}
        assert self.seconds(world, **day) == self.seconds(world, username="ada", **day) == str(10 + 120 + 10)
        assert self.seconds(world, start_date="2025-06-14") == str(10 + 120 + 30)

    def test_names_one_user_by_name_or_email(self, world, ada):
        user, _ = ada
        other, _ = world.add_user("bob")
        world.send(user, beats(NOON, 0, 30))
        world.send(other, beats(NOON, 0, 50))
        assert self.seconds(world, username="ada") == "30"
        assert self.seconds(world, user_email="ada@example.org") == "30"
        for nobody in ({"username": "x"}, {"user_email": "x@example.org"}):
            answer = world.get("/api/v1/stats", OPERATORS_KEY, params=nobody)
            assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})

    def test_sums_more_users_than_fit_in_one_snapshot(self, world, monkeypatch):
        monkeypatch.setattr("storage.stats.reader._USERS_AT_ONCE", 2)
        for number in range(5):
            user, _ = world.add_user(f"user{number}")
            world.send(user, beats(NOON, 0, 10 + number), beats(NOON - 40 * DAY, 0, 60))
        assert self.seconds(world, start_date="2025-06-01") == str(10 + 11 + 12 + 13 + 14)
        assert self.seconds(world) == str(10 + 11 + 12 + 13 + 14 + 5 * (60 + 120))

    def test_sums_the_first_and_the_last_day_that_a_heartbeat_can_have(self, world, ada):
        user, _ = ada
        world.send(user, beats(MIN_TIME_US, 0, 10), beats(NOON, 0, 20), beats(MAX_TIME_US - 31 * SECOND, 0, 30))
        for key in ({}, {"username": "ada"}):
            assert self.seconds(world, start_date="2001-09-09", end_date="2001-09-09", **key) == "10"
            assert self.seconds(world, start_date="2001-09-01", end_date="2026-01-01", **key) == "150"
            assert self.seconds(world, start_date="2025-01-01", end_date="2033-06-30", **key) == "170"
            assert self.seconds(world, start_date="2033-05-18", end_date="2033-05-18", **key) == "30"

    def test_hears_which_date_is_wrong(self, world):
        answer = world.get("/api/v1/stats", OPERATORS_KEY, params={"end_date": "nope"})
        assert (answer.status_code, answer.json()) == (422, {"error": "Invalid end_date"})

    def test_is_nobody_where_no_such_key_is_set(self, world):
        world.make_app(stats_api_key=None)
        assert world.get("/api/v1/stats", OPERATORS_KEY).status_code == 401


def test_no_whole_day_is_read_from_single_heartbeats(world, ada, monkeypatch):
    user, key = ada
    world.send(user, beats(NOON - 400 * DAY, 0, 10), beats(NOON, 0, 10))

    def refuse(*_):
        raise AssertionError("the tables answer this")

    for name in ("read", "newest", "stream"):
        monkeypatch.setattr(world.history, name, refuse)
    assert stats(world, "ada")["total_seconds"] == 140
    assert world.get("/api/v1/stats", key).json()["total_seconds"] == 140
    assert world.get("/api/v1/stats", OPERATORS_KEY).text == "140"
