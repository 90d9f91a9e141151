"""Of a lake with everybody's heartbeats only files of days on which the user has any are opened.

With one file for each day of ten years, whoever has a few heartbeats would else wait for all of them to be opened.
"""

import pytest

from tests.query_api.world import DAY, NOON, SECOND, beat, beats

QUIET = NOON - 40 * DAY
"""A day on which only others have sent anything."""


@pytest.fixture
def between(world):
    """A user between two others by id, so that files of theirs alone may be hers too; those of one day are broken."""
    before, mine, after = (world.add_user(name) for name in ("ann", "bea", "cid"))
    world.send(before[0], beat(QUIET))
    world.send(after[0], beat(QUIET), beat(NOON))
    world.send(mine[0], beats(NOON - 80 * DAY, 0, 60), beats(NOON, 0, 30, editor="vim"))
    world.aggregator.flush_now()
    (broken,) = (world.lake.root / "heartbeats" / "date=2025-05-06").glob("*.parquet")
    broken.write_bytes(b"no Parquet any more")
    world.now_us = NOON + 60 * SECOND
    return mine[1]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/my/heartbeats?limit=100",
        "/api/v1/my/heartbeats?limit=100&start=2025-01-01",
        "/api/v1/my/heartbeats?start=2025-01-01",
    ],
)
def test_lists_open_files_of_days_with_heartbeats_of_theirs_alone(world, between, path):
    listed = world.get(path, between).json()["heartbeats"]
    assert [h["time"] - NOON / SECOND for h in listed] == [-80 * 86_400, -80 * 86_400 + 60, 0, 30]


def test_the_most_recent_is_found_without_opening_others_files(world, between):
    path = "/api/v1/my/heartbeats/most_recent"
    assert world.get(path, between).json()["heartbeat"]["time"] == NOON / SECOND + 30
    assert world.get(f"{path}?editor=zed", between).json()["has_heartbeat"] is False


def test_spans_open_files_of_days_with_heartbeats_of_theirs_alone(world, between):
    spans = world.get("/api/v1/users/bea/heartbeats/spans", between).json()["spans"]
    assert [span["duration"] for span in spans] == [180, 30]


def test_days_of_another_zone_open_files_of_days_with_heartbeats_of_theirs_alone(world, between):
    dates = {"start": "2025-03-01", "end": "2025-06-30", "timezone": "Asia/Kolkata"}
    days = world.get("/api/hackatime/v1/users/current/summaries", between, params=dates).json()["data"]
    assert sum(day["grand_total"]["total_seconds"] for day in days) == 90
