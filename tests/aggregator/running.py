"""A real aggregator on a folder, in the test's own process; its clock is the test's to set."""

import threading
from contextlib import contextmanager

import sqlalchemy as sa

from aggregator.service import Aggregator, AggregatorConfig
from schemas.record import command_record, heartbeat_records
from schemas.tables import alarms, command_results
from storage.lake.folder import FolderLake
from storage.log.sqlite import SqliteLogReader, append_now
from storage.stats import Database
from tests.server import eventually
from tests.stored import NOON, S

WITHIN_S = 60


class Running:
    def __init__(self, folder, stats_url, **config):
        self.path = folder / "log.db"
        self.config = AggregatorConfig(**config)
        self.database = Database(stats_url)
        self.lake = FolderLake(folder / "lake")
        self.log = SqliteLogReader(self.path)
        self.now_s = NOON / S

    def start(self):
        self.aggregator = Aggregator(self.database, self.log, self.lake, self.config, lambda: self.now_s)
        return self.aggregator

    def close(self):
        self.aggregator.close()
        self.log.close()
        self.database.close()

    @contextmanager
    def following(self):
        """Let it follow the log in a thread, and stop it as SIGTERM does; what it raised is raised here."""
        stop, raised = threading.Event(), []

        def run():
            try:
                self.start().run(stop)
            except BaseException as error:  # noqa: BLE001 - shown to the test
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(WITHIN_S)
        assert not thread.is_alive()
        if raised:
            raise raised[0]

    def append(self, *heartbeats, user_id=1):
        return append_now(self.path, heartbeat_records(user_id, list(heartbeats)))

    def command(self, command):
        return append_now(self.path, [command_record(command)])

    def counted(self):
        with self.database.reading() as connection:
            return connection.scalar(sa.text('SELECT max("offset") FROM shards'))

    def is_counted(self, offset):
        return eventually(self.counted, offset, WITHIN_S) == offset

    def alarm(self):
        with self.database.reading() as connection:
            return connection.execute(sa.select(alarms.c.reason)).scalars().all()

    def result(self, offset):
        """(error, answer) of a command that is done."""
        with self.database.reading() as connection:
            found = connection.execute(sa.select(command_results).where(command_results.c.offset == offset)).one()
            return found.error, found.answer


class Held:
    """A lake whose writing waits, once it has begun, until it is let go."""

    def __init__(self, lake):
        self.lake = lake
        self.delete, self.scan, self.table = lake.delete, lake.scan, lake.table
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.holds = False

    def write(self, path, batches):
        if self.holds:
            self.begun.set()
            assert self.let_go.wait(WITHIN_S)
        return self.lake.write(path, batches)
