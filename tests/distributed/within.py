"""Commands, ingest and an aggregator within the test's own process, on whatever places: no process has to start."""

import asyncio
import json
import os
import threading
from contextlib import contextmanager
from unittest import mock

from typer.testing import CliRunner

from heartline import services
from heartline.adapters import log_of
from heartline.cli import app
from heartline.places import listen, public_url
from heartline.settings import read_settings
from schemas.heartbeat import Heartbeat
from schemas.record import heartbeat_records
from storage.stats import Database
from storage.stats.reader import Span, StatsReader
from tests.server import eventually

S = 1_000_000
T_US = 1_700_000_000 * S
EVER = Span(T_US - 10**13, T_US + 10**13)
WITHIN_S = 60


@contextmanager
def _running(work, stop):
    """Let a service work in a thread, once it is ready; what it raised is raised here."""
    ready, raised = threading.Event(), []

    def run():
        try:
            work(ready.set)
        except BaseException as error:  # noqa: BLE001 - shown to the test
            raised.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(WITHIN_S)
        yield
    finally:
        if not raised:
            stop()
        thread.join(WITHIN_S)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


class Places:
    """A log, a database and a lake, and who works on them; `variables` are HEARTLINE_ settings by their lower names."""

    def __init__(self, folder, **variables):
        self.variables = {"HEARTLINE_DATA": str(folder)} | {f"HEARTLINE_{k.upper()}": v for k, v in variables.items()}

    @property
    def settings(self):
        with self._environment():
            return read_settings()

    def with_(self, **variables):
        """The same, with other settings."""
        changed = self.variables | {f"HEARTLINE_{name.upper()}": value for name, value in variables.items()}
        return Places(changed.pop("HEARTLINE_DATA"), **{k[10:].lower(): v for k, v in changed.items()})

    def cli(self, *arguments):
        """Run a command; give what it printed as JSON, or its lines where it printed several objects."""
        with self._environment():
            result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        try:
            return json.loads(result.stdout)
        except json.JSONDecodeError:
            return result.stdout.splitlines()

    def add_users(self, number):
        return [self.cli("users", "add", f"user-{n}")["user_id"] for n in range(number)]

    def append(self, user_id, minutes):
        """Append one record with a heartbeat for each minute, as ingest does; the same minute is the same heartbeat."""
        beats = [Heartbeat(id=m + 1, time_us=T_US + m * 60 * S, created_at_us=1, project="p") for m in minutes]
        (record,) = heartbeat_records(user_id, beats)
        return log_of(self.settings).append(record)

    @contextmanager
    def aggregator(self):
        """Let an aggregator follow the log meanwhile, and stop it as SIGTERM does; what it raised is raised here."""
        stop = threading.Event()
        with _running(lambda ready: services.aggregate(self.settings, stop, ready), stop.set):
            yield

    @contextmanager
    def ingest(self):
        """Take heartbeats meanwhile; gives the URL."""
        listener = listen("127.0.0.1", 0)
        stopping = []

        async def serve(ready):
            stop = asyncio.Event()
            stopping.append((asyncio.get_running_loop(), stop))
            await services.ingest(self.settings, listener, stop, ready)

        def end():
            loop, stop = stopping.pop()
            loop.call_soon_threadsafe(stop.set)

        with _running(lambda ready: asyncio.run(serve(ready)), end):
            yield public_url(listener)

    @contextmanager
    def reader(self):
        with Database(self.settings.stats_url) as database:
            reader = StatsReader(database)
            yield reader
            reader.close()

    def total(self, user_id):
        """A user's coding time in minutes, from the tables."""
        with self.reader() as reader:
            found = reader.read_range(user_id, EVER, [])
        assert found.missing == []
        seconds = [segment.duration_us / S for segments in found.pieces.values() for segment in segments]
        return sum(seconds) / 60 if seconds else 0

    def is_counted(self, user_id, minutes):
        return eventually(lambda: self.total(user_id), minutes, WITHIN_S) == minutes

    def letters(self):
        """The dead letters, as `heartline dead-letters list` shows them."""
        lines = self.cli("dead-letters", "list")
        return [lines] if isinstance(lines, dict) else [json.loads(line) for line in lines]

    def rows(self):
        """{user id: (rows, distinct heartbeats)} of tail and lake."""
        lines = self.cli("sql", "--json", "SELECT user_id, count(*) n, count(DISTINCT id) d FROM heartbeats GROUP BY 1")
        lines = [lines] if isinstance(lines, dict) else [json.loads(line) for line in lines]
        return {row["user_id"]: (row["n"], row["d"]) for row in lines}

    def assert_exact(self, minutes_of):
        """Each user has every minute from 0 to theirs, once, in stats, tail and lake."""
        for user_id, minutes in minutes_of.items():
            assert self.is_counted(user_id, minutes), (user_id, self.total(user_id))
        assert self.rows() == {user_id: (minutes + 1, minutes + 1) for user_id, minutes in minutes_of.items()}
        assert self.cli("verify") == ["Every table agrees with lake and tail, and these with themselves."]

    @contextmanager
    def _environment(self):
        others = {k: v for k, v in os.environ.items() if not k.startswith("HEARTLINE_")}
        with mock.patch.dict(os.environ, others | self.variables, clear=True):
            yield
