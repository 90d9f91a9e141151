"""Local days one by one over HTTP, sent through ingest (semantics.md, section 7)."""

import datetime as dt
import time

import pytest

from tests import oracle, oracle_ranges
from tests.e2e.history import beat, mixed, seen
from tests.server import HACKATIME

START_S = int(dt.datetime(2024, 5, 6, 20, tzinfo=dt.UTC).timestamp())
PATH = f"{HACKATIME}/users/current/summaries"


def summaries(account, **params):
    response = account.get(PATH, **params)
    assert response.status_code == 200, response.text
    return response.json()


def test_example_18(account):
    beats = ((0, "a"), (60, "a"), (300, "b"), (330, "a"))
    account.send(*(beat(START_S + offset, project=project) for offset, project in beats))
    (day,) = summaries(account, start="2024-05-06", end="2024-05-06")["data"]
    assert day["grand_total"]["total_seconds"] == 210
    assert {p["name"]: p["total_seconds"] for p in day["projects"]} == {"a": 180, "b": 30}
    stats = account.stats(start_date="2024-05-06", end_date="2024-05-07")
    assert {p["name"]: p["seconds"] for p in stats["projects"]} == {"a": 180, "b": 0}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Los_Angeles"])
def test_days_equal_the_oracle_as_late_heartbeats_arrive(server, zone):
    account = server.new_account(timezone=zone)
    sent = mixed(25, START_S, 200_000)
    first, last = dt.date(2024, 5, 5), dt.date(2024, 5, 9)
    answered = []
    for part in (sent[40:], sent[:20], sent[20:40]):
        answered += seen(account.send(*part))
        today = oracle.local_day(zone, time.time_ns() // 1000)
        for project in (None, "alpha"):
            named = {"project": project} if project else {}
            expected = oracle_ranges.summaries(answered, zone, first, last, today, project)
            assert summaries(account, start=first, end=last, branches="", **named) == expected
            assert expected["cumulative_total"]["seconds"] > 0
        elsewhere = oracle_ranges.summaries(answered, "Asia/Kathmandu", first, last, today)
        assert summaries(account, start=first, end=last, timezone="Asia/Kathmandu") == elsewhere


@pytest.mark.parametrize(
    "params", [{}, {"start": "2024-05-06"}, {"start": "2024-05-06", "end": "2025-05-07"}, {"start": "x", "end": "y"}]
)
def test_bad_input_is_a_400(account, params):
    response = account.get(PATH, **params)
    assert (response.status_code, list(response.json())) == (400, ["error"])
