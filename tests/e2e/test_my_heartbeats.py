"""A user's own heartbeats, one by one (semantics.md, section 5 and first table)."""

import datetime as dt
import time

import pytest

from tests import oracle, oracle_answers
from tests.e2e.history import FIELDS, beat, mixed, seen

pytestmark = pytest.mark.distributed

START_S = int(dt.datetime(2024, 5, 6, 20, tzinfo=dt.UTC).timestamp())
RECENT = "/api/v1/my/heartbeats/most_recent"


def iso(seconds):
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat().replace("+00:00", "Z")


def instant(text):
    """Microseconds of an answer's ISO 8601 text in UTC."""
    parsed = dt.datetime.fromisoformat(text)
    assert parsed.utcoffset() == dt.timedelta(0)
    return (parsed - oracle.EPOCH) // dt.timedelta(microseconds=1)


@pytest.fixture(scope="module")
def history(server):
    """A user with 250 heartbeats in two days, and what the API answered to them."""
    account = server.new_account()
    answered = []
    for seed in range(4):
        answered += account.send(*mixed(seed, START_S + 20_000 * seed, 20_000))
    many = [beat(START_S + 30_000 + 7 * i, lineno=i) for i in range(100)]
    return account, answered + account.send(*many)


WINDOWS = [(0, 86_400), (100, 5_000), (19_000, 60_000), (-86_400 * 400, 86_400 * 400), (-500, -400), (5_000, 100)]


@pytest.mark.parametrize("names", [("start", "end"), ("start_time", "end_time")])
@pytest.mark.parametrize("bounds", WINDOWS)
def test_a_window_lists_its_rows_ascending_and_measures_them(history, bounds, names):
    account, answered = history
    start, end = START_S + bounds[0], START_S + bounds[1]
    body = account.heartbeats(**dict(zip(names, (iso(start), iso(end)), strict=True)))
    expected = oracle.window(seen(answered), start * 1_000_000, end * 1_000_000)
    assert set(body) == {"start_time", "end_time", "total_seconds", "heartbeats"}
    assert [h["id"] for h in body["heartbeats"]] == expected["ids"]
    assert body["total_seconds"] == expected["total_seconds"]
    assert (instant(body["start_time"]), instant(body["end_time"])) == (start * 1_000_000, end * 1_000_000)


def test_rows_are_those_that_were_answered_when_they_were_sent(history):
    account, answered = history
    listed = account.heartbeats(start=iso(START_S), end=iso(START_S + 200_000))["heartbeats"]
    first_answers = {h["id"]: h for h in reversed(answered)}
    assert len(listed) == len(first_answers) > 250
    for row in listed:
        assert set(row) == FIELDS
        repeated = ("created_at", "updated_at")
        assert {k: v for k, v in row.items() if k not in repeated} == {
            k: v for k, v in first_answers[row["id"]].items() if k not in repeated
        }


@pytest.mark.parametrize("limit", [1, 2, 50, 100, 101, 5_000])
def test_limit_lists_the_newest_of_a_window_and_measures_all_of_it(history, limit):
    account, answered = history
    start, end = START_S, START_S + 40_000
    body = account.heartbeats(start=iso(start), end=iso(end), limit=limit)
    expected = oracle.window(seen(answered), start * 1_000_000, end * 1_000_000, limit=min(limit, 100))
    assert [h["id"] for h in body["heartbeats"]] == expected["ids"]
    assert body["total_seconds"] == expected["total_seconds"]


@pytest.mark.parametrize("limit", [1, 7, 100, 1_000])
def test_limit_without_a_window_lists_the_newest_of_all(history, limit):
    account, answered = history
    body = account.heartbeats(limit=limit)
    newest = oracle.accepted(seen(answered))[-min(limit, 100) :]
    assert [h["id"] for h in body["heartbeats"]] == [h["id"] for h in newest]
    for name, row in (("start_time", newest[0]), ("end_time", newest[-1])):
        assert abs(instant(body[name]) - row["time_us"]) < 1_000  # printed to the millisecond or finer


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", "", " "])
def test_a_limit_that_is_none_is_refused(account, limit):
    response = account.get("/api/v1/my/heartbeats", limit=limit)
    assert response.status_code == 422
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize("name", ["start", "end", "start_time", "end_time"])
@pytest.mark.parametrize("value", ["nonsense", "2024-02-30", "\0", "x" * 3_000])
def test_times_that_are_none_are_refused(account, name, value):
    response = account.get("/api/v1/my/heartbeats", **{name: value})
    assert response.status_code in {422, 414}
    assert set(response.json()) == {"error"}


