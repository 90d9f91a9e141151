"""Ten years of one user: every answer comes in bounded time, from tail and from lake."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import oracle
from tests.e2e.history import beat, seen
from tests.server import HACKATIME, Server, eventually

DAYS = 3_650
A_DAY = 55
ANSWERED_WITHIN_S = 20
"""For a busy machine, where scans of everything take about a second; a scan ends with 503 at that."""

USER = "/api/v1/users/current"
PATHS = [
    f"{USER}/stats",
    f"{USER}/stats?features=projects,languages&start_date=2017-01-01T10:00:00&end_date=2026-01-01T11:11:11",
    f"{USER}/stats?features=projects,languages&filter_by_project=all along",
    f"{USER}/stats?total_seconds=true&boundary_aware=true",
    f"{USER}/stats?test_param=true&features=projects",
    f"{USER}/heartbeats/spans",
    f"{USER}/projects/details?start=2016-01-01",
    f"{USER}/all_time_since_today",
    "/api/compat/wakatime/v1/users/current/stats/all_time",
    f"{HACKATIME}/users/current/statusbar/today",
    f"{HACKATIME}/users/current/stats/last_7_days",
    f"{HACKATIME}/users/current/summaries?start={{year_ago}}&end={{today}}",
    "/api/v1/my/heartbeats?limit=100",
    "/api/v1/my/heartbeats/most_recent?editor=none",
    "/api/v1/stats",
]


def ten_years(now_s):
    """Heartbeats of every day, in order."""
    rng = random.Random(10)
    made = []
    for day in range(DAYS):
        at = now_s // 86_400 * 86_400 - (DAYS - day) * 86_400 + 36_000 + rng.randrange(20_000)
        for _ in range(A_DAY):
            at += rng.choice([5, 30, 60, 110, 119.5, 130, 400])
            project = rng.choice(["all along", f"of {day // 200}"])
            category = rng.choice(["coding", "coding", "browsing", "debugging"])
            made.append(beat(at, project=project, language=rng.choice(["Python", "Go"]), category=category))
    return made


def send_all(account, beats):
    parts = [beats[start : start + 100] for start in range(0, len(beats), 100)]
    with ThreadPoolExecutor(8) as pool:
        answered = [h for part in pool.map(lambda part: account.send(*part, settle=False), parts) for h in part]
    return oracle.accepted(seen(answered))


def times_of(account):
    """Seconds that each path takes, all of which must answer."""
    today = time.gmtime()
    dates = {"today": time.strftime("%Y-%m-%d", today), "year_ago": f"{today.tm_year - 1}-{today.tm_mon:02d}-28"}
    taken = {}
    for path in PATHS:
        began = time.monotonic()
        response = account.get(path.format(**dates))
        taken[path] = time.monotonic() - began
        assert response.status_code == 200, (path, response.text)
    return taken


@pytest.mark.soak
def test_ten_years_are_answered_in_bounded_time(tmp_path, places, capsys):
    with Server(tmp_path, **places.new()) as server:
        account = server.new_account(timezone="America/Los_Angeles")
        known = send_all(account, ten_years(int(time.time())))
        everything = {"start_date": "2016-01-01", "end_date": "2033-01-01"}
        total = oracle.total_seconds(known)
        assert eventually(lambda: account.total(**everything), total, within_s=300) == total
        of_tail = times_of(account)
        server.cli("flush", timeout_s=600)
        assert account.total(**everything) == total
        of_lake = times_of(account)
        along = [h for h in known if h["project"] == "all along"]
        measured = account.total(**everything, filter_by_project="all along", filter_by_category="coding")
        assert measured == oracle.total_seconds(oracle.selected(along, categories=["coding"]))
    with capsys.disabled():
        print(f"\n{len(known):,} heartbeats of ten years, milliseconds from tail and from lake:")
        for path in PATHS:
            print(f"{of_tail[path] * 1000:8.0f} {of_lake[path] * 1000:8.0f}  {path}")
    assert max(*of_tail.values(), *of_lake.values()) < ANSWERED_WITHIN_S
