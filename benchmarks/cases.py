"""The cases that are measured, each against a server of its own on fresh places."""

import datetime as dt
import itertools
import json
import time
from collections.abc import Sequence

from benchmarks.cpu import CpuByPart, since
from benchmarks.driver import Connection, Outcome, closed_loop
from benchmarks.heartbeats import Developer
from benchmarks.report import Figures, Row, percentile_ms
from benchmarks.server import Server, Start

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


def ingest(start: Start, name: str, batch: int, seconds: float) -> Figures:
    """Measure heartbeats taken in, a closed loop of `seconds`, and the way of the last of them to Parquet."""
    with start(zones(USERS)) as server:
        each = int(MOST_PER_S[batch] * seconds) // USERS
        lanes = lanes_of(developers(server.keys, time.time() - each * STEP_S, STEP_S), each, batch)
        before = server.cpu_s()
        outcome = closed_loop(server.ingest_ports, lanes, seconds)
        flush_s = server.flush()
        taken = outcome.items if batch > 1 else outcome.requests
        row = row_of(outcome, since(before, server.cpu_s()), taken)
        row["parquet_s"] = flush_s
        row["parquet_per_s"] = taken / (outcome.elapsed_s + flush_s)
        return {name: row}


def reads(start: Start, seconds: float) -> Figures:
    """Measure how soon an acknowledged heartbeat shows, then status bars of users with a short and a long day."""
    with start([_zone_far_from_midnight()] * USERS * 2) as server:
        figures = {"acknowledged to shown in the status bar, at rest": _freshness(server, server.keys[:10])}
        for size, keys in ((SMALL_DAY, server.keys[USERS : USERS + 25]), (LARGE_DAY, server.keys[USERS + 25 :])):
            readers = _fill_today(server, keys, size)
            before = server.cpu_s()
            lanes = [itertools.cycle(r.status_bar() for r in readers[n::CONCURRENCY]) for n in range(CONCURRENCY)]
            outcome = closed_loop([server.query_port], lanes, seconds)
            used = since(before, server.cpu_s())
            figures[f"status bars, {size:,} heartbeats today"] = row_of(outcome, used, outcome.requests)
        return figures


def _freshness(server: Server, keys: Sequence[str]) -> Row:
    """Send heartbeats a minute apart, one at a time, and ask for the status bar until its total has grown."""
    plugin, reader = Connection(server.ingest_ports[0]), Connection(server.query_port)
    senders = developers(keys, _today_s(), 60.0)
    for developer in senders:
        plugin.ask(developer.bulk(1))
    time.sleep(1)  # at rest
    waits_s = []
    for developer in itertools.islice(itertools.cycle(senders), FRESH_SAMPLES):
        before = _shown(reader, developer)
        plugin.ask(developer.bulk(1))
        acknowledged_s = time.perf_counter()
        while _shown(reader, developer) == before:
            if time.perf_counter() - acknowledged_s > 10:
                raise TimeoutError("an acknowledged heartbeat did not show in 10 s")
            time.sleep(POLL_S)
        waits_s.append(time.perf_counter() - acknowledged_s)
    return {"p50_ms": percentile_ms(waits_s, 50), "p99_ms": percentile_ms(waits_s, 99)}


def _shown(connection: Connection, developer: Developer) -> float:
    answer = json.loads(connection.ask(developer.status_bar()))
    return float(answer["data"]["grand_total"]["total_seconds"])


def _fill_today(server: Server, keys: Sequence[str], size: int) -> list[Developer]:
    readers = developers(keys, _today_s(), DAY_STEP_S[size])
    closed_loop(server.ingest_ports, lanes_of(readers, size, BULK), 600)
    server.flush()
    return readers


def zones(users: int) -> list[str]:
    """Give so many users' zones: one in four has UTC, whose days need no rows of their own."""
    return list(itertools.islice(itertools.cycle(ZONES), users))


def developers(keys: Sequence[str], start_s: float, step_s: float) -> list[Developer]:
    """Give a developer for each key."""
    return [Developer(number, key, start_s, step_s) for number, key in enumerate(keys)]


def lanes_of(senders: Sequence[Developer], each: int, batch: int) -> list[list[bytes]]:
    """Make the requests of all senders, `each` heartbeats of each, for `CONCURRENCY` connections.

    A user's requests are on one connection, in order; users take turns.
    """
    requests = [_requests(developer, each, batch) for developer in senders]
    return [
        list(itertools.chain.from_iterable(zip(*requests[lane::CONCURRENCY], strict=True)))
        for lane in range(CONCURRENCY)
    ]


def _requests(developer: Developer, heartbeats: int, batch: int) -> list[bytes]:
    make = developer.single if batch == 1 else lambda: developer.bulk(batch)
    return [make() for _ in range(heartbeats // batch)]


def row_of(outcome: Outcome, used: CpuByPart, units: int) -> Row:
    """Give the figures of a closed loop in which `units` were taken or answered, by servers that used so much CPU."""
    by_part = {f"cpu_{part}": cpu_s / units * 1000 for part, cpu_s in used.items()}
    return by_part | {
        "per_s": units / outcome.elapsed_s,
        "p50_ms": percentile_ms(outcome.latencies_s, 50),
        "p99_ms": percentile_ms(outcome.latencies_s, 99),
        "cpu_s_per_1000": sum(cpu_s for part, cpu_s in used.items() if part != "s3") / units * 1000,
        "client_cpu_us": outcome.client_cpu_s / outcome.requests * 1e6,
    }


def _zone_far_from_midnight() -> str:
    """Choose a zone whose today lasts beyond this run."""
    return "UTC" if dt.datetime.now(dt.UTC).hour < 22 else "Etc/GMT-4"


def _today_s() -> float:
    """Return the start of today in that zone; heartbeats later today are taken and counted as well."""
    ahead_s = 0 if _zone_far_from_midnight() == "UTC" else 4 * 3600
    return (time.time() + ahead_s) // 86400 * 86400 - ahead_s
