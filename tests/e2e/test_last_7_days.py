"""The last seven days over HTTP, sent through ingest (semantics.md, section 7)."""

import time

import pytest

from tests import oracle_ranges
from tests.e2e.history import mixed, seen
from tests.server import HACKATIME
from tests.today import NOT_UTC, UTC_OR_FAR, midnight_s, quiet_zone

PATH = f"{HACKATIME}/users/current/stats/last_7_days"


@pytest.mark.parametrize("zones", [UTC_OR_FAR, NOT_UTC], ids=["utc", "elsewhere"])
def test_the_week_equals_the_oracle(server, zones):
    account = server.new_account(timezone=quiet_zone(*zones))
    sent = mixed(24, midnight_s(account.timezone) - 8 * 86_400 - 7_000, 60 * 100_000)
    answered = seen(account.send(*sent[30:], settle=False) + account.send(*sent[:30]))
    response = account.get(PATH)
    assert response.status_code == 200
    data = response.json()["data"]
    assert (data.pop("username"), data.pop("user_id")) == (account.username, str(account.user_id))
    assert data.pop("start") < data.pop("end")
    expected = oracle_ranges.last_7_days(answered, account.timezone, time.time_ns() // 1000)
    for name in ("editors", "machines", "operating_systems"):  # of the requests' own headers
        shown, wanted = data.pop(name), expected.pop(name)
        assert [part["total_seconds"] for part in shown] == [part["total_seconds"] for part in wanted], name
    assert data == expected
    assert expected["total_seconds"] > 0
