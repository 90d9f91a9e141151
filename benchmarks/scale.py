"""`python -m benchmarks.scale`: write the tables of docs/scale.md anew, from what was measured and what is assumed.

A table's formula is what is computed, and nothing else: names are those of the lines above and of the two tables of
inputs. The measured figures come from `make bench ARGS=costs`.
"""

import json
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MEASURED = pathlib.Path(__file__).with_name("measured.json")
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs/scale.md"
DAILY_USERS = (1_000_000, 100_000_000)
DAY, STATUS = "a user's day", "status bars"  # the two loads that are measured

HEARTBEATS_A_DAY = 200
HEARTBEATS_A_REQUEST = 5


class Input(NamedTuple):
    """A number that formulae use, and where it is from."""

    value: float
    why: str


class Line(NamedTuple):
    """A line of a table: a name for later lines, its formula, and what it means."""

    name: str
    formula: str
    what: str


ASSUMED: Mapping[str, Input] = {
    "heartbeats_a_day": Input(HEARTBEATS_A_DAY, "of a daily user: two hours of work, one every 36 s"),
    "a_request": Input(HEARTBEATS_A_REQUEST, "wakatime-cli collects for 30 to 120 s and sends up to 10 at a time"),
    "bars_a_day": Input(60, "a plugin asks for its status bar every two minutes of work"),
    "hours_a_day": Input(2, "at work"),
    "peak": Input(3, "the busiest hour of the day to the mean of the day"),
    "busy": Input(0.5, "share of its capacity that a process, a database or a broker is planned for at the peak"),
    "not_utc": Input(0.75, "of the users have a zone other than UTC, as in the load that was measured"),
    "days_a_month": Input(20, "on which a daily user works"),
    "replicas": Input(3, "of each partition; a follower is taken to cost as much CPU as the leader"),
    "log_days": Input(7, "records stay on the brokers"),
    "flush_s": Input(600, "`HEARTLINE_FLUSH_INTERVAL`"),
    "broker_cores": Input(8, "of one broker"),
    "database_cores": Input(32, "of one PostgreSQL"),
    "database_wal_mb_s": Input(200, "one PostgreSQL writes, with a disk and a standby that keep up"),
    "entry_bytes": Input(300, "in an aggregator's memory, of a segment or a heartbeat (`HEARTLINE_CACHE_ROWS`)"),
    "window": Input(64, "heartbeats of an active user in that memory"),
}

MEASURED_FIGURES: Mapping[str, tuple[str, str, str]] = {
    "ingest_cpu": (DAY, "cpu_ingest", "CPU s per 1,000 heartbeats in ingest"),
    "aggregator_cpu": (DAY, "cpu_aggregator", "in aggregators: counting, flushes, compaction and its audit"),
    "broker_cpu": (DAY, "cpu_broker", "in Kafka (one broker, each append synced)"),
    "database_cpu": (DAY, "cpu_database", "in PostgreSQL"),
    "bar_query_cpu": (STATUS, "cpu_query", "CPU s per 1,000 status bars in query"),
    "bar_database_cpu": (STATUS, "cpu_database", "in PostgreSQL"),
    "log_bytes": (DAY, "log_bytes", "bytes of a heartbeat on the log, in one replica"),
    "tail_bytes": (DAY, "tail_bytes", "bytes of a heartbeat in the tail, index included"),
    "parquet_bytes": (DAY, "parquet_bytes", "bytes of a heartbeat in Parquet, compacted"),
    "wal_bytes": (DAY, "wal_bytes", "bytes of PostgreSQL's WAL for a heartbeat"),
    "rows_written": (DAY, "rows_written", "rows that PostgreSQL inserts or updates for a heartbeat"),
    "utc_day_rows": (DAY, "utc_day_rows", "segments of a user's UTC day"),
    "own_day_rows": (DAY, "own_day_rows", "segments of a day in a zone of the user's own"),
    "month_rows": (DAY, "month_rows", "segments of a user's month (after one day of it)"),
    "segment_bytes": (DAY, "segment_bytes", "bytes of a segment in PostgreSQL, index and dead rows included"),
    "records_per_batch": (DAY, "records_per_batch", "records in a micro-batch under this load"),
    "statements_per_batch": (DAY, "statements_per_batch", "SQL statements for a micro-batch, all reads included"),
    "flushed_objects": (DAY, "flushed_objects", "objects that one flush of a shard writes for a day"),
    "compacted_objects": (DAY, "compacted_objects", "objects of a shard's day after compaction"),
}

