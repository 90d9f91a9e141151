"""What one answer says at two places is of one state, though heartbeats arrive while it is made."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from aggregator.compact import compact
from tests.query_api.world import DAY, NOON, SECOND, beat, beats

MY = "/api/v1/my/heartbeats"
STATS = "/api/v1/users/current/stats"
DETAILS = "/api/v1/users/current/projects/details"
OLD = NOON - 40 * DAY
CUT = {"start": "2025-06-13T06:00", "end": "2025-06-15T20:00"}


def elsewhere(work, *arguments, **named):
    """Do something in another thread, as another process does: the reader's snapshot is not its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work, *arguments, **named).result()


@pytest.fixture
def arrives(world, ada, monkeypatch):
    """Let heartbeats be counted right before the nth call of a method that reads."""
    user, _ = ada

    def before(part, name, nth, *heartbeats):
        read = getattr(part, name)
        calls = []

        def reading(*arguments, **named):
            calls.append(name)
            if len(calls) == nth:
                elsewhere(world.send, user, *heartbeats)
            return read(*arguments, **named)

        monkeypatch.setattr(part, name, reading)

    return before


@pytest.mark.parametrize("limit", [{}, {"limit": "3"}])
def test_a_list_of_heartbeats_and_its_total(world, ada, arrives, limit):
    user, key = ada
    world.send(user, beats(NOON, 0, 60))
    second_read = (world.app.state.services.reader, "read_range") if limit else (world.history, "stream")
    arrives(*second_read, 1, beat(NOON + 100 * SECOND))
    body = world.get(MY, key, params=limit | {"start": "2025-06-15"}).json()
    assert (body["total_seconds"], len(body["heartbeats"])) == (100, 3)


def test_a_total_and_its_parts_where_the_total_is_measured_apart(world, ada, arrives):
    user, key = ada
    world.send(user, beats(NOON, 0, 60))
    arrives(world.app.state.services.reader, "read_range", 2, beat(NOON + 100 * SECOND))
    body = world.get(STATS, key, params={"start_date": "2025-06-15", "test_param": "true"}).json()
    assert (body["total_seconds"], body["projects"]) == (100, [{"name": "heartline", "seconds": 100}])


def test_a_day_that_the_range_divides_and_whole_days(world, ada, arrives):
    user, key = ada
    divided = NOON - 2 * DAY  # from 06:00 on
    world.send(user, beats(divided - DAY // 2, 0), beats(divided, 0, 10), beats(NOON - DAY, 0, 10))
    arrives(world.history, "read", 1, beat(divided + 30 * SECOND), beat(NOON - DAY + 30 * SECOND))
    (project,) = world.get(DETAILS, key, params=CUT).json()["projects"]
    assert (project["total_seconds"], project["total_heartbeats"]) == (30 + 120 + 30, 6)


def test_days_that_a_scan_chose_and_what_it_found_on_them(world, ada, arrives):
    user, key = ada
    world.send(user, beats(NOON, 0, 10))
    arrives(world.history, "stream_measured", 1, beats(OLD, 0, 20), beat(NOON + 30 * SECOND))
    world.aggregator.flush_now()
    spans = world.get("/api/v1/users/ada/heartbeats/spans", key).json()["spans"]
    assert [span["duration"] for span in spans] == [20 + 120, 30]


def test_the_total_of_all_time_and_its_best_day(world, ada, arrives):
    user, key = ada
    world.send(user, beats(NOON, 0, 10))
    arrives(world.app.state.services.reader, "read_range", 1, beat(NOON + 30 * SECOND))
    data = world.get("/api/compat/wakatime/v1/users/ada/stats/all_time", key).json()["data"]
    assert (data["total_seconds"], data["best_day"]["total_seconds"]) == (30.0, 30.0)


def test_a_badge_of_two_names(world, ada, arrives):
    user, key = ada
    world.send(user, beats(NOON, 0, 60, project="old"), beats(NOON + DAY, 0, 60, project="new"))
    more = beats(NOON, 120, project="old"), beats(NOON + DAY, 120, project="new")
    arrives(world.app.state.services.reader, "read_range", 2, *more)
    assert ">4m<" in world.get("/api/v1/badge/ada/new", key, params={"aliases": "old"}).text


def test_a_list_and_its_total_while_heartbeats_come_before_every_read(world, ada, monkeypatch):
    user, key = ada
    world.send(user, beats(NOON, 0, 60))
    sent = []

    def sending(read):
        def reading(*arguments):
            sent.append(beat(NOON + (61 + len(sent)) * SECOND))
            elsewhere(world.send, user, sent[-1])
            return read(*arguments)

        return reading

    monkeypatch.setattr(world.history, "stream", sending(world.history.stream))
    reader = world.app.state.services.reader
    monkeypatch.setattr(reader, "days_of", sending(reader.days_of))
    body = world.get(MY, key, params={"start": "2025-06-15"}).json()
    assert body["total_seconds"] == body["heartbeats"][-1]["time"] - NOON / SECOND
    assert len(body["heartbeats"]) > 3


def test_a_file_that_is_gone_when_a_snapshot_is_held(world, ada, monkeypatch):
    user, key = ada
    for number in range(3):
        world.send(user, beats(OLD + number * SECOND, 0))
        world.aggregator.flush_now()
    stream, asked = world.history.stream, []

    def streaming(*arguments):
        asked.append(arguments)
        if len(asked) == 1:
            elsewhere(world.send, user, beat(OLD + 60 * SECOND))
        elif len(asked) == 2:
            assert elsewhere(compact, world.aggregator._shard, world.lake, min_files=1, now_s=NOON / SECOND) == 1
        return stream(*arguments)

    monkeypatch.setattr(world.history, "stream", streaming)
    body = world.get(MY, key, params={"start": "2025-05-01", "end": "2025-06-15"}).json()
    assert (body["total_seconds"], len(body["heartbeats"]), len(asked)) == (60, 4, 3)
