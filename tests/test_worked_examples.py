"""The worked examples of semantics.md, section 6, by their numbers there: sent through ingest, read from the API."""

import datetime as dt

import pytest

from tests.server import eventually
from tests.today import UTC_OR_FAR, midnight_s, quiet_zone, wait_for_a_quiet_moment
from tests.worked_examples import EXAMPLES, beats

pytestmark = pytest.mark.distributed

BASE_S = int(dt.datetime(2024, 3, 5, 10, tzinfo=dt.UTC).timestamp())
DAY = {"start_date": "2024-03-05", "end_date": "2024-03-06"}


def as_sent(offsets, base_s):
    """Heartbeats of an example as a plugin sends them."""
    return [
        {
            "entity": "notes",
            "type": "app",
            "time": b["time_us"] / 1_000_000,
            "project": b["project"],
            "language": b["language"],
        }
        for b in beats(offsets, base_s * 1_000_000)
    ]


def iso(offset_s):
    return f"{dt.datetime.fromtimestamp(BASE_S + offset_s, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("one_by_one", [False, True], ids=["in one request", "one by one"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_stats_give_the_worked_figures(account, example, one_by_one):
    sent = as_sent(example.offsets, BASE_S)
    for request in [[h] for h in sent] if one_by_one else [sent]:
        account.send(*request, settle=False)
    account.server.settle()
    answer = account.stats(features="projects,languages", **DAY)
    assert answer["total_seconds"] == answer["data"]["total_seconds"] == example.total
    for field, expected in example.groups.items():
        named = {value or "Other": seconds for value, seconds in expected.items()}
        assert {e["name"]: e["total_seconds"] for e in answer["data"][f"{field}s"]} == named
        assert {e["name"]: e["seconds"] for e in answer[f"{field}s"]} == named


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_the_status_bar_gives_the_worked_totals(server, example):
    account = server.new_account(timezone=quiet_zone(*UTC_OR_FAR))
    account.send(*as_sent(example.offsets, midnight_s(account.timezone)))
    assert account.statusbar()["total_seconds"] == example.total


def test_example_14_a_late_heartbeat_adds_what_it_proves(account):
    account.send(*as_sent("0 3600", BASE_S))
    assert account.total(**DAY) == 120
    account.send(*as_sent("1800", BASE_S))
    assert account.total(**DAY) == 240


def test_example_15_late_heartbeats_of_another_project_leave_the_total(account):
    account.send(*as_sent("0a 100a", BASE_S))
    for late, of_b in (("40b", 0), ("70b", 30)):
        account.send(*as_sent(late, BASE_S))
        answer = account.stats(features="projects", **DAY)
        assert answer["total_seconds"] == 100
        assert {e["name"]: e["seconds"] for e in answer["projects"]} == {"a": 100, "b": of_b}


@pytest.mark.parametrize(("start", "end", "expected"), [(60, 200, 60), (60, 160, 0), (161, 401, 0), (500, 600, 0)])
def test_example_16_a_range_counts_nothing_before_its_first_heartbeat(account, start, end, expected):
    account.send(*as_sent("0 50 100 160 400", BASE_S))
    bounds = {"start_date": iso(start), "end_date": iso(end)}
    assert account.total(**bounds) == expected
    assert account.stats(**bounds)["total_seconds"] == expected


def test_example_19_local_days_are_measured_apart_and_the_utc_day_holds_them_all(server):
    zone = "Asia/Kolkata"
    wait_for_a_quiet_moment(zone)
    account, midnight = server.new_account(timezone=zone), midnight_s(zone)
    account.send(*as_sent("-90 -30 30 150 400", midnight))
    assert account.statusbar()["total_seconds"] == 240
    utc_date = dt.datetime.fromtimestamp(midnight, dt.UTC).date()
    utc_day = {"start_date": str(utc_date), "end_date": str(utc_date + dt.timedelta(days=1))}
    assert account.total(**utc_day) == 360


@pytest.mark.parametrize(
    ("zone", "date", "start", "end"),
    [
        ("Pacific/Auckland", "2025-09-28", 1758974400, 1759057200),
        ("America/St_Johns", "2025-11-02", 1762050600, 1762140600),
    ],
)
def test_example_20_days_of_23_and_25_hours_hold_their_own_heartbeats(server, zone, date, start, end):
    account = server.new_account(timezone=zone)
    offsets = f"-10 -0.000001 0 30 {end - start - 20} {end - start - 0.000001:.6f} {end - start} {end - start + 50}"
    account.send(*as_sent(offsets, start))
    query = (
        "SELECT date::text AS date, seconds FROM daily_stats "
        f"WHERE user_id = {account.user_id} AND calendar = '{zone}' AND dimension = 'total' ORDER BY date"
    )
    day = dt.date.fromisoformat(date)
    expected = {str(day - dt.timedelta(days=1)): 10, date: 30 + 120 + 20, str(day + dt.timedelta(days=1)): 50}
    read = eventually(lambda: {row["date"]: round(row["seconds"]) for row in server.sql(query)}, expected, 2)
    assert read == expected