TABLES: Mapping[str, Sequence[Line]] = {
    "load": (
        Line("mean_s", "users * heartbeats_a_day / 86400", "heartbeats a second, mean"),
        Line("peak_s", "mean_s * peak", "heartbeats a second at the peak"),
        Line("requests_s", "peak_s / a_request", "requests with heartbeats a second"),
        Line("bars_s", "users * bars_a_day / 86400 * peak", "status bars a second"),
    ),
    "processes": (
        Line("ingest_cores", "peak_s / 1000 * ingest_cpu", "cores that ingest uses"),
        Line("ingests", "ceil(ingest_cores / busy)", "`heartline ingest`, each at most one core"),
        Line("aggregator_cores", "peak_s / 1000 * aggregator_cpu", "cores that aggregators use"),
        Line("aggregators", "ceil(aggregator_cores / busy)", "`heartline aggregate`, each at most one core"),
        Line("partitions", "2 * aggregators", "shards, so that they can be spread evenly"),
        Line("query_cores", "bars_s / 1000 * bar_query_cpu", "cores that status bars use in query"),
        Line("queries", "ceil(query_cores / busy)", "`heartline query`, each at most one core"),
        Line("at_once", "users * hours_a_day / 24 * peak", "users at work at the peak"),
        Line(
            "cached_rows",
            "at_once * (window + utc_day_rows + not_utc * own_day_rows + month_rows)",
            "rows in all aggregators' memory, so that none is read twice",
        ),
        Line("memory_gb", "cached_rows * entry_bytes / 1e9", "GB of memory for them, in all"),
    ),
    "kafka": (
        Line("log_mb_s", "peak_s * log_bytes / 1e6", "MB a second appended at the peak"),
        Line("kafka_cores", "peak_s / 1000 * broker_cpu * replicas", "cores that brokers use"),
        Line("brokers", "max(3, ceil(kafka_cores / busy / broker_cores))", "brokers"),
        Line("log_tb", "users * heartbeats_a_day * log_bytes * replicas * log_days / 1e12", "TB on all brokers' disks"),
    ),
    "postgresql": (
        Line("rows_s", "peak_s * rows_written", "rows a second inserted or updated at the peak"),
        Line("wal_mb_s", "peak_s * wal_bytes / 1e6", "MB of WAL a second at the peak"),
        Line("writing_cores", "peak_s / 1000 * database_cpu", "cores for counting"),
        Line("reading_cores", "bars_s / 1000 * bar_database_cpu", "cores for status bars"),
        Line("by_cpu", "ceil((writing_cores + reading_cores) / busy / database_cores)", "databases, by CPU"),
        Line("by_wal", "ceil(wal_mb_s / busy / database_wal_mb_s)", "databases, by WAL"),
        Line("databases", "max(by_cpu, by_wal)", "databases needed"),
        Line("tail_gb", "peak_s * flush_s * tail_bytes / 1e9", "GB in the tail at the peak"),
        Line("day_rows", "utc_day_rows + not_utc * own_day_rows + month_rows / days_a_month", "segments of a user-day"),
        Line("segments_gb_day", "users * day_rows * segment_bytes / 1e9", "GB of segments more each day"),
        Line("segments_tb_year", "segments_gb_day * 365 / 1000", "TB of segments after a year"),
    ),
    "lake": (
        Line("puts_day", "partitions * (86400 / flush_s * flushed_objects + 1)", "objects written a day"),
        Line("objects_day", "partitions * compacted_objects", "objects that stay of a day"),
        Line("objects_year", "objects_day * 365", "objects after a year"),
        Line("object_mb", "users * heartbeats_a_day * parquet_bytes / objects_day / 1e6", "MB of one of them"),
        Line("lake_gb_day", "users * heartbeats_a_day * parquet_bytes / 1e9", "GB more each day"),
        Line("lake_tb_year", "lake_gb_day * 365 / 1000", "TB after a year"),
    ),
}


def inputs(measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Give every input by its name."""
    assumed = {name: value for name, (value, _) in ASSUMED.items()}
    return assumed | {name: measured[load][key] for name, (load, key, _) in MEASURED_FIGURES.items()}


def compute(users: int, given: Mapping[str, float]) -> dict[str, float]:
    """Give the value of every line, for so many daily users."""
    known = {**given, "users": users, "ceil": math.ceil, "max": max}
    for line in (line for lines in TABLES.values() for line in lines):
        known[line.name] = eval(line.formula, {"__builtins__": {}}, known)  # noqa: S307 - the formulae above, no others
    return known


def written(document: str, measured: Mapping[str, Mapping[str, float]]) -> str:
    """Give the document with its tables as they follow from `measured`."""
    given = inputs(measured)
    results = [compute(users, given) for users in DAILY_USERS]
    tables = {"assumed": _inputs_table(_assumed_rows()), "measured": _inputs_table(_measured_rows(given))}
    tables |= {name: _results_table(lines, results) for name, lines in TABLES.items()}
    tables["source"] = f"Measured on {measured['machine']}{': ' if measured['note'] else ''}{measured['note']}."
    for name, table in tables.items():
        place = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        document, found = place.subn(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", document)
        if found != 1:
            raise ValueError(f"docs/scale.md has {found} places for the table {name}")
    return document


def _assumed_rows() -> list[tuple[str, float, str]]:
    return [(name, value, why) for name, (value, why) in ASSUMED.items()]


def _measured_rows(given: Mapping[str, float]) -> list[tuple[str, float, str]]:
    return [(name, given[name], what) for name, (_, _, what) in MEASURED_FIGURES.items()]


def _inputs_table(rows: Sequence[tuple[str, float, str]]) -> str:
    lines = [f"| `{name}` | {number(value)} | {text} |" for name, value, text in rows]
    return "\n".join(["| name | value | |", "|---|---|---|", *lines])


def _results_table(lines: Sequence[Line], results: Sequence[Mapping[str, float]]) -> str:
    rows = []
    for name, formula, what in lines:
        values = " | ".join(number(result[name]) for result in results)
        rows.append(f"| {what} | `{name} = {formula}` | {values} |")
    return "\n".join(["| | arithmetic | 1M daily users | 100M daily users |", "|---|---|---|---|", *rows])


def number(value: float) -> str:
    """Write a number with three digits that matter."""
    if value == 0 or value >= 100 or value == int(value):
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}"


def main() -> None:
    """Write the document's tables."""
    DOCUMENT.write_text(written(DOCUMENT.read_text(), json.loads(MEASURED.read_text())))


if __name__ == "__main__":
    main()
