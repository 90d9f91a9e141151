"""A month's backlog of two machines at once, in any order, with repeats: exact, and not much slower than in order."""

import datetime as dt
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import oracle, oracle_ranges
from tests.e2e.history import beat, seen
from tests.server import HACKATIME, Server, eventually

ZONE = "America/Los_Angeles"
FIRST = dt.date(2024, 3, 1)  # on the 10th clocks go on
DAYS = 30
BULK = 25  # what wakatime-cli sends at most
COUNTED_WITHIN_S = 120


def month(seed, count):
    """Heartbeats of a month in order of time: days of work in runs, with gaps around the cap and equal instants."""
    rng = random.Random(seed)
    start_s = int(dt.datetime.combine(FIRST, dt.time(), dt.UTC).timestamp())
    made = []
    for day in range(DAYS):
        at = start_s + day * 86_400 + rng.randrange(40_000)
        for _ in range(count // DAYS):
            at = round(at + rng.choice([0, 0.5, 2, 30, 59.999999, 119.5, 120, 121]), 6)
            project, language = rng.choice(["alpha", "beta", None]), rng.choice(["Python", "Rust"])
            made.append(beat(at, project=project, language=language, lineno=rng.randrange(50)))
    return made


def in_bulks(beats, rng):
    """Bulks in any order, each in any order, one in ten sent twice."""
    beats = rng.sample(beats, len(beats))
    bulks = [beats[start : start + BULK] for start in range(0, len(beats), BULK)]
    bulks += rng.sample(bulks, len(bulks) // 10)
    rng.shuffle(bulks)
    return bulks


def send_from(account, machine, bulks):
    return [h for bulk in bulks for h in account.send(*bulk, settle=False, X_Machine_Name=machine)]


def count_of(account):
    listed = account.get(f"/api/v1/users/{account.user_id}/projects/details", start="2024-01-01", end="2025-01-01")
    return sum(project["total_heartbeats"] for project in listed.json()["projects"])


def wait_until_counted(account, known):
    wanted = sum(h["project"] is not None for h in known)
    assert eventually(lambda: count_of(account), wanted, COUNTED_WITHIN_S) == wanted


def assert_all_equals_the_oracle(account, known):
    last = FIRST + dt.timedelta(days=DAYS)
    today = oracle.local_day(ZONE, time.time_ns() // 1000)
    shown = account.get(f"{HACKATIME}/users/current/summaries", start=FIRST, end=last).json()
    assert shown == oracle_ranges.summaries(known, ZONE, FIRST, last, today)
    stats = account.stats(start_date="2024-01-01", end_date="2025-01-01", features="languages,projects")
    assert stats["total_seconds"] == oracle.total_seconds(known)
    for name, field in (("languages", "language"), ("projects", "project")):
        measured = {entry["name"]: entry["seconds"] for entry in stats[name]}
        assert measured == {value or "Other": s for value, s in oracle.group_seconds(known, field).items()}
    path = f"/api/summary?user_id={account.user_id}&start=2024-01-01&end=2024-12-31"
    assert account.get(path).json()["machines"] == oracle_ranges.key_totals(known, "machine")
    listed = account.heartbeats(start="2024-01-01", end="2025-01-01")["heartbeats"]
    assert [h["id"] for h in listed] == [h["id"] for h in known]


def ids_in_parquet(server, user_id):
    return [row[0] for row in server.parquet("SELECT id FROM lake WHERE user_id = ? ORDER BY time, id", user_id)]


@pytest.mark.parametrize("count", [3_000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_a_months_backlog_of_two_machines_in_any_order_is_exact(server, count):
    account = server.new_account(timezone=ZONE)
    rng = random.Random(count)
    # half of one machine's heartbeats are at the very instants of the other's
    desk = month(1, count // 2)
    laptop = month(2, count // 4) + rng.sample(desk, count // 4)
    with ThreadPoolExecutor(2) as pool:
        sending = [
            pool.submit(send_from, account, machine, in_bulks(beats, random.Random(machine)))
            for machine, beats in (("desk", desk), ("laptop", laptop))
        ]
        answered = [h for machine in sending for h in machine.result()]
    known = oracle.accepted(seen(answered))
    assert 0.9 * count < len(known) < len(answered)
    wait_until_counted(account, known)
    assert_all_equals_the_oracle(account, known)
    server.cli("flush", timeout_s=300)
    assert ids_in_parquet(server, account.user_id) == [h["id"] for h in known]
    assert_all_equals_the_oracle(account, known)
    assert server.cli("verify", timeout_s=300).returncode == 0


def cpu_s(server):
    """CPU seconds of all processes of the server so far."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue  # it has just ended
        if int(fields[2]) == server.process.pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cost_of(server, bulks):
    """Send to a new user, one bulk after another; give wall and CPU seconds until all is counted."""
    account = server.new_account(timezone=ZONE)
    began, used_s = time.monotonic(), cpu_s(server)
    wait_until_counted(account, oracle.accepted(seen(send_from(account, "desk", bulks))))
    return time.monotonic() - began, cpu_s(server) - used_s


@pytest.mark.soak
def test_a_backlog_in_any_order_costs_no_more_than_five_times_one_in_order(tmp_path, places, capsys):
    ordered = month(5, 30_000)
    disordered = random.Random(5).sample(ordered, len(ordered))
    with Server(tmp_path, **places.new()) as server:
        figures = [
            cost_of(server, [beats[start : start + BULK] for start in range(0, len(beats), BULK)])
            for beats in (ordered, disordered)
        ]
    (ordered_s, ordered_cpu_s), (disordered_s, disordered_cpu_s) = figures
    with capsys.disabled():
        print(f"\n30,000 heartbeats in order: {ordered_s:.1f} s, {ordered_cpu_s:.1f} s of CPU")
        print(f"in any order: {disordered_s:.1f} s, {disordered_cpu_s:.1f} s of CPU")
    assert disordered_cpu_s < 5 * ordered_cpu_s
