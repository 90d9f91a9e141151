"""A COMMIT whose answer never comes: it may have happened or not, and is counted once either way."""

import threading

import pytest
import sqlalchemy as sa

from aggregator.verify import verify
from schemas.record import heartbeat_records
from schemas.tables import shards
from storage.stats import Database
from tests.aggregator.test_property import S, check, utc
from tests.aggregator.world import World, heartbeat, sent
from tests.server import eventually
from tests.servers.commit_cutter import CommitCutter, Cut

ZONE = "Asia/Kolkata"


@pytest.fixture
def url(postgres):
    made = postgres.new_url()
    yield made
    postgres.drop(made)


@pytest.fixture
def cutter(postgres):
    with CommitCutter(postgres.port) as running:
        yield running


@pytest.fixture
def world(tmp_path, postgres, url, cutter):
    made = World(tmp_path, url.replace(f":{postgres.port}/", f":{cutter.port}/"), ZONE)
    yield made
    made.close()


def follow(world, url, offset):
    """Let the aggregator run, as a service does, until all up to `offset` is counted."""
    stop = threading.Event()
    running = threading.Thread(target=world.aggregator.run, args=[stop])
    running.start()
    with Database(url) as database:
        counted = eventually(lambda: watermark(database), offset, within_s=60)
    stop.set()
    running.join(60)
    assert not running.is_alive()
    assert counted == offset


def watermark(database):
    with database.reading() as connection:
        return connection.scalar(sa.select(shards.c.offset))


@pytest.mark.parametrize("cut", Cut)
def test_a_commit_without_an_answer_is_counted_once(world, cutter, url, cut):
    start_us = utc("2024-03-04 18:00")
    beats = [heartbeat(start_us + 30 * S * i, project="ab"[i % 2], language="P", category="coding") for i in range(60)]
    world.deliver([beats[:20]])
    cutter.cut_next(cut)
    offset = world.append(heartbeat_records(world.user_id, list(map(sent, beats[10:40]))))
    follow(world, url, offset)
    assert cutter.cuts == 1
    check(world, ZONE, beats[:40])
    assert list(verify(world.database, world.lake)) == []


@pytest.mark.parametrize("cut", Cut)
def test_a_flush_whose_commit_has_no_answer_loses_and_doubles_nothing(world, cutter, cut):
    beats = [
        heartbeat(utc("2024-03-04 23:50") + 30 * S * i, project="p", language="P", category="coding") for i in range(60)
    ]
    world.deliver([beats])
    cutter.cut_next(cut)
    with pytest.raises(Exception, match="unavailable"):
        world.flush()
    assert cutter.cuts == 1
    check(world, ZONE, beats)
    world.restart()
    world.flush()
    check(world, ZONE, beats)
    assert list(verify(world.database, world.lake)) == []
