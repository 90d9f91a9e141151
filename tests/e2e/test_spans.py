"""Stretches of work over HTTP, sent through ingest (semantics.md, sections 6 and 7)."""

import datetime as dt

import pytest

from tests import oracle_ranges
from tests.e2e.history import beat, mixed, seen

START_S = int(dt.datetime(2024, 5, 6, 20, tzinfo=dt.UTC).timestamp())


def spans(account, **params):
    response = account.server.http.get(f"/api/v1/users/{account.user_id}/heartbeats/spans", params=params)
    assert response.status_code == 200, response.text
    return response.json()["spans"]


def test_example_17(account):
    account.send(*(beat(START_S + offset) for offset in (0, 50, 100, 160, 400)))
    assert spans(account) == [{"start_time": START_S, "end_time": START_S + 280, "duration": 280}]


@pytest.mark.parametrize("projects", [None, "alpha", "alpha,beta", "gone"])
def test_any_history_gives_the_oracles_spans(account, projects):
    sent = mixed(21, START_S, 50_000)
    answered = seen(account.send(*sent[30:], settle=False) + account.send(*sent[:30]))
    named = {"filter_by_project": projects} if projects else {}
    chosen = set(projects.split(",")) if projects else None
    everything = oracle_ranges.spans(answered, 0, 1 << 60, chosen)
    assert spans(account, **named) == everything
    start, end = START_S + 5_000, START_S + 30_000
    inside = oracle_ranges.spans(answered, start * 1_000_000, end * 1_000_000, chosen)
    assert spans(account, start_date=start, end_date=end, **named) == inside
    if projects != "gone":
        assert 0 < len(inside) < len(everything)
