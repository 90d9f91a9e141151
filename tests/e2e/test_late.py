"""Heartbeats that come late change every answer about their own time, at once, and no other (design.md)."""

import datetime as dt
import json
import time

import pytest

from tests import oracle, oracle_answers, oracle_ranges
from tests.e2e.history import beat, mixed, seen
from tests.server import HACKATIME, eventually
from tests.today import UTC_OR_FAR, midnight_s, quiet_zone

pytestmark = pytest.mark.distributed

RIGHT_WITHIN_S = 10
"""For a busy machine; a second is the promise, and what it took is printed."""

DAYS_BACK = (0, 1, 40, 400, 3000)

OF_TODAY = {
    "status bar": f"{HACKATIME}/users/current/statusbar/today",
    "week": f"{HACKATIME}/users/current/stats/last_7_days",
}
OF_A_DAY = {
    "stats": "/api/v1/users/current/stats?start_date={day}&end_date={next}&features=languages,projects",
    "total of a category": "/api/v1/users/current/stats?start_date={day}&end_date={next}&total_seconds=true"
    "&filter_by_category=coding,debugging",
    "boundary-aware total": "/api/v1/users/current/stats?start_date={day}T02:00:00Z&end_date={day}T22:00:00Z"
    "&total_seconds=true&boundary_aware=true",
    "days": f"{HACKATIME}/users/current/summaries?start={{day}}&end={{day}}",
    "days of a project": f"{HACKATIME}/users/current/summaries?start={{day}}&end={{day}}&project=alpha",
    "list": "/api/v1/my/heartbeats?start={day}&end={day}T23:59:59.999999Z",
    "spans": "/api/v1/users/current/heartbeats/spans?start_date={day}&end_date={day}T23:59:59.999999Z",
    "details": "/api/v1/users/current/projects/details?start={day}&end={day}T23:59:59.999999Z",
    "WakaTime's days": "/api/compat/wakatime/v1/users/current/summaries?start={day}&end={day}",
}
"""Everything about one UTC day, for a user in UTC."""


class Person:
    """A user with work on some days, and how the oracle knows it."""

    def __init__(self, server, seed):
        self.account = server.new_account(timezone=quiet_zone(*UTC_OR_FAR))
        self.known = []
        for days in DAYS_BACK:
            for near in (-1, 0, 1):
                start_s = midnight_s(self.account.timezone) - (days + near) * 86_400 + 30_000
                self.send(mixed(seed + near, start_s, 30_000, count=40))

    def send(self, beats):
        self.known = oracle.accepted(self.known + seen(self.account.send(*beats, settle=False)))

    def answers(self, dates):
        """The bytes of every answer about some days."""
        paths = [p.format(day=d, next=d + dt.timedelta(days=1)) for d in dates for p in OF_A_DAY.values()]
        return {path: self.read(path) for path in paths}

    def read(self, path):
        response = self.account.get(path)
        assert response.status_code == 200, response.text
        return response.content

    def date(self, days_back):
        return dt.datetime.fromtimestamp(self.noon_s(days_back), dt.UTC).date()

    def noon_s(self, days_back):
        return midnight_s(self.account.timezone) - days_back * 86_400 + 43_200


@pytest.fixture(scope="module")
def people(server):
    made = Person(server, 100), Person(server, 100)
    server.settle()
    return made


def expected_of_day(person, date):
    """What the oracle says about a UTC day: total, projects, listed ids, spans, details."""
    start_us = int(dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()) * 1_000_000
    end_us = start_us + oracle.DAY_US
    inside = oracle.between(person.known, start_us, end_us)
    cut = start_us + 2 * 3_600_000_000, start_us + 22 * 3_600_000_000
    return {
        "stats": (oracle.total_seconds(inside), sorted(oracle.group_seconds(inside, "project").values())),
        "total of a category": oracle_answers.total_alone(inside, start_us, end_us, None, {"coding", "debugging"}),
        "boundary-aware total": oracle_answers.total_alone(person.known, *cut, aware=True),
        "list": [h["id"] for h in inside],
        "spans": oracle_ranges.spans(person.known, start_us, end_us - 1),
        "details": oracle_ranges.project_details(person.known, start_us, end_us - 1),
    }


def read_of_day(person, date):
    def body(name):
        return json.loads(person.read(OF_A_DAY[name].format(day=date, next=date + dt.timedelta(days=1))))

    stats = body("stats")
    return {
        "stats": (stats["total_seconds"], sorted(p["seconds"] for p in stats["projects"])),
        "total of a category": body("total of a category"),
        "boundary-aware total": body("boundary-aware total"),
        "list": [h["id"] for h in body("list")["heartbeats"]],
        "spans": body("spans")["spans"],
        "details": body("details")["projects"],
    }


