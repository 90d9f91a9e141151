"""The query API over a real database, log, lake and aggregator, with a clock that the tests set."""

import asyncio
import itertools

import httpx

from aggregator.service import Aggregator, AggregatorConfig
from query_api.app import create_app
from query_api.config import QueryConfig
from schemas.heartbeat import Heartbeat
from schemas.record import heartbeat_records
from storage.directory import Directory, KeyCache, NewUser
from storage.history import History
from storage.lake.folder import FolderLake
from storage.log.sqlite import SqliteLogReader, append_now
from storage.stats import Database

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOON = 1_750_000_000 // 86_400 * DAY + DAY // 2  # 2025-06-15 12:00 UTC
OPERATORS_KEY = "the-operators-key"

_ids = itertools.count(1)


def beat(time_us, project="heartline", language="Python", **fields):
    """A heartbeat as the log keeps it."""
    return Heartbeat(
        id=next(_ids),
        time_us=time_us,
        created_at_us=time_us,
        entity="/src/app.py",
        type="file",
        project=project,
        language=language,
        **fields,
    )


def beats(start_us, *offsets_s, **fields):
    """Heartbeats at offsets in seconds."""
    return [beat(start_us + round(offset * SECOND), **fields) for offset in offsets_s]


class World:
    """Everything that the query API reads, and the app itself; `now_us` is its clock."""

    def __init__(self, folder, stats_url):
        self.now_us = NOON
        self.database = Database(stats_url)
        self.directory = Directory(self.database)
        self.lake = FolderLake(folder / "lake")
        self.history = History(self.database, self.lake)
        self.keys = KeyCache(self.directory)
        self._log_path = folder / "log.db"
        self._log = SqliteLogReader(self._log_path)
        self.aggregator = Aggregator(self.database, self._log, self.lake, AggregatorConfig())
        self.make_app()

    def make_app(self, **settings):
        config = QueryConfig(**{"stats_api_key": OPERATORS_KEY} | settings)
        self.app = create_app(config, self.database, self.keys, self.history, lambda: self.now_us)

    def add_user(self, username, **fields):
        user, key = self.directory.add(NewUser(username=username, **fields))
        self.keys.refresh()
        return user, key

    def send(self, user, *heartbeats):
        """Send heartbeats through log and aggregator, as ingest does for a request."""
        flat = [h for part in heartbeats for h in (part if isinstance(part, list) else [part])]
        offset = append_now(self._log_path, heartbeat_records(user.user_id, flat))
        self.aggregator.run_until(offset)

    async def request(self, method, path, key=None, **options):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= options.pop("headers", {})
        transport = httpx.ASGITransport(options.pop("app", self.app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://heartline.test") as client:
            return await client.request(method, path, headers=headers, **options)

    def get(self, path, key=None, **options):
        return asyncio.run(self.request("GET", path, key, **options))

    def close(self):
        self.app.state.services.reader.close()
        self.aggregator.close()
        self._log.close()
        self.database.close()
