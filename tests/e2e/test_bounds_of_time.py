"""The first and last instants of anything: of time, years, months, days, ranges (semantics.md, sections 2, 4, 6)."""

import datetime as dt
import random

import pytest

from tests import oracle, oracle_answers, oracle_ranges
from tests.e2e.history import beat, seen

FIRST_US, LAST_US = 1_000_000_000_000_000, 1_999_999_999_999_999
"""2001-09-09 01:46:40 to 2033-05-18 03:33:19.999999: all that a heartbeat may be dated."""


def utc_us(*date):
    return int(dt.datetime(*date, tzinfo=dt.UTC).timestamp()) * 1_000_000


MIDNIGHTS = {
    "a day": utc_us(2024, 5, 7),
    "a month": utc_us(2024, 3, 1),
    "a year": utc_us(2025, 1, 1),
    "a leap day": utc_us(2024, 2, 29),
    "the next decade": utc_us(2030, 1, 1),
    "the last day": utc_us(2033, 5, 18),
    "the first whole day": utc_us(2001, 9, 10),
}


@pytest.mark.parametrize(
    "time",
    [
        "1970-01-01T00:00:00Z",
        0,
        "1980-01-01T00:00:00Z",
        315_532_800,
        315_532_800_000,
        315_532_800_000_000_000,
        "2001-09-09T01:46:39.9999994Z",
        "2033-05-18T03:33:20Z",
        2_147_483_648,
        "9999-12-31T23:59:59Z",
        253_402_300_799,
        253_402_300_799_000,
    ],
)
def test_what_is_too_old_or_too_far_ahead_is_refused_and_leaves_no_trace(account, time):
    account.send(beat(FIRST_US / 1_000_000))
    response = account.single(beat(time))
    assert (response.status_code, response.json()["type"]) == (422, "HeartbeatIngest::InvalidHeartbeatTime")
    account.server.settle()
    listed = account.heartbeats(start="0001-01-01", end="9999-12-31T23:59:59.999999Z")
    assert [h["time"] for h in listed["heartbeats"]] == [1_000_000_000]


@pytest.fixture(scope="module")
def old_and_new(server):
    """A user from the first instant that there is to the last, and their heartbeats around all midnights above."""
    account = server.new_account()
    times = [FIRST_US, FIRST_US + 1, FIRST_US + 50_000_000, LAST_US - 70_000_000, LAST_US - 1, LAST_US]
    for midnight in MIDNIGHTS.values():
        times += [midnight + offset for offset in (-100_000_000, -1_500_000, -1, 0, 1, 500_000, 40_000_000)]
    random.Random(3).shuffle(times)
    answered = []
    for start in range(0, len(times), 10):
        beats = [beat(time_us / 1_000_000, project=f"p{time_us % 2}") for time_us in times[start : start + 10]]
        answered += account.send(*beats, settle=False)
    server.settle()
    known = oracle.accepted(seen(answered))
    assert [h["time_us"] for h in known] == sorted(times)
    return account, known


def ranges():
    """Starts and ends beside midnights and inside days and seconds, equal and the wrong way round among them."""
    near = [midnight + offset for midnight in MIDNIGHTS.values() for offset in (-1, 0, 1, 250_000, 3_600_000_000)]
    near += [FIRST_US, FIRST_US + 1, LAST_US, LAST_US + 1, 0, utc_us(9999, 12, 31)]
    rng = random.Random(8)
    pairs = [tuple(rng.sample(near, 2)) for _ in range(30)]
    pairs += [(midnight, midnight) for midnight in MIDNIGHTS.values()]
    pairs += [(midnight - oracle.DAY_US, midnight) for midnight in MIDNIGHTS.values()]
    return [*pairs, (FIRST_US, LAST_US), (FIRST_US, LAST_US + 1), (0, utc_us(9999, 12, 31))]


def text(time_us):
    return f"{oracle.EPOCH + dt.timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%S.%fZ}"


def assert_all_ranges_equal_the_oracle(account, known):
    for start_us, end_us in ranges():
        bounds = {"start_date": text(start_us), "end_date": text(end_us)}
        for aware in (False, True):
            expected = oracle_answers.total_alone(known, start_us, end_us, aware=aware)
            assert account.total(**bounds, boundary_aware=str(aware).lower()) == expected["total_seconds"], bounds
        shown = account.stats(**bounds, features="projects")
        expected = oracle_answers.stats(known, vars(account), start_us, end_us, ("projects",))
        names = ("start", "end", "total_seconds", "daily_average", "human_readable_total")
        assert {n: shown["data"][n] for n in names} == {n: expected["data"][n] for n in names}
        assert {p["name"]: p["seconds"] for p in shown["projects"]} == {
            p["name"]: p["seconds"] for p in expected["projects"]
        }


def assert_all_windows_equal_the_oracle(account, known):
    for start_us, end_us in ranges():
        window = account.heartbeats(start=text(start_us), end=text(end_us))
        expected = oracle.window(known, start_us, end_us)
        assert [h["id"] for h in window["heartbeats"]] == expected["ids"]
        assert window["total_seconds"] == expected["total_seconds"]
        spans = account.get(
            f"/api/v1/users/{account.user_id}/heartbeats/spans", start_date=text(start_us), end_date=text(end_us)
        )
        assert spans.json() == {"spans": oracle_ranges.spans(known, start_us, end_us)}
        details = account.get(
            f"/api/v1/users/{account.user_id}/projects/details", start=text(start_us), end=text(end_us)
        )
        assert details.json() == {"projects": oracle_ranges.project_details(known, start_us, end_us)}


def test_ranges_beside_any_bound_equal_the_oracle_in_tail_and_lake(server, old_and_new):
    account, known = old_and_new
    assert_all_ranges_equal_the_oracle(account, known)
    assert_all_windows_equal_the_oracle(account, known)
    server.cli("flush")
    assert_all_ranges_equal_the_oracle(account, known)
    assert_all_windows_equal_the_oracle(account, known)


def test_what_is_dated_ahead_is_the_most_recent_and_no_streak(old_and_new):
    account, known = old_and_new
    assert account.get("/api/v1/my/heartbeats/most_recent").json()["heartbeat"]["time"] == LAST_US / 1_000_000
    assert account.heartbeats(limit=3)["heartbeats"][0]["time"] == (LAST_US - 70_000_000) / 1_000_000
    assert account.stats()["data"]["streak"] == 0
    assert account.stats()["total_seconds"] < oracle.total_seconds(known)  # by default, until the end of today
