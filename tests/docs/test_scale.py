"""docs/scale.md: its tables are what their formulae give for what was measured and assumed."""

import json
import re

import pytest

from benchmarks import scale


def test_the_tables_follow_from_what_was_measured_and_assumed():
    document = scale.DOCUMENT.read_text()
    assert scale.written(document, json.loads(scale.MEASURED.read_text())) == document


def test_every_assumption_is_used_by_a_formula():
    formulae = " ".join(line.formula for lines in scale.TABLES.values() for line in lines)
    assert set(scale.ASSUMED) <= set(re.findall(r"\w+", formulae))


def test_figures_that_are_easy_to_follow_give_what_one_computes_by_hand():
    given = dict.fromkeys((*scale.ASSUMED, *scale.MEASURED_FIGURES), 1.0)
    given |= {"heartbeats_a_day": 100, "a_request": 4, "bars_a_day": 10, "peak": 2, "busy": 0.5, "replicas": 3}
    given |= {"ingest_cpu": 0.1, "aggregator_cpu": 0.25, "broker_cpu": 0.03, "broker_cores": 4}
    given |= {"database_cpu": 0.5, "database_cores": 10, "bar_query_cpu": 0.4, "bar_database_cpu": 0.2}
    given |= {"wal_bytes": 1_000, "database_wal_mb_s": 100, "log_bytes": 50, "log_days": 7}
    given |= {"utc_day_rows": 20, "own_day_rows": 10, "not_utc": 0.5, "month_rows": 40, "days_a_month": 20}
    given |= {"segment_bytes": 100, "flush_s": 600, "flushed_objects": 2, "parquet_bytes": 30}
    found = scale.compute(8_640_000, given)
    expected = {
        "peak_s": 20_000,
        "requests_s": 5_000,
        "bars_s": 2_000,
        "ingests": 4,  # 2 cores, half busy
        "aggregators": 10,  # 5 cores
        "partitions": 20,
        "queries": 2,  # 0.8 cores
        "kafka_cores": 1.8,
        "brokers": 3,
        "log_tb": 0.9072,
        "by_cpu": 3,  # 10 cores for counting and 0.4 for reading, on 5 of each database
        "by_wal": 1,
        "databases": 3,
        "day_rows": 27,
        "segments_gb_day": 23.328,
        "puts_day": 5_780,
        "objects_year": 7_300,
        "lake_gb_day": 25.92,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123456, "0.0123"), (1.0, "1"), (2.5, "2.50"), (34.56, "34.6"), (123_456.7, "123,457")],
)
def test_numbers_have_three_digits_that_matter(value, text):
    assert scale.number(value) == text
