import shutil

import pytest

from aggregator.service import Aggregator, AggregatorConfig
from aggregator.verify import verify
from schemas.record import Kind, Record, compress, heartbeat_records
from storage.errors import StorageError
from storage.lake.folder import FolderLake
from storage.log.sqlite import SqliteLogReader, append_now
from storage.stats import Database
from tests.stored import NOON, S, beat


class Running:
    """A real aggregator on a folder."""

    def __init__(self, folder):
        self.path = folder / "log.db"
        self.database = Database(f"sqlite:///{folder}/stats.db")
        self.lake = FolderLake(folder / "lake")
        self.log = SqliteLogReader(self.path)

    def start(self):
        self.aggregator = Aggregator(self.database, self.log, self.lake, AggregatorConfig())
        return self.aggregator

    def close(self):
        self.aggregator.close()
        self.log.close()
        self.database.close()


def test_a_log_older_than_the_stats_is_refused_before_anything_is_lost(tmp_path):
    running = Running(tmp_path)
    running.log.close()
    shutil.copy(running.path, tmp_path / "backup")
    append_now(running.path, heartbeat_records(1, [beat(NOON)]))
    running.log = SqliteLogReader(running.path)
    running.start().run_until(1)
    running.aggregator.close()
    running.log.close()
    for file in tmp_path.glob("log.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup", running.path)
    running.log = SqliteLogReader(running.path)
    with pytest.raises(StorageError, match="older than the stats database"):
        running.start()
    running.close()


def test_a_command_that_cannot_be_read_stops_no_heartbeat_behind_it(tmp_path):
    running = Running(tmp_path)
    append_now(running.path, [Record(1, Kind.COMMAND, compress(b'{"type":"unheard of"}'))])
    offset = append_now(running.path, heartbeat_records(1, [beat(NOON), beat(NOON + 60 * S)]))
    running.start().run_until(offset)
    assert running.aggregator.flush_now() == 2
    running.close()


def test_verify_agrees_about_projects_and_languages_that_are_placeholders_or_blank(tmp_path):
    running = Running(tmp_path)
    sent = [
        beat(NOON, project="<<LAST_PROJECT>>", language="Python", branch="main"),
        beat(NOON + S, project="p", language=" ", branch="<<LAST_LANGUAGE>>"),
        beat(NOON + 2 * S, project=" ", language="Go", branch="b"),
        beat(NOON + 3 * S, project="p", language="Go", branch="b"),
    ]
    offset = append_now(running.path, heartbeat_records(1, sent))
    running.start().run_until(offset)
    assert list(verify(running.database, running.lake)) == []
    running.close()
