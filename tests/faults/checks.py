"""What must be true after any crash: each acknowledged heartbeat once, each figure the naive one."""

import datetime as dt
import time
from collections import Counter

import httpx
import polars as pl

from tests import oracle, oracle_answers
from tests.places import scan

EVER = {"start_time": 1_000_000_000, "end_time": 1_999_999_999}


def rows(account):
    """How often each (id, time_us) is listed by the API: lake and tail together."""
    listed = account.heartbeats(**EVER)["heartbeats"]
    return Counter((row["id"], round(row["time"] * 1_000_000)) for row in listed)


def reads_are_answered(account, within_s=30):
    """Return once the read API answers again; until then 503 or a broken connection is all that it may give."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            status = account.get("/api/v1/my/heartbeats/most_recent").status_code
        except httpx.TransportError as error:
            status = error
        if status == 200:
            return
        assert status == 503 or isinstance(status, httpx.TransportError), status
        assert time.monotonic() < deadline, status
        time.sleep(0.02)


def every_acknowledged_heartbeat_is_listed_once(team, account, within_s=60):
    """While more arrive: what was acknowledged up to now must show, and nothing twice at any time."""
    acknowledged = {(h["id"], h["time_us"]) for h in team.acknowledged(account)}
    deadline = time.monotonic() + within_s
    while True:
        listed = rows(account)
        twice = [key for key, count in listed.items() if count > 1]
        assert not twice, f"{len(twice)} heartbeats are listed twice, such as {twice[:3]}"
        missing = acknowledged - listed.keys()
        if not missing:
            return
        assert time.monotonic() < deadline, f"{len(missing)} of {len(acknowledged)} are missing: {list(missing)[:3]}"
        time.sleep(0.05)


def exactly_the_acknowledged_are_listed(team, account):
    """Once all is quiet: nothing is missing, nothing twice, nothing that was never sent."""
    _equal(rows(account), Counter((h["id"], h["time_us"]) for h in team.acknowledged(account)))


def figures_are_the_naive_ones(team, account):
    """Totals, projects and languages over all time, and the total of each UTC day."""
    heartbeats = team.acknowledged(account)
    stats = account.stats(start_date="2001-09-10", end_date="2033-01-01", features="languages,projects")
    total = oracle.total_seconds(heartbeats)
    assert stats["total_seconds"] == total, f"{stats['total_seconds']} s shown, {total} s counted by hand"
    for field in ("language", "project"):
        shown = sorted((e["name"], e["total_seconds"]) for e in stats["data"][f"{field}s"])
        by_hand = sorted((e["name"], e["total_seconds"]) for e in oracle_answers.entries(heartbeats, field))
        assert shown == by_hand, f"{field}s: {shown} shown, {by_hand} counted by hand"
    for day, seconds in oracle.day_seconds(heartbeats, "UTC").items():
        shown = account.total(start_date=f"{day}", end_date=f"{day + dt.timedelta(days=1)}")
        assert shown == seconds, f"{day}: {shown} s shown, {seconds} s counted by hand"


def the_parquet_files_hold_each_once(team, server):
    """After a clean stop: a plain glob, with DuckDB and with polars."""
    expected = Counter(
        (account.user_id, h["id"], h["time_us"]) for account in team.accounts for h in team.acknowledged(account)
    )
    users = [account.user_id for account in team.accounts]
    select = "SELECT user_id, id, epoch_us(time) FROM lake WHERE list_contains(?, user_id)"
    _equal(Counter(server.parquet(select, users)), expected)
    frame = scan(server.environment).filter(pl.col("user_id").is_in(users))
    counted = frame.select(pl.len()).collect().item()
    assert counted == expected.total(), f"polars counts {counted}, {expected.total()} were acknowledged"


def _equal(found, expected):
    missing, beyond = expected - found, found - expected
    assert not missing, f"{missing.total()} of {expected.total()} are missing, such as {list(missing)[:3]}"
    assert not beyond, f"{beyond.total()} are there twice or were never sent, such as {list(beyond)[:3]}"
