"""What bots, badges and dashboards read (semantics.md, section 4 and first table)."""

import datetime as dt
import time

import pytest

from tests import oracle, oracle_answers
from tests.e2e.history import beat, mixed, seen
from tests.server import OPERATOR_KEY

START_S = int(dt.datetime(2024, 5, 6, 20, tzinfo=dt.UTC).timestamp())
DAY = {"start_date": "2024-05-06", "end_date": "2024-05-07"}


def iso(seconds):
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def identity(account):
    return {name: getattr(account, name) for name in ("user_id", "username", "trust_level", "trust_value")}


def expected_stats(account, answered, start_s, end_s, features, limit=0):
    return oracle_answers.stats(
        seen(answered), identity(account), start_s * 1_000_000, end_s * 1_000_000, features, limit
    )


def in_one_order(stats):
    """Ties have no order of their own, and languages may carry a colour."""

    def sort(entries, seconds):
        without_colour = [{k: v for k, v in entry.items() if k != "color"} for entry in entries]
        return sorted(without_colour, key=lambda e: (-e[seconds], e["name"], str(sorted(e.items()))))

    data = dict(stats["data"])
    for name in {"languages", "projects"} & data.keys():
        data[name] = sort(data[name], "total_seconds")
    data.pop("streak", None)
    lists = {name: sort(stats[name], "seconds") for name in ("languages", "projects")}
    return stats | lists | {"data": data}


@pytest.fixture(scope="module")
def history(server):
    """A user with four days of mixed work, sent in disorder, and what the API answered to it."""
    account = server.new_account(timezone="Asia/Kolkata")
    answered = []
    for seed in range(4):
        sent = mixed(seed, START_S + 86_400 * seed, 20_000)
        answered += account.send(*sent[40:], settle=False) + account.send(*sent[:40])
    return account, answered