def test_both_ends_belong_to_the_window(account):
    account.send(beat(START_S - 1e-6), beat(START_S), beat(START_S + 60), beat(START_S + 60.000001))
    body = account.heartbeats(start=iso(START_S), end=iso(START_S + 60))
    assert [h["time"] for h in body["heartbeats"]] == [START_S, START_S + 60]
    assert body["total_seconds"] == 60


def test_equal_instants_are_in_order_of_their_ids(account):
    answered = account.send(*(beat(START_S, lineno=i) for i in range(30)))
    body = account.heartbeats(start=iso(START_S), end=iso(START_S))
    assert [h["id"] for h in body["heartbeats"]] == sorted(h["id"] for h in answered)
    newest = account.heartbeats(start=iso(START_S), end=iso(START_S), limit=10)
    assert [h["id"] for h in newest["heartbeats"]] == sorted(h["id"] for h in answered)[-10:]


def test_dates_begin_at_midnight_utc(account):
    account.send(beat(START_S - 72_001), beat(START_S - 72_000), beat(START_S))
    body = account.heartbeats(start="2024-05-06", end="2024-05-07")
    assert [h["time"] for h in body["heartbeats"]] == [START_S - 72_000, START_S]


def test_without_a_window_today_in_utc_is_listed(server):
    account = server.new_account(timezone="Asia/Kolkata")
    today = int(time.time()) // 86_400 * 86_400
    account.send(beat(today - 1), beat(today), beat(today + 86_399.5), beat(today + 86_400))
    body = account.heartbeats()
    if int(time.time()) // 86_400 * 86_400 == today:  # else midnight has just gone by
        assert [h["time"] for h in body["heartbeats"]] == [today, today + 86_399.5]
        assert body["total_seconds"] == 120
        assert instant(body["start_time"]) == today * 1_000_000
        assert (today + 86_399) * 1_000_000 <= instant(body["end_time"]) <= (today + 86_400) * 1_000_000


def test_a_user_without_heartbeats_gets_an_empty_list(account):
    for params in ({}, {"limit": 5}, {"start": "2024-05-06"}, {"end": "2024-05-06", "limit": 5}):
        body = account.heartbeats(**params)
        assert (body["heartbeats"], body["total_seconds"]) == ([], 0)


def test_most_recent_of_nothing(account):
    nothing = {"has_heartbeat": False, "heartbeat": None, "editor": None, "time_ago": None}
    assert account.get(RECENT).json() == nothing
    account.send(beat(START_S, entity="test.txt"))
    assert account.get(RECENT).json() == nothing


def test_most_recent_is_the_newest_by_time_without_test_files(account):
    agent = "wakatime/v1.90.0 (linux-6.1) go1.26.8 vscode/1.92.0 vscode-wakatime/24.6.0"
    newest = account.send(beat(START_S, lineno=1), beat(START_S + 5, user_agent=agent), beat(START_S + 4))[1]
    account.send(beat(START_S + 1), beat(START_S + 9, entity="test.txt"))
    body = account.get(RECENT).json()
    assert set(body) == {"has_heartbeat", "heartbeat", "editor", "time_ago"}
    assert body["has_heartbeat"] is True
    assert body["heartbeat"] == newest
    assert body["editor"].lower() == "vscode"


@pytest.mark.parametrize(
    "seconds_ago", [2, 100, 300, 44 * 60, 5_400, 7_300, 90_000, 3 * 86_400, 45 * 86_400, 400 * 86_400]
)
def test_time_ago_has_rails_wording(account, seconds_ago):
    then = time.time() - seconds_ago
    account.send(beat(then))
    before_us = time.time_ns() // 1000
    said = account.get(RECENT).json()["time_ago"]
    after_us = time.time_ns() // 1000
    assert said in {oracle_answers.time_ago(round(then * 1_000_000), now) for now in (before_us, after_us)}
