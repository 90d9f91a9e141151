"""A new tzdata, as far as it can be had in a test: another version is stored, with days cut by other rules."""

import logging
from importlib.metadata import version

import pytest
import sqlalchemy as sa

from aggregator import tzdata
from aggregator.recompute import rebuild
from aggregator.tzdata import apply_new_tzdata
from aggregator.verify import findings, verify
from schemas import calendars
from schemas.record import SetZone
from schemas.tables import segments, shards
from storage.stats import Database
from tests.aggregator.world import World, heartbeat
from tests.stored import DAY, NOON, S

HOUR = 3_600 * S
KOLKATA_MIDNIGHT = NOON // DAY * DAY + 18 * HOUR + 1_800 * S
AROUND = [heartbeat(KOLKATA_MIDNIGHT + offset * 60 * S) for offset in (-90, -61, -30, -1, 0, 1, 45, 90)]


def change(world, statement):
    with world.database.writing() as connection:
        connection.execute(statement)


def store_version(world, value):
    change(world, sa.update(shards).values(tzdata_version=value))


def stored_version(world):
    with world.database.reading() as connection:
        return connection.scalar(sa.select(shards.c.tzdata_version))


def cut_by_older_rules(world, monkeypatch, shift_us=HOUR):
    """Cut the local days as a tzdata did that had the zone's clocks an hour behind."""
    newer = calendars._local_day_start.__wrapped__
    with monkeypatch.context() as older:
        older.setattr(calendars, "_local_day_start", lambda zone, day: newer(zone, day) + shift_us)
        rebuild(world.aggregator._shard, world.lake)
    store_version(world, "2001.1")


@pytest.fixture
def world(tmp_path, stats_url):
    opened = World(tmp_path, stats_url, "Asia/Kolkata")
    opened.deliver([AROUND[:5], AROUND[5:]])
    opened.flush()
    opened.deliver([[heartbeat(KOLKATA_MIDNIGHT + 3 * DAY - 5 * S), heartbeat(KOLKATA_MIDNIGHT + 3 * DAY)]])
    opened.deliver_of_another(1)
    yield opened
    opened.close()


def test_days_that_a_new_tzdata_cuts_elsewhere_are_right_after_the_start(world, monkeypatch):
    right = world.segments()
    cut_by_older_rules(world, monkeypatch)
    assert world.segments() != right
    assert any(str(finding).startswith("shards: local days were cut by tzdata 2001.1") for finding in all_of(world))
    world.restart()
    while world.aggregator.step():
        pass
    assert world.segments() == right
    assert stored_version(world) == version("tzdata")
    assert all_of(world) == []


def all_of(world):
    return list(findings(world.database, world.lake))


def test_what_comes_after_the_start_is_counted_into_the_new_days(world, monkeypatch):
    cut_by_older_rules(world, monkeypatch)
    world.restart()
    world.deliver([[heartbeat(KOLKATA_MIDNIGHT + 20 * S), heartbeat(KOLKATA_MIDNIGHT - 20 * S)]])
    assert all_of(world) == []


def test_days_that_no_heartbeat_leaves_are_not_computed_again(world, monkeypatch):
    cut_by_older_rules(world, monkeypatch, shift_us=0)
    wrong = sa.update(segments).where(segments.c.calendar == "Asia/Kolkata").values(duration_us=5)
    change(world, wrong)
    world.restart()
    assert not world.aggregator.step()
    assert stored_version(world) == version("tzdata")
    assert len(list(verify(world.database, world.lake))) > 0


def test_a_zone_that_was_missing_for_a_while_has_its_days_again(world, monkeypatch):
    """As after going back to an older version, and on again."""
    right = world.segments()
    with monkeypatch.context() as older:
        older.setattr(calendars, "is_zone", lambda name: name != "Asia/Kolkata")
        rebuild(world.aggregator._shard, world.lake)
    store_version(world, "2001.1")
    assert "Asia/Kolkata" not in {calendar for calendar, *_ in world.segments()}
    world.restart()
    while world.aggregator.step():
        pass
    assert world.segments() == right
    assert all_of(world) == []


def test_the_second_start_computes_nothing(world, monkeypatch):
    cut_by_older_rules(world, monkeypatch)
    assert list(apply_new_tzdata(world.aggregator._shard, world.lake)) == [1]
    assert list(apply_new_tzdata(world.aggregator._shard, world.lake)) == []


def test_a_start_that_dies_half_way_leaves_a_user_old_or_new_and_the_next_one_ends_it(world, monkeypatch):
    monkeypatch.setattr("aggregator.recompute._CHUNK_ROWS", 1)
    monkeypatch.setattr(tzdata, "_ROWS_AT_ONCE", 1)
    world.command(SetZone(world.other_id, "Asia/Kolkata"))
    cut_by_older_rules(world, monkeypatch, shift_us=10 * HOUR)
    old = rows_of(world)
    assert next(apply_new_tzdata(world.aggregator._shard, world.lake)) == 1
    assert stored_version(world) == "2001.1"
    half = rows_of(world)
    rebuild(world.aggregator._shard, world.lake)
    new = rows_of(world)
    assert all(old[user_id] != new[user_id] for user_id in old)
    assert half == {world.user_id: new[world.user_id], world.other_id: old[world.other_id]}
    world.restart()
    while world.aggregator.step():
        pass
    assert rows_of(world) == new
    assert stored_version(world) == version("tzdata")


def rows_of(world):
    with world.database.reading() as connection:
        found = connection.execute(sa.select(segments).where(segments.c.calendar == "Asia/Kolkata")).all()
    ids = (world.user_id, world.other_id)
    return {user_id: sorted(tuple(row) for row in found if row.user_id == user_id) for user_id in ids}


def test_a_lost_file_does_not_stop_the_counting(world, monkeypatch, caplog):
    cut_by_older_rules(world, monkeypatch)
    for path in (world.folder / "lake").rglob("*.parquet"):
        path.unlink()
    world.restart()
    with caplog.at_level(logging.ERROR):
        world.deliver([[heartbeat(KOLKATA_MIDNIGHT + 30 * DAY)]])
    assert "until the next start" in caplog.text
    assert stored_version(world) == "2001.1"
    assert (KOLKATA_MIDNIGHT + 30 * DAY) in {row[0] for row in world.segments().values()}


def test_a_database_of_version_1_has_all_stats_after_its_migration_and_the_next_start(world):
    right = world.segments()
    planted = (
        "DELETE FROM segments WHERE dimension = 9",
        "DROP TABLE alarms",
        "DROP TABLE logs",
        "ALTER TABLE shards DROP COLUMN tzdata_version",
        "INSERT INTO meta (name, value) VALUES ('tzdata_version', '2026.6')",
        "UPDATE meta SET value = '1' WHERE name = 'schema_version'",
    )
    with world.database.writing() as connection:
        for statement in planted:
            connection.exec_driver_sql(statement)
    Database(world.database.url.render_as_string(hide_password=False), migrate=True).close()
    world.restart()
    while world.aggregator.step():
        pass
    assert world.segments() == right
    assert stored_version(world) == version("tzdata")
    assert all_of(world) == []