RANGES = {
    "all of it": (START_S - 86_400 * 30, START_S + 86_400 * 60),
    "whole UTC days": (START_S // 86_400 * 86_400, START_S // 86_400 * 86_400 + 2 * 86_400),
    "one day": (START_S // 86_400 * 86_400 + 86_400, START_S // 86_400 * 86_400 + 2 * 86_400),
    "cut at both ends": (START_S + 3_000, START_S + 86_400 * 2 + 3_333),
    "inside one day": (START_S + 1_000, START_S + 5_000),
    "a second": (START_S + 1_000, START_S + 1_001),
    "nothing": (START_S - 86_400 * 3, START_S - 86_400 * 2),
    "backwards": (START_S + 5_000, START_S),
}


@pytest.mark.parametrize("features", ["languages", "projects", "languages,projects", "editors", ""])
@pytest.mark.parametrize("bounds", RANGES.values(), ids=RANGES)
def test_any_range_equals_the_oracle_in_both_shapes(history, bounds, features):
    account, answered = history
    start, end = bounds
    stats = account.stats(start_date=iso(start), end_date=iso(end), features=features)
    asked = features.split(",") if features else []
    if not features:  # an empty parameter may count as not given
        asked = ["languages"] if "languages" in stats["data"] else []
    assert in_one_order(stats) == in_one_order(expected_stats(account, answered, start, end, asked))


@pytest.mark.parametrize("bounds", RANGES.values(), ids=RANGES)
def test_total_seconds_alone_is_all_that_is_asked_for(history, bounds):
    account, answered = history
    start, end = bounds
    inside = oracle.between(oracle.accepted(seen(answered)), start * 1_000_000, end * 1_000_000)
    body = account.stats(start_date=iso(start), end_date=iso(end), total_seconds="true")
    assert body == {"total_seconds": oracle.total_seconds(inside)}


@pytest.mark.parametrize("limit", ["0", "1", "2", "3", "100", "", "many"])
def test_limit_cuts_every_list(history, limit):
    account, answered = history
    start, end = RANGES["all of it"]
    stats = account.stats(start_date=iso(start), end_date=iso(end), features="languages,projects", limit=limit)
    count = int(limit) if limit.isdigit() else 0
    expected = expected_stats(account, answered, start, end, ["languages", "projects"], count)
    for place, wanted in ((stats, expected), (stats["data"], expected["data"])):
        for name in ("languages", "projects"):
            seconds = "seconds" if place is stats else "total_seconds"
            assert [e[seconds] for e in place[name]] == [e[seconds] for e in wanted[name]]


def test_a_negative_limit_is_no_crash(history):
    account, _ = history
    assert account.get("/api/v1/users/current/stats", limit="-1").status_code in {200, 422}


@pytest.mark.parametrize("project", ["alpha", "beta", "Beta", "unheard of"])
def test_one_project_is_measured_by_itself_with_its_languages(history, project):
    account, answered = history
    start, end = RANGES["cut at both ends"]
    bounds = {"start_date": iso(start), "end_date": iso(end), "filter_by_project": project}
    of_project = [h for h in answered if h["project"] == project]
    expected = in_one_order(expected_stats(account, of_project, start, end, ["languages"]))
    stats = in_one_order(account.stats(**bounds))
    assert stats["total_seconds"] == stats["data"]["total_seconds"] == expected["total_seconds"]
    assert stats["data"]["languages"] == expected["data"]["languages"]
    assert stats["languages"] == expected["languages"]
    assert account.total(**bounds) == expected["total_seconds"]


def test_entries_count_hours_minutes_and_percent(account):
    of_a = [beat(START_S + 120 * i, project="a", language="Python") for i in range(46)]  # 5400 s
    of_b = [beat(START_S + 90_000 + 120 * i, project="b", language="Rust") for i in range(16)]  # 1800 s
    lone = beat(START_S + 200_000, project="c")
    account.send(*of_a, *of_b, lone)
    end = iso(START_S + 86_400 * 10)
    stats = account.stats(features="projects", start_date=iso(START_S), end_date=end)
    assert stats["total_seconds"] == 5400 + 120 + 1800 + 120
    assert stats["data"]["projects"] == [
        {
            "name": "a",
            "total_seconds": 5400,
            "text": "1h 30m",
            "hours": 1,
            "minutes": 30,
            "percent": 72.58,
            "digital": "01:30:00",
        },
        {
            "name": "b",
            "total_seconds": 1800,
            "text": "30m",
            "hours": 0,
            "minutes": 30,
            "percent": 24.19,
            "digital": "00:30:00",
        },
        {
            "name": "c",
            "total_seconds": 0,
            "text": "0m",
            "hours": 0,
            "minutes": 0,
            "percent": 0.0,
            "digital": "00:00:00",
        },
    ]
    assert stats["data"]["human_readable_total"] == "2h 4m"
    assert stats["data"]["daily_average"] == 7440 // 10
    assert stats["data"]["human_readable_daily_average"] == "12m 24s"


def test_a_lone_heartbeat_is_listed_with_no_percent(account):
    account.send(beat(START_S, project="a"))
    (entry,) = account.stats(features="projects", **DAY)["data"]["projects"]
    assert (entry["total_seconds"], entry["percent"], entry["text"]) == (0, None, "0m")


def test_null_and_empty_are_two_entries_called_other(account):
    account.send(beat(START_S, project=""), beat(START_S + 60, project=""), beat(START_S + 90, project=None))
    stats = account.stats(features="projects", **DAY)
    assert stats["projects"] == [{"name": "Other", "seconds": 60}, {"name": "Other", "seconds": 0}]
    assert [e["name"] for e in stats["data"]["projects"]] == ["Other", "Other"]


def test_spellings_of_a_language_stay_apart(account):
    account.send(
        beat(START_S, language="python"), beat(START_S + 30, language="python"), beat(START_S, language="Python")
    )
    assert sorted(e["seconds"] for e in account.stats(**DAY)["languages"]) == [0, 30]


def test_the_start_counts_and_the_end_does_not(account):
    account.send(beat(START_S), beat(START_S + 60), beat(START_S + 100))
    assert account.total(start_date=iso(START_S), end_date=iso(START_S + 100)) == 60
    assert account.total(start_date=iso(START_S), end_date=iso(START_S + 101)) == 100
    assert account.total(start_date=iso(START_S + 1), end_date=iso(START_S + 101)) == 40


def test_bounds_are_cut_to_seconds_except_for_the_total_alone(account):
    account.send(beat(START_S + 0.2), beat(START_S + 60))
    half = iso(START_S).replace("Z", ".500Z")
    assert account.stats(start_date=half, end_date="2024-05-07")["total_seconds"] == 60
    assert account.total(start_date=half, end_date="2024-05-07") == 0


@pytest.mark.parametrize(
    "start",
    ["2024-05-06", "2024-05-06T20:00:00", "2024-05-06T20:00:00Z", "2024-05-06 20:00", "2024-05-07T01:30:00+05:30"],
)
def test_dates_and_times_without_a_zone_are_in_utc(account, start):
    account.send(beat(START_S - 100_000), beat(START_S), beat(START_S + 50))
    stats = account.stats(start_date=start, end_date="2024-05-07")
    assert stats["total_seconds"] == 50
    expected_start = "2024-05-06T00:00:00Z" if start == "2024-05-06" else "2024-05-06T20:00:00Z"
    assert (stats["data"]["start"], stats["data"]["end"]) == (expected_start, "2024-05-07T00:00:00Z")


@pytest.mark.parametrize("value", ["nonsense", "2024-13-01", "2024-02-30", "9" * 5_000, "\0", "0000-00-00"])
def test_dates_that_are_none_are_named(account, value):
    for name in ("start_date", "end_date"):
        for more in ({}, {"total_seconds": "true"}):
            response = account.get("/api/v1/users/current/stats", **{name: value}, **more)
            assert response.status_code in {422, 414}, response.text
            if len(value) < 100:
                assert response.json() == {"error": f"Invalid {name}"}


def test_by_default_ten_years_to_the_end_of_today_count(account):
    now = int(time.time())
    today = now // 86_400 * 86_400
    long_ago = today - 86_400 * (3_653 + 30)
    account.send(beat(long_ago), beat(long_ago + 10), beat(today - 86_400 * 3_000), beat(today - 86_400 * 3_000 + 5))
    account.send(beat(today + 1), beat(today + 21), beat(today + 86_400 * 2), beat(today + 86_400 * 2 + 50))
    stats = account.stats()
    if int(time.time()) // 86_400 * 86_400 == today:  # else midnight has just gone by
        assert stats["total_seconds"] == account.total() == 5 + 120 + 20
        assert stats["data"]["end"] == f"{iso(today)[:10]}T23:59:59Z"
        start = dt.datetime.fromisoformat(stats["data"]["start"])
        assert abs(start.timestamp() - (today - 3_652.5 * 86_400)) < 3 * 86_400


def test_a_user_is_found_by_name_id_and_slack_uid_and_as_oneself(server):
    ann = server.new_account(slack_uid="U0ANN", trust_level="green", trust_value=2)
    ann.send(beat(START_S), beat(START_S + 60))
    for username in (ann.username, ann.user_id, "U0ANN", "current", "my"):
        stats = ann.stats(username, **DAY)
        assert (stats["user"], stats["total_seconds"]) == (ann.username, 60)
        assert stats["trust_factor"] == {"trust_level": "green", "trust_value": 2}
        assert stats["data"]["user_id"] == str(ann.user_id)


def test_anybody_may_read_public_stats_without_a_key(server, account):
    account.send(beat(START_S), beat(START_S + 60))
    response = server.http.get(f"/api/v1/users/{account.username}/stats", params=DAY)
    assert (response.status_code, response.json()["total_seconds"]) == (200, 60)


def test_a_number_is_an_id_first(server):
    first = server.new_account()
    second = server.new_account(username=str(first.user_id))
    assert second.stats(first.user_id)["user"] == first.username


@pytest.mark.parametrize("username", ["nobody", "999999999", "9" * 30, "%00", "a%2Fb", "-1", "💥"])
def test_unknown_users_are_not_found(server, account, username):
    response = server.http.get(f"/api/v1/users/{username}/stats", headers=account.headers)
    assert (response.status_code, response.json()) == (404, {"error": "User not found"})


def test_private_stats_are_for_their_user_alone(server, account):
    private = server.new_account(private=True)
    private.send(beat(START_S), beat(START_S + 60))
    for headers in ({}, account.headers):
        response = server.http.get(f"/api/v1/users/{private.username}/stats", headers=headers)
        assert (response.status_code, response.json()) == (403, {"error": "user has disabled public stats"})
    assert private.total(**DAY) == private.stats(private.username, **DAY)["total_seconds"] == 60


def test_usernames_may_hold_what_people_call_themselves(server):
    for username in ("Ann Müller", "a+b@c", "50%", "q?&#=", "émile.🚀"):
        named = server.new_account(username=username)
        named.send(beat(START_S), beat(START_S + 60), settle=False)
        server.settle()
        assert named.stats(_quoted(username), **DAY)["user"] == username


def _quoted(username):
    from urllib.parse import quote

    return quote(username, safe="")


def test_a_users_overall_stats_come_in_the_seeds_shape(history):
    account, answered = history
    start, end = RANGES["cut at both ends"]
    response = account.get("/api/v1/stats", start_date=iso(start), end_date=iso(end))
    assert response.status_code == 200
    body, full = response.json(), expected_stats(account, answered, start, end, [])
    assert set(body) == {"user", "total_seconds", "languages", "projects"}
    assert (body["user"], body["total_seconds"]) == (account.username, full["total_seconds"])
    for name in ("languages", "projects"):
        by_name = [(-e["seconds"], e["name"]) for e in body[name]]
        assert sorted(by_name) == sorted((-e["seconds"], e["name"]) for e in full[name])
        assert [e[0] for e in by_name] == sorted(e[0] for e in by_name)


OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


def test_the_operator_reads_the_sum_over_all_users_in_whole_days(server):
    ann, bob = server.new_account(email="ann@operators.example"), server.new_account()
    day = int(dt.datetime(2018, 7, 1, tzinfo=dt.UTC).timestamp())
    for account in (ann, bob):  # both at the same instants: not one sequence
        account.send(beat(day), beat(day + 60), beat(day + 86_400 * 2 - 1), beat(day + 86_400 * 2))
    days = {"start_date": "2018-07-01", "end_date": "2018-07-02"}

    def ask(**params):
        return server.http.get("/api/v1/stats", params=days | params, headers=OPERATOR)

    response = ask()
    assert (response.status_code, response.text) == (200, str(2 * 180))
    assert response.headers["content-type"].startswith("text/plain")
    assert ask(username=bob.username).text == "180"
    assert ask(user_email="ann@operators.example").text == "180"
    assert ask(end_date="2018-07-01").text == str(2 * 60)
    assert server.http.get("/api/v1/stats", params=days | {"api_key": OPERATOR_KEY}).text == str(2 * 180)
    unknown = ask(username="nobody")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "User not found"})
    wrong = ask(start_date="nonsense")
    assert (wrong.status_code, wrong.json()) == (422, {"error": "Invalid start_date"})
    wrong = ask(end_date="nonsense")
    assert (wrong.status_code, wrong.json()) == (422, {"error": "Invalid end_date"})
