"""Several runs' figures as the Markdown tables of the README."""

import statistics
from collections.abc import Mapping, Sequence

Row = dict[str, float]
"""One case's figures: per_s, p50_ms, p99_ms, cpu_s_per_1000 (all of the server but S3), cpu_PART, client_cpu_us …"""

Figures = dict[str, Row]
"""The rows of a run, by the case's name."""

Columns = Mapping[str, tuple[str, str]]
"""A figure's name → its title and its format."""

COLUMNS: Columns = {
    "per_s": ("a second", "{:,.0f}"),
    "p50_ms": ("p50 ms", "{:.2f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "cpu_s_per_1000": ("CPU s per 1,000", "{:.3f}"),
    "parquet_per_s": ("a second, until all are in Parquet", "{:,.0f}"),
    "parquet_s": ("seconds from the last answer to Parquet", "{:.2f}"),
    "client_cpu_us": ("client's CPU µs a request", "{:.0f}"),
}

PARTS: Columns = {
    f"cpu_{part}": (title, "{:.3f}")
    for part, title in {
        "ingest": "ingest (embedded: front)",
        "aggregator": "aggregators",
        "query": "query",
        "broker": "Kafka",
        "database": "PostgreSQL",
        "s3": "moto's S3",
    }.items()
}
"""CPU seconds per 1,000 heartbeats or answers, part by part. moto is a toy in Python: it says nothing about S3."""


def percentile_ms(samples_s: Sequence[float], percent: int) -> float:
    """Return a percentile of durations in seconds, in milliseconds."""
    return statistics.quantiles(samples_s, n=100, method="inclusive")[percent - 1] * 1000


def markdown(runs: Sequence[Figures], columns: Columns = COLUMNS) -> str:
    """Write min / median / max of each figure over the runs; a case without a figure has a dash, or no row at all."""
    lines = ["| case | " + " | ".join(title for title, _ in columns.values()) + " |", "|---" * (len(columns) + 1) + "|"]
    for case in runs[0]:
        values = {key: [run[case][key] for run in runs if key in run[case]] for key in columns}
        if any(values.values()):
            cells = [_cell(values[key], form) for key, (_, form) in columns.items()]
            lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: Sequence[float], form: str) -> str:
    if not values:
        return "-"
    return " / ".join(form.format(value) for value in (min(values), statistics.median(values), max(values)))