def expected_of_local_day(person, date):
    zone, now_us = person.account.timezone, time.time_ns() // 1000
    today = oracle.local_day(zone, now_us)
    return {
        "bar": oracle.today_seconds(person.known, zone, now_us),
        "week": oracle_ranges.last_7_days(person.known, zone, now_us)["projects"],
        "streak": oracle.streak(person.known, zone, now_us),
        "days": oracle_ranges.summaries(person.known, zone, date, date, today),
        "days of a project": oracle_ranges.summaries(person.known, zone, date, date, today, "alpha"),
    }


def read_of_local_day(person, date):
    return {
        "bar": json.loads(person.read(OF_TODAY["status bar"]))["data"]["grand_total"]["total_seconds"],
        "week": json.loads(person.read(OF_TODAY["week"]))["data"]["projects"],
        "streak": person.account.stats()["data"]["streak"],
        "days": json.loads(person.read(OF_A_DAY["days"].format(day=date))),
        "days of a project": json.loads(person.read(OF_A_DAY["days of a project"].format(day=date))),
    }


def late_beats(person, days_back):
    """Half an hour of work, out of order, among and away from what there is; worth a streak on its day."""
    start_s = person.noon_s(days_back)
    beats = [beat(start_s + n * 61.5, project="alpha", language="Late", category="coding") for n in range(30)]
    return beats[::2] + beats[1::2]


def seconds_until_counted(person, date, beats):
    """Send, and measure how long after the answer the day's total is right."""
    start_us = int(dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()) * 1_000_000
    sent = [b | {"time_us": round(b["time"] * 1_000_000)} for b in beats]
    wanted = oracle.total_seconds(oracle.between(person.known + sent, start_us, start_us + oracle.DAY_US))
    bounds = {"start_date": date, "end_date": date + dt.timedelta(days=1)}
    assert person.account.total(**bounds) < wanted
    person.send(beats)
    answered = time.monotonic()
    assert eventually(lambda: person.account.total(**bounds), wanted, RIGHT_WITHIN_S) == wanted
    return time.monotonic() - answered


@pytest.mark.parametrize("days_back", DAYS_BACK)
def test_late_heartbeats_change_every_answer_about_their_day_at_once_and_no_other(people, days_back, capsys):
    person, other = people
    date = person.date(days_back)
    neighbours = [date + dt.timedelta(days=n) for n in (-1, 1)]
    elsewhere = neighbours + [person.date(days) for days in DAYS_BACK if abs(days - days_back) > 1]
    before, others = person.answers(elsewhere), other.answers([date, *elsewhere])
    todays = {path: person.read(path) for path in OF_TODAY.values()}
    of_the_day = person.answers([date])
    delay_s = seconds_until_counted(person, date, late_beats(person, days_back))
    with capsys.disabled():
        print(f"\nheartbeats {days_back} days late: counted {delay_s * 1000:.0f} ms after the answer")
    wanted = expected_of_day(person, date), expected_of_local_day(person, date)
    right = eventually(lambda: (read_of_day(person, date), read_of_local_day(person, date)), wanted, RIGHT_WITHIN_S)
    assert right == wanted
    changed = person.answers([date])
    assert [path for path in of_the_day if changed[path] == of_the_day[path]] == []
    assert person.answers(elsewhere) == before
    assert other.answers([date, *elsewhere]) == others
    if days_back > 7:
        assert {path: person.read(path) for path in OF_TODAY.values()} == todays


def test_late_heartbeats_come_to_the_parquet_files_of_their_own_dates_alone(server, people):
    person, _ = people
    server.cli("flush")
    before = rows_by_date(server)
    person.send([beat(person.noon_s(days) + 5, project="late", lineno=1) for days in (40, 400)])
    person.send([beat(person.noon_s(40) + 5, project="late", lineno=1)])  # a repeat is no second row
    server.cli("flush")
    grown = {str(person.date(days)): before[str(person.date(days))] + 1 for days in (40, 400)}
    assert rows_by_date(server) == before | grown
    listed = server.parquet("SELECT id FROM lake WHERE user_id = ? ORDER BY time, id", person.account.user_id)
    assert [row[0] for row in listed] == [h["id"] for h in person.known]


def rows_by_date(server):
    return dict(server.parquet("SELECT CAST(date AS VARCHAR), count(*) FROM lake GROUP BY 1"))
