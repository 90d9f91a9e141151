"""Ingest over real ASGI calls, with a real log in a folder of its own."""

import asyncio
import contextlib

import httpx

from ingest.app import IngestApp, Limits
from schemas.record import Kind, unpack_lines
from schemas.users import User
from storage.log.sqlite import SqliteLogReader, SqliteLogWriter

KEY = "11111111-1111-4111-8111-111111111111"
NOW_US = 1_795_469_428_123_456
BULK = "/api/hackatime/v1/users/current/heartbeats.bulk"
SINGLE = "/api/hackatime/v1/users/current/heartbeats"
BEARER = {"Authorization": f"Bearer {KEY}", "User-Agent": ""}


class OneKey:
    """The directory of a single user."""

    async def find(self, key):
        return User(7, "ann", "UTC") if key == KEY else None


@contextlib.asynccontextmanager
async def client_of(log, limits):
    app = IngestApp(log, OneKey(), limits, lambda: NOW_US)
    transport = httpx.ASGITransport(app, client=("127.0.0.9", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://heartline.test") as client:
        yield client


class Lab:
    """Sends requests, each through an app on the same log file, and reads what the log has."""

    def __init__(self, folder):
        self._path = folder / "log.db"

    def post(self, path, json=None, *, limits=None, queue_bytes=1 << 20, headers=BEARER, method="POST", **request):
        async def send():
            log = SqliteLogWriter(self._path, max_queued_bytes=queue_bytes)
            try:
                async with client_of(log, limits or Limits()) as client:
                    return await client.request(method, path, json=json, headers=headers, **request)
            finally:
                await log.close()

        return asyncio.run(send())

    def records(self):
        with contextlib.closing(SqliteLogReader(self._path)) as log:
            return log.read(0, 1 << 30)

    def logged(self):
        records = self.records()
        assert {(r.user_id, r.kind) for r in records} <= {(7, Kind.HEARTBEATS)}
        return [h for r in records for h in unpack_lines(r.value)]
