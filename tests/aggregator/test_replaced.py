"""An owner that stood still while another took its shard over, and wakes in the midst of writing: no file is left."""

import threading

import pytest
import sqlalchemy as sa

from aggregator.service import AggregatorConfig
from schemas.record import Compact
from schemas.tables import lake_files
from storage.errors import FencedError
from tests.aggregator.running import WITHIN_S, Held, Running
from tests.lakes import FolderPlace
from tests.stored import DAY, NOON, S, beat


@pytest.fixture
def running(tmp_path, stats_url):
    made = Running(tmp_path, stats_url, flush_interval_s=1e12, compact_files=2)
    made.place = FolderPlace(tmp_path / "lake")
    made.lake = Held(made.lake)
    yield made
    made.close()


def replaced_while_it_writes(running, work):
    """Let an owner do `work` in a thread, stand still before its first file, and go on behind its successor's back."""
    zombie, raised = running.aggregator, []

    def run():
        try:
            work(zombie)
        except FencedError as error:
            raised.append(error)

    running.lake.holds = True
    thread = threading.Thread(target=run)
    thread.start()
    assert running.lake.begun.wait(WITHIN_S)
    running.start()  # takes the shard, and recovers what is there
    running.lake.holds = False
    running.lake.let_go.set()
    thread.join(WITHIN_S)
    assert len(raised) == 1, "it must have been fenced"
    return zombie


def named(running):
    with running.database.reading() as connection:
        return set(connection.scalars(sa.select(lake_files.c.path)))


def test_a_flush_that_wakes_behind_its_successor_leaves_no_file(running):
    running.start().run_until(running.append(beat(NOON), beat(NOON + DAY)))
    zombie = replaced_while_it_writes(running, lambda owner: owner.flush_now())
    assert len(running.place.files()) == 2, "what only the zombie knows of"
    zombie.close()
    assert running.place.files() == named(running) == set()
    assert running.aggregator.flush_now() == 2
    assert running.place.files() == named(running)
    assert len(running.place.rows_of_glob()) == 2


def test_a_flush_that_is_abandoned_at_a_stop_leaves_no_file(running):
    running.config = AggregatorConfig(flush_rows=2)
    running.start().run_until(running.append(beat(NOON), beat(NOON + DAY)))
    running.lake.holds = True
    running.aggregator.step()  # the tail is full: a flush begins beside
    assert running.lake.begun.wait(WITHIN_S)
    zombie = running.aggregator
    running.start()
    running.lake.holds = False
    running.lake.let_go.set()
    zombie.close()
    assert running.place.files() == named(running) == set()


def test_a_compaction_that_wakes_behind_its_successor_leaves_no_file(running):
    running.start()
    for n in range(3):
        running.aggregator.run_until(running.append(beat(NOON + n * S)))
        running.aggregator.flush_now()
    before = named(running)
    running.now_s += DAY / S
    offset = running.command(Compact())
    zombie = replaced_while_it_writes(running, lambda owner: owner.run_until(offset))
    zombie.close()
    assert running.place.files() == named(running) == before
    running.aggregator.run_until(offset)
    assert len(running.place.files()) == 1
    assert len(running.place.rows_of_glob()) == 3


def test_an_owner_that_ends_leaves_what_counts(running):
    running.start().run_until(running.append(beat(NOON), beat(NOON + DAY)))
    running.aggregator.flush_now()
    running.aggregator.close()
    assert running.place.files() == named(running)
    assert len(running.place.rows_of_glob()) == 2
