"""`/api/summary` over HTTP, sent through ingest (semantics.md, section 7)."""

import datetime as dt

from tests import oracle_ranges
from tests.e2e.history import mixed, seen

START_S = int(dt.datetime(2024, 5, 6, 20, tzinfo=dt.UTC).timestamp())


def test_totals_of_whole_utc_days_equal_the_oracle(server, account):
    sent = mixed(23, START_S, 200_000)
    answered = seen(account.send(*sent[30:], settle=False) + account.send(*sent[:30]))
    inside = oracle_ranges.in_dates(answered, "UTC", dt.date(2024, 5, 7), dt.date(2024, 5, 8))
    params = {"user_id": account.username, "start": "2024-05-07", "end": "2024-05-08"}
    response = server.http.get("/api/summary", params=params)
    assert response.status_code == 200
    shown = response.json()
    assert (shown["user_id"], shown["from"], shown["to"]) == (
        account.username,
        "2024-05-07T00:00:00Z",
        "2024-05-08T23:59:59Z",
    )
    assert shown["projects"] == oracle_ranges.key_totals(inside, "project")
    assert shown["languages"] == oracle_ranges.key_totals(inside, "language", oracle_ranges.LANGUAGES)
    assert sum(entry["total"] for entry in shown["projects"]) > 0


def test_without_a_user_it_is_a_400(server):
    response = server.http.get("/api/summary", params={"interval": "today"})
    assert (response.status_code, list(response.json())) == (400, ["error"])
