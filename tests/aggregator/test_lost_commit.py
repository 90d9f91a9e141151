"""A COMMIT whose answer never comes: it may have happened or not, and is counted once either way."""

import threading

import pytest
import sqlalchemy as sa

from aggregator.verify import verify
from schemas.record import DropLetter, Kind, Record, command_record, heartbeat_records
from schemas.tables import command_results, dead_letters, shards
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


@pytest.mark.parametrize("cut", Cut)
def test_a_dead_letter_is_dropped_once_and_said_so(world, cutter, url, cut):
    letter = world.append([Record(world.user_id, Kind.HEARTBEATS, b"garbage")])
    follow(world, url, letter)
    with Database(url) as database, database.reading() as connection:
        named = connection.execute(sa.select(dead_letters.c.log, dead_letters.c.shard, dead_letters.c.offset)).one()
    cutter.cut_next(cut)
    offset = world.append([command_record(DropLetter(*named), world.user_id)])
    follow(world, url, offset)
    assert cutter.cuts == 1
    with Database(url) as database, database.reading() as connection:
        assert connection.execute(sa.select(dead_letters)).all() == []
        results = sa.select(command_results.c.answer, command_results.c.error)
        assert connection.execute(results).all() == [('{"dropped": 1}', None)]
