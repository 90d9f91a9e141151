"""What an editor shows in its status bar (semantics.md, section 3 and first table; clients.md, section 3)."""

import re
import statistics
import time

import pytest

from tests import oracle, oracle_answers
from tests.e2e.history import beat, mixed, seen
from tests.server import HACKATIME, PREFIXES
from tests.today import NOT_UTC, UTC_OR_FAR, midnight_s, quiet_zone


@pytest.fixture(params=[UTC_OR_FAR, NOT_UTC], ids=["utc", "elsewhere"])
def someone(server, request):
    """A user in whose zone no midnight is near."""
    return server.new_account(timezone=quiet_zone(*request.param))


def spaced(start_s, total_s):
    """Heartbeats that measure `total_s`: 120 s apart, and a rest."""
    offsets = [*range(0, total_s, 120), total_s] if total_s else [0]
    return [beat(start_s + offset) for offset in offsets]


@pytest.mark.parametrize("total", [0, 1, 2, 59, 60, 61, 119, 120, 3599, 3600, 3660, 3719, 7200, 7260, 11_000])
def test_the_text_is_in_the_seeds_wording(someone, total):
    start = midnight_s(someone.timezone)
    beats = spaced(start, total)
    for i in range(0, len(beats), 100):
        someone.send(*beats[i : i + 100], settle=False)
    someone.server.settle()
    assert someone.statusbar() == {"total_seconds": float(total), "text": oracle_answers.long_text(total)}


def test_the_seeds_example_comes_byte_for_byte(someone):
    someone.send(*spaced(midnight_s(someone.timezone), 7200))
    response = someone.get(f"{HACKATIME}/users/current/statusbar/today")
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {"data": {"grand_total": {"total_seconds": 7200.0, "text": "2 hrs"}}}
    assert re.search(r'"total_seconds":\s*7200\.0[,}]', response.text)


def test_nothing_today_is_zero_seconds_with_a_fraction_part(someone):
    response = someone.get(f"{HACKATIME}/users/current/statusbar/today")
    assert response.json() == {"data": {"grand_total": {"total_seconds": 0.0, "text": "0 secs"}}}
    assert re.search(r'"total_seconds":\s*0\.0[,}]', response.text)


def test_seconds_are_rounded_once_and_the_text_is_made_from_them(someone):
    start = midnight_s(someone.timezone)
    someone.send(beat(start), beat(start + 30.75))
    assert someone.statusbar() == {"total_seconds": 31.0, "text": "31 secs"}
    someone.send(beat(start + 59.5))  # half to even: 60
    assert someone.statusbar() == {"total_seconds": 60.0, "text": "1 min"}


def test_the_day_is_the_users_and_begins_with_nothing(someone):
    start = midnight_s(someone.timezone)
    someone.send(beat(start - 10), beat(start - 1e-6), beat(start + 86_400), beat(start + 86_500))
    assert someone.statusbar()["total_seconds"] == 0
    someone.send(beat(start), beat(start + 86_400 - 1e-6), beat(start + 86_400 - 30))
    assert someone.statusbar()["total_seconds"] == 150


def test_heartbeats_dated_later_today_count_and_so_does_every_category_and_test_file(someone):
    start = midnight_s(someone.timezone)
    late = start + 86_000
    someone.send(
        beat(late, category="browsing"), beat(late + 60, entity="test.txt"), beat(late + 90, project="p", category="x")
    )
    assert someone.statusbar()["total_seconds"] == 90


def test_a_mixed_day_equals_the_oracle(someone):
    start = midnight_s(someone.timezone)
    sent = mixed(11, start - 3_000, 12_000)
    answered = someone.send(*sent[:35], settle=False) + someone.send(*sent[35:])
    expected = oracle.today_seconds(oracle.accepted(seen(answered)), someone.timezone, time.time_ns() // 1000)
    assert expected > 0
    assert someone.statusbar() == {"total_seconds": expected, "text": oracle_answers.long_text(expected)}


@pytest.mark.parametrize("prefix", PREFIXES[1:])
def test_wakatimes_paths_have_more_fields_of_the_types_that_clients_parse(someone, prefix):
    someone.send(*spaced(midnight_s(someone.timezone), 3_725))
    body = someone.get(f"{prefix}/users/current/statusbar/today").json()
    grand_total = body["data"]["grand_total"]
    assert grand_total["total_seconds"] == 3725
    assert grand_total["text"] == "1 hr 2 mins"
    assert (grand_total["hours"], grand_total["minutes"]) == (1, 2)
    assert type(grand_total["hours"]) is type(grand_total["minutes"]) is int
    assert isinstance(grand_total["digital"], str)
    assert isinstance(grand_total["decimal"], str)
    assert float(grand_total["decimal"]) == pytest.approx(1.03, abs=0.011)
    assert isinstance(body["cached_at"], str)
    # wakatime-cli decodes `range` as an object of texts.
    assert all(isinstance(value, str) for value in body["data"]["range"].values())


def test_the_path_of_the_id_is_ignored(someone):
    someone.send(*spaced(midnight_s(someone.timezone), 60))
    for user in ("my", "0", "somebody%20else"):
        response = someone.get(f"{HACKATIME}/users/{user}/statusbar/today")
        assert response.json()["data"]["grand_total"]["total_seconds"] == 60


def test_an_acknowledged_heartbeat_shows_within_100_ms_at_rest(someone):
    start = midnight_s(someone.timezone)
    someone.send(beat(start))
    waits_s = []
    for number in range(1, 21):
        assert someone.single(beat(start + 60 * number)).status_code == 202
        acknowledged = time.perf_counter()
        while someone.statusbar()["total_seconds"] != 60 * number:
            assert time.perf_counter() - acknowledged < 5
        waits_s.append(time.perf_counter() - acknowledged)
    assert statistics.median(waits_s) < 0.1
