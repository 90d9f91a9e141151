"""Several runs' figures as the Markdown table of the README."""

import statistics
from collections.abc import Sequence

Row = dict[str, float]
"""One case's figures: per_s, p50_ms, p99_ms, cpu_s_per_1000 (all server processes), client_cpu_us a request …"""

Figures = dict[str, Row]
"""The rows of a run, by the case's name."""

COLUMNS = {
    "per_s": ("a second", "{:,.0f}"),
    "p50_ms": ("p50 ms", "{:.2f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "cpu_s_per_1000": ("server CPU s per 1,000", "{:.3f}"),
    "parquet_per_s": ("a second, until all are in Parquet", "{:,.0f}"),
    "parquet_s": ("seconds from the last answer to Parquet", "{:.2f}"),
    "client_cpu_us": ("client's CPU µs a request", "{:.0f}"),
}


def percentile_ms(samples_s: Sequence[float], percent: int) -> float:
    """Return a percentile of durations in seconds, in milliseconds."""
    return statistics.quantiles(samples_s, n=100, method="inclusive")[percent - 1] * 1000


def markdown(runs: Sequence[Figures]) -> str:
    """Write min/median/max of each figure over the runs; a case without a figure has a dash."""
    lines = [
        "| case | " + " | ".join(title for title, _ in COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for case in runs[0]:
        cells = [
            _cell([run[case][key] for run in runs if key in run[case]], form) for key, (_, form) in COLUMNS.items()
        ]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: Sequence[float], form: str) -> str:
    if not values:
        return "-"
    return " / ".join(form.format(value) for value in (min(values), statistics.median(values), max(values)))
