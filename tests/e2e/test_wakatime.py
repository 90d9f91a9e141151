"""WakaTime's own routes on a running server, where ingest has paths beside them (clients.md, section 5)."""

import datetime as dt
import time

import pytest

from tests import oracle, oracle_answers
from tests.e2e.history import beat, mixed, seen
from tests.server import PREFIXES
from tests.today import UTC_OR_FAR, midnight_s, quiet_zone

WAKATIME = PREFIXES[1:]
START_S = int(dt.datetime(2024, 5, 6, 20, tzinfo=dt.UTC).timestamp())


@pytest.fixture(scope="module")
def history(server):
    account = server.new_account(timezone="Asia/Kolkata")
    sent = mixed(26, START_S, 200_000)
    return account, seen(account.send(*sent[30:], settle=False) + account.send(*sent[:30]))


def get(account, path, **params):
    response = account.get(path, **params)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("prefix", WAKATIME)
@pytest.mark.parametrize("name", ["current", "own"])
def test_all_time_and_stats_equal_the_oracle(history, prefix, name):
    account, answered = history
    users = f"{prefix}/users/{'current' if name == 'current' else account.username}"
    total = oracle.total_seconds(oracle.accepted(answered))
    everything = get(account, f"{users}/all_time_since_today")["data"]
    assert (everything["total_seconds"], everything["text"]) == (total, oracle_answers.long_text(total))
    for path in ("stats/all_time", "stats/2024", "stats/2024-05"):
        data = get(account, f"{users}/{path}")["data"]
        assert (data["total_seconds"], data["human_readable_total"]) == (total, oracle_answers.long_text(total))
        languages = [(e["name"], e["total_seconds"]) for e in data["languages"]]
        expected = oracle.group_seconds(oracle.accepted(answered), "language").values()
        assert sorted(seconds for _, seconds in languages) == sorted(s for s in expected if s > 0)


@pytest.mark.parametrize("prefix", WAKATIME)
def test_a_days_heartbeats_come_from_the_path_that_takes_them(history, prefix):
    account, answered = history
    day = dt.date(2024, 5, 7)
    expected = [
        str(h["id"]) for h in oracle.accepted(answered) if oracle.local_day(account.timezone, h["time_us"]) == day
    ]
    shown = get(account, f"{prefix}/users/current/heartbeats", date=str(day))
    assert [h["id"] for h in shown["data"]] == expected
    assert expected
    assert account.post(f"{prefix}/users/current/heartbeats", beat(START_S - 86_400)).status_code == 202
    assert account.get(f"{prefix}/users/current/heartbeats").status_code == 400
    assert account.server.http.put(f"{prefix}/users/current/heartbeats").status_code == 405


@pytest.mark.parametrize("prefix", WAKATIME)
def test_todays_widgets_agree_with_the_status_bar(server, prefix):
    account = server.new_account(timezone=quiet_zone(*UTC_OR_FAR))
    start = midnight_s(account.timezone)
    account.send(*(beat(start + 100 * i, project="app", language="Python") for i in range(40)))
    total = account.statusbar(prefix)
    users = f"{prefix}/users/current"
    for query in ({"start": "today", "end": "today"}, {"range": "today"}):
        summaries = get(account, f"{users}/summaries", **query)
        assert summaries["data"][0]["grand_total"] == total
        assert [(p["name"], p["total_seconds"]) for p in summaries["data"][0]["projects"]] == [("app", 3900)]
    for name in ("today", "last_7_days"):
        assert get(account, f"{users}/stats/{name}")["data"]["total_seconds"] == total["total_seconds"] == 3900


def test_where_hackatime_has_the_path_its_answer_stays(history):
    account, _ = history
    assert set(get(account, "/api/v1/users/current/stats")) >= {"user", "languages", "trust_factor"}
    assert set(get(account, "/api/v1/users/current/projects", since="2024-01-01")) == {"projects"}
    projects = get(account, "/api/compat/wakatime/v1/users/current/projects")
    assert {p["name"] for p in projects["data"]} == {"alpha", "beta", "Beta"}
    assert get(account, "/api/compat/wakatime/v1/users/current/stats")["data"]["range"] == "last_7_days"


def test_ten_years_are_answered_in_bounded_time(server):
    account = server.new_account()
    start = int(time.time()) - 3_650 * 86_400
    account.send(*(beat(start + 36 * 86_400 * i, project=f"p{i % 7}") for i in range(100)))
    began = time.monotonic()
    for path in ("stats/all_time", "stats/last_year", "all_time_since_today"):
        get(account, f"/api/v1/users/current/{path}")
    assert time.monotonic() - began < 5
