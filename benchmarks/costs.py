"""What a user's day costs and leaves behind, on Kafka, PostgreSQL and S3: the measured part of docs/scale.md.

Many users send their day in turns, so that a micro-batch holds records of as many users, as it would with millions;
the tail is flushed several times and the day compacted at the end.
"""

import datetime as dt
import json
import os
import statistics
from collections.abc import Sequence
from functools import partial

from benchmarks import cases
from benchmarks.cpu import since
from benchmarks.driver import closed_loop
from benchmarks.probe import Probe, probing
from benchmarks.report import Figures, Row
from benchmarks.scale import DAY, HEARTBEATS_A_DAY, HEARTBEATS_A_REQUEST, MEASURED, STATUS
from benchmarks.server import PARTITIONS, Apart, Server, Servers, add_users
from schemas.calendars import LIFETIME, UTC_DAYS, UTC_MONTHS

USERS = 1_000
STEP_S = 36.0  # two hours of work
FLUSHES = 8  # as many as make compaction due

_TAIL = "SELECT pg_total_relation_size('tail') / sum(count) FROM tail"
_MICRO_BATCHES = "SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE 'UPDATE shards SET %offset%'"
_STATEMENTS = (
    "SELECT sum(calls) FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid "
    "WHERE d.datname = current_database()"
)
_WRITTEN = "SELECT sum({}) FROM pg_stat_user_tables WHERE relname IN ('segments', 'last_values', 'tail')"
_OBJECTS = "SELECT count(*) FROM lake_files WHERE state = 'live'"
_BYTES_PER_ROW = "SELECT pg_total_relation_size('{0}') / count(*)::float FROM {0}"


def measure(servers: Servers, seconds: float) -> Figures:
    """Measure a day of many users, and status bars."""
    with servers.cluster() as cluster:
        keys = add_users(cluster, cases.zones(USERS))
        for role in ("ingest", "aggregate"):
            cluster.start(role)
        server = servers.view(cluster, keys)
        with probing(server.settings) as probe:
            day = _day(servers, cluster, server, probe)
    bars = cases.reads(servers.apart, seconds / 2)
    return {DAY: day, STATUS: bars[f"status bars, {cases.SMALL_DAY:,} heartbeats today"]}


def save(runs: Sequence[Figures], note: str) -> None:
    """Print the median of each figure, and keep it for docs/scale.md."""
    medians = {
        case: {key: statistics.median(run[case][key] for run in runs) for key in row} for case, row in runs[0].items()
    }
    machine = f"{os.cpu_count()} cores, {dt.datetime.now(dt.UTC):%Y-%m-%d}, {len(runs)} runs"
    text = json.dumps({"machine": machine, "note": note, **medians}, indent=2, sort_keys=True)
    MEASURED.write_text(text + "\n")
    print(text)


def _day(servers: Servers, cluster: Apart, server: Server, probe: Probe) -> Row:
    probe.run("CREATE EXTENSION pg_stat_statements")
    probe.run("SELECT pg_stat_statements_reset()")
    wal = probe.number("SELECT pg_current_wal_lsn() - '0/0'")
    before = server.cpu_s()
    row = _send(server, probe)
    cluster.cli("compact")
    used = since(before, server.cpu_s())
    wal = probe.number("SELECT pg_current_wal_lsn() - '0/0'") - wal
    taken = USERS * HEARTBEATS_A_DAY
    row |= {f"cpu_{part}": cpu_s / taken * 1000 for part, cpu_s in used.items()}
    row |= {"wal_bytes": wal / taken, "log_bytes": _log_bytes(servers, cluster) / taken}
    row |= _statements(probe, taken) | _rows(probe)
    row["compacted_objects"] = probe.number(_OBJECTS) / PARTITIONS
    row["parquet_bytes"] = cluster.lake_bytes() / taken
    return row


def _send(server: Server, probe: Probe) -> Row:
    """Send everybody's day of the day before yesterday, with a flush after each part of it."""
    start = dt.datetime.now(dt.UTC).replace(hour=9, minute=0, second=0) - dt.timedelta(days=2)
    lanes = cases.lanes_of(
        cases.developers(server.keys, start.timestamp(), STEP_S), HEARTBEATS_A_DAY, HEARTBEATS_A_REQUEST
    )
    row: Row = {}
    for part in range(FLUSHES):
        parts = [lane[len(lane) * part // FLUSHES : len(lane) * (part + 1) // FLUSHES] for lane in lanes]
        closed_loop(server.ingest_ports, parts, 600)
        probe.wait_until_counted()
        tail_bytes = probe.number(_TAIL)
        server.flush()
        row = row or {"tail_bytes": tail_bytes, "flushed_objects": probe.number(_OBJECTS) / PARTITIONS}
    return row


def _log_bytes(servers: Servers, cluster: Apart) -> int:
    """Add up the topic's files as the broker keeps them, one replica."""
    topic = cluster.environment["HEARTLINE_LOG_URL"].rpartition("/")[2]
    return sum(path.stat().st_size for path in (servers.broker.folder / "data").glob(f"{topic}-*/*.log"))


def _statements(probe: Probe, taken: int) -> Row:
    batches = probe.number(_MICRO_BATCHES)
    written = sum(probe.number(_WRITTEN.format(column)) for column in ("n_tup_ins", "n_tup_upd"))
    return {
        "records_per_batch": taken / HEARTBEATS_A_REQUEST / batches,
        "statements_per_batch": probe.number(_STATEMENTS) / batches,
        "rows_written": written / taken,
    }


def _rows(probe: Probe) -> Row:
    counted = partial("SELECT count(*) FROM segments WHERE {}".format)
    own_days = f"calendar NOT IN ('{UTC_DAYS}', '{UTC_MONTHS}', '{LIFETIME}')"
    others = USERS * (len(cases.ZONES) - 1) / len(cases.ZONES)  # whose zone is not UTC
    return {
        "utc_day_rows": probe.number(counted(f"calendar = '{UTC_DAYS}'")) / USERS,
        "own_day_rows": probe.number(counted(own_days)) / others,
        "month_rows": probe.number(counted(f"calendar = '{UTC_MONTHS}'")) / USERS,
        "last_values_rows": probe.number("SELECT count(*) FROM last_values") / USERS,
        "segment_bytes": probe.number(_BYTES_PER_ROW.format("segments")),
        "last_values_bytes": probe.number(_BYTES_PER_ROW.format("last_values")),
    }
