"""A user's projects over HTTP, sent through ingest (semantics.md, section 7)."""

import datetime as dt
import time
from urllib.parse import quote

from tests import oracle_ranges
from tests.e2e.history import beat, mixed, seen

START_S = int(dt.datetime(2024, 5, 6, 20, tzinfo=dt.UTC).timestamp())
BOUNDS = {"start": "2024-05-06T21:00:00Z", "end": "2024-05-08"}


def get(account, path, **params):
    response = account.server.http.get(f"/api/v1/users/{account.username}{path}", params=params or None)
    assert response.status_code == 200, response.text
    return response.json()


def test_details_equal_the_oracle(account):
    sent = mixed(22, START_S, 100_000)
    answered = seen(account.send(*sent[30:], settle=False) + account.send(*sent[:30]))
    start_us, end_us = (START_S + 3600) * 1_000_000, int(dt.datetime(2024, 5, 8, tzinfo=dt.UTC).timestamp()) * 1_000_000
    expected = oracle_ranges.project_details(answered, start_us, end_us)
    assert get(account, "/projects/details", **BOUNDS) == {"projects": expected}
    assert {project["name"] for project in expected} == {"alpha", "beta", "Beta"}
    for project in expected:
        assert get(account, f"/project/{project['name']}", **BOUNDS) == project
    assert get(account, "/projects", since=BOUNDS["start"], until=BOUNDS["end"]) == {
        "projects": sorted(project["name"] for project in expected)
    }


def test_names_are_those_of_the_last_thirty_days(account):
    now = int(time.time())
    account.send(
        beat(now - 5, project="now"),
        beat(now - 29 * 86_400, project="29 days"),
        beat(now - 32 * 86_400, project="32 days"),
        beat(now + 86_400, project="to come"),
    )
    assert get(account, "/projects") == {"projects": ["29 days", "now"]}


def test_names_with_slashes_and_of_routes_are_found(account):
    now = int(time.time())
    for name in ("team/site", "stats", "a/trust_factor", "50% ü?&"):
        account.send(beat(now - 100, project=name), beat(now - 60, project=name))
        for quoted in (quote(name), quote(name, safe="")):
            assert get(account, f"/project/{quoted}")["total_seconds"] == 40
    missing = account.get("/api/v1/users/current/project/team")
    assert (missing.status_code, missing.json()) == (404, {"error": "found nuthin"})
