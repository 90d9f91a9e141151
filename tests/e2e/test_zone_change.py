"""A user's later change of zone: readers see the old zone's days or the new one's, never a mixture (design.md)."""

import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import oracle, oracle_answers, oracle_ranges, zones
from tests.e2e.history import beat, seen
from tests.server import HACKATIME, eventually
from tests.today import NOT_UTC, UTC_OR_FAR, quiet_zone

pytestmark = pytest.mark.distributed

COMPAT = "/api/compat/wakatime/v1/users/current"
PATHS = {
    "bar": f"{HACKATIME}/users/current/statusbar/today",
    "detailed bar": f"{COMPAT}/statusbar/today",
    "week": f"{HACKATIME}/users/current/stats/last_7_days",
    "days": f"{HACKATIME}/users/current/summaries?start={{first}}&end={{today}}",
    "days of a project": f"{HACKATIME}/users/current/summaries?start={{first}}&end={{today}}&project=alpha",
    "WakaTime's days": f"{COMPAT}/summaries?start={{first}}&end={{today}}",
    "WakaTime's week": f"{COMPAT}/stats/last_7_days",
    "streak": "/api/v1/users/current/stats?start_date=2024-01-01&end_date=2030-01-01",
}
"""Everything that depends on the user's zone."""

NEVER_SAME = ("cached_at", "created_at", "modified_at")


@pytest.fixture(scope="module")
def moving(server):
    """A user with heartbeats around the midnights of two zones, on the last days of both; and these zones.

    Local days are computed again from lake and tail together: each holds heartbeats of both zones' days.
    """
    both = quiet_zone(*NOT_UTC), quiet_zone(*UTC_OR_FAR)
    account = server.new_account(timezone=both[0])
    answered = []
    for seed, zone in enumerate(both):
        today = oracle.local_day(zone, time.time_ns() // 1000)
        bounds = zones.bounds_us(zone, today - dt.timedelta(days=9), today)
        worked = [(bound + minute * 60_000_000, "gamma") for bound in bounds[:-1] for minute in range(-8, 9)]
        instants = zones.around(bounds, seed) + worked
        for start in range(0, len(instants), 50):
            beats = [beat(time_us / 1_000_000, project=project) for time_us, project in instants[start : start + 50]]
            answered += account.send(*beats, settle=False)
        server.settle()
        if zone == both[0]:
            server.cli("flush")  # the first zone's heartbeats are in Parquet, the second one's in the tail
    return account, both, oracle.accepted(seen(answered))


def read(account, name):
    today = dt.datetime.now(dt.UTC).date()
    response = account.get(PATHS[name].format(first=today - dt.timedelta(days=8), today=today))
    assert response.status_code == 200, response.text
    body = response.json()
    for holder in (body, body.get("data")):
        for field in NEVER_SAME:
            if isinstance(holder, dict):
                holder.pop(field, None)
    return body


def equals_the_oracle(account, zone, known):
    """The answers of a zone at rest, compared with the oracle."""
    now_us = time.time_ns() // 1000
    today = oracle.local_day(zone, now_us)
    seconds = oracle.today_seconds(known, zone, now_us)
    grand_total = {"total_seconds": seconds, "text": oracle_answers.long_text(seconds)}
    assert eventually(lambda: read(account, "bar"), {"data": {"grand_total": grand_total}}) == {
        "data": {"grand_total": grand_total}
    }
    week = oracle_ranges.last_7_days(known, zone, now_us)
    assert read(account, "week")["data"]["projects"] == week["projects"]
    assert read(account, "streak")["data"]["streak"] == oracle.streak(known, zone, now_us)
    asked = dt.datetime.now(dt.UTC).date()
    for name, project in (("days", None), ("days of a project", "alpha")):
        expected = oracle_ranges.summaries(known, zone, asked - dt.timedelta(days=8), asked, today, project)
        assert eventually(lambda name=name: read(account, name), expected) == expected


def test_during_a_change_of_zone_every_answer_is_of_the_old_or_the_new_zone(server, moving):
    account, both, known = moving
    equals_the_oracle(account, both[0], known)
    at_rest = {name: [read(account, name)] for name in PATHS}
    stop, seen_since = threading.Event(), {name: [] for name in PATHS}

    def follow(name):
        while not stop.is_set():
            seen_since[name].append(read(account, name))

    with ThreadPoolExecutor(len(PATHS)) as pool:
        readers = [pool.submit(follow, name) for name in PATHS]
        try:
            for zone in (both[1], both[0], both[1]):
                server.cli("users", "set", account.username, "--timezone", zone)
        finally:
            stop.set()
        for reader in readers:
            reader.result()
    equals_the_oracle(account, both[1], known)
    for name in PATHS:
        at_rest[name].append(read(account, name))
        for answer in seen_since[name]:
            assert answer in at_rest[name], name
        assert len(seen_since[name]) > 3
    changed = [name for name, (old, new) in at_rest.items() if old != new]
    assert set(changed) >= {"bar", "detailed bar", "week", "days", "days of a project"}
    assert at_rest["streak"][0]["data"]["streak"] > 1
