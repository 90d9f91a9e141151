"""The cases that are measured, each against a server of its own on a fresh folder."""

import datetime as dt
import itertools
import json
import pathlib
import time
from collections.abc import Sequence

from benchmarks.driver import Connection, Outcome, closed_loop
from benchmarks.heartbeats import Developer
from benchmarks.report import Figures, Row, percentile_ms
from benchmarks.server import Server, running

USERS = 50
CONCURRENCY = 8
BULK = 25  # the most that wakatime-cli sends at once
STEP_S = 30.0
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
MOST_PER_S = {1: 8_000, BULK: 64_000}  # heartbeats made ahead; a server that is faster ends its loop early
FRESH_SAMPLES = 200
SMALL_DAY, LARGE_DAY = 200, 5_000  # heartbeats today of the users whose status bar is read
DAY_STEP_S = {SMALL_DAY: 60.0, LARGE_DAY: 15.0}
POLL_S = 0.001


def ingest(data: pathlib.Path, name: str, batch: int, seconds: float) -> Figures:
    """Measure heartbeats taken in, a closed loop of `seconds`, and the way of the last of them to Parquet."""
    with running(data, list(itertools.islice(itertools.cycle(ZONES), USERS))) as server:
        each = int(MOST_PER_S[batch] * seconds) // USERS
        start_s = time.time() - each * STEP_S
        developers = _developers(server.keys, start_s, STEP_S)
        requests = [_requests(developer, each, batch) for developer in developers]
        lanes = [list(_in_turn(requests[lane::CONCURRENCY])) for lane in range(CONCURRENCY)]
        cpu_s = server.cpu_s()
        outcome = closed_loop(server.port, lanes, seconds)
        flush_s = server.flush()
        taken = outcome.items if batch > 1 else outcome.requests
        row = _row(outcome, server.cpu_s() - cpu_s, taken)
        row["parquet_s"] = flush_s
        row["parquet_per_s"] = taken / (outcome.elapsed_s + flush_s)
        return {name: row}


def reads(data: pathlib.Path, seconds: float) -> Figures:
    """Measure how soon an acknowledged heartbeat shows, then status bars of users with a short and a long day."""
    with running(data, [_zone_far_from_midnight()] * USERS * 2) as server:
        figures = {"acknowledged to shown in the status bar, at rest": _freshness(server, server.keys[:10])}
        for size, keys in ((SMALL_DAY, server.keys[USERS : USERS + 25]), (LARGE_DAY, server.keys[USERS + 25 :])):
            readers = _fill_today(server, keys, size)
            cpu_s = server.cpu_s()
            lanes = [itertools.cycle(r.status_bar() for r in readers[n::CONCURRENCY]) for n in range(CONCURRENCY)]
            outcome = closed_loop(server.port, lanes, seconds)
            figures[f"status bars, {size:,} heartbeats today"] = _row(outcome, server.cpu_s() - cpu_s, outcome.requests)
        return figures


def _freshness(server: Server, keys: Sequence[str]) -> Row:
    """Send heartbeats a minute apart, one at a time, and ask for the status bar until its total has grown."""
    connection = Connection(server.port)
    developers = _developers(keys, _today_s(), 60.0)
    for developer in developers:
        connection.ask(developer.bulk(1))
    time.sleep(1)  # at rest
    waits_s = []
    for developer in itertools.islice(itertools.cycle(developers), FRESH_SAMPLES):
        before = _shown(connection, developer)
        connection.ask(developer.bulk(1))
        acknowledged_s = time.perf_counter()
        while _shown(connection, developer) == before:
            if time.perf_counter() - acknowledged_s > 10:
                raise TimeoutError("an acknowledged heartbeat did not show in 10 s")
            time.sleep(POLL_S)
        waits_s.append(time.perf_counter() - acknowledged_s)
    return {"p50_ms": percentile_ms(waits_s, 50), "p99_ms": percentile_ms(waits_s, 99)}


def _shown(connection: Connection, developer: Developer) -> float:
    answer = json.loads(connection.ask(developer.status_bar()))
    return float(answer["data"]["grand_total"]["total_seconds"])


def _fill_today(server: Server, keys: Sequence[str], size: int) -> list[Developer]:
    developers = _developers(keys, _today_s(), DAY_STEP_S[size])
    requests = [_requests(developer, size, BULK) for developer in developers]
    closed_loop(server.port, [list(_in_turn(requests[n::CONCURRENCY])) for n in range(CONCURRENCY)], 600)
    server.flush()
    return developers


def _developers(keys: Sequence[str], start_s: float, step_s: float) -> list[Developer]:
    return [Developer(number, key, start_s, step_s) for number, key in enumerate(keys)]


def _requests(developer: Developer, heartbeats: int, batch: int) -> list[bytes]:
    make = developer.single if batch == 1 else lambda: developer.bulk(batch)
    return [make() for _ in range(heartbeats // batch)]


def _in_turn(requests: Sequence[Sequence[bytes]]) -> itertools.chain[bytes]:
    """Take a request of each user in turn, each user's in order."""
    return itertools.chain.from_iterable(zip(*requests, strict=True))


def _row(outcome: Outcome, cpu_s: float, units: int) -> Row:
    return {
        "per_s": units / outcome.elapsed_s,
        "p50_ms": percentile_ms(outcome.latencies_s, 50),
        "p99_ms": percentile_ms(outcome.latencies_s, 99),
        "cpu_s_per_1000": cpu_s / units * 1000,
        "client_cpu_us": outcome.client_cpu_s / outcome.requests * 1e6,
    }


def _zone_far_from_midnight() -> str:
    """Choose a zone whose today lasts beyond this run."""
    return "UTC" if dt.datetime.now(dt.UTC).hour < 22 else "Etc/GMT-4"


def _today_s() -> float:
    """Return the start of today in that zone; heartbeats later today are taken and counted as well."""
    ahead_s = 0 if _zone_far_from_midnight() == "UTC" else 4 * 3600
    return (time.time() + ahead_s) // 86400 * 86400 - ahead_s
