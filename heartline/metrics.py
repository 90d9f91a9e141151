"""Metrics for Prometheus: what each process counts, and what the stats database says of tail, lake and log.

The processes of `heartline up` share a folder of counters (prometheus-client's multiprocess mode), so that the one
port answers for all of them.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from prometheus_client import REGISTRY, CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Receive, Scope, Send

from heartline.serving import answer_error
from schemas.tables import FileState, dead_letters, lake_files, shards, tail, users
from storage.stats import Database

_SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"

_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUEST_SECONDS: Final = Histogram(
    "heartline_request_seconds",
    "Time to answer a request, by service and kind of status",
    ["service", "status"],
    buckets=_BUCKETS_S,
)


class Metrics:
    """An ASGI application that answers `GET /metrics`, and leaves everything else to `app`."""

    def __init__(self, app: ASGIApp, database: Database | None = None) -> None:
        self._app = app
        self._registry = _registry(database)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] != "/metrics":
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await answer_error(send, 405, "Use GET.", headers=[(b"allow", b"GET, HEAD")])
        else:
            body = await asyncio.to_thread(generate_latest, self._registry)
            headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _registry(database: Database | None) -> CollectorRegistry:
    registry = REGISTRY
    if Path(os.environ.get(_SHARED_FOLDER, "")).is_absolute():
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library types half of itself
    if database is not None:
        registry.register(_Stored(database))
    return registry


class _Stored(Collector):
    """What the stats database knows, read when it is asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing: registering must not ask the database."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges, all of one snapshot."""
        with self._database.reading() as connection:
            rows, in_tail = _pair(connection, sa.func.count(), sa.func.sum(tail.c.count), source=tail)
            is_live = lake_files.c.state == FileState.LIVE
            files, in_lake = _pair(
                connection, sa.func.count(), sa.func.sum(lake_files.c.rows), source=lake_files, where=is_live
            )
            letters = _rows(connection, dead_letters)
            people = _rows(connection, users)
            watermarks = connection.execute(sa.select(shards.c.log, shards.c.shard, shards.c.offset)).all()
        yield GaugeMetricFamily("heartline_tail_records", "Log records in the tail", rows)
        yield GaugeMetricFamily("heartline_tail_heartbeats", "Heartbeats counted and not in Parquet yet", in_tail)
        yield GaugeMetricFamily("heartline_lake_files", "Parquet files that count", files)
        yield GaugeMetricFamily("heartline_lake_heartbeats", "Heartbeats in Parquet", in_lake)
        yield GaugeMetricFamily("heartline_dead_letters", "Records set aside", letters)
        yield GaugeMetricFamily("heartline_users", "Users of the directory", people)
        watermark = GaugeMetricFamily("heartline_watermark", "The last offset that is counted", labels=["log", "shard"])
        for log, shard, offset in watermarks:
            watermark.add_metric([log, str(shard)], offset)
        yield watermark


def _rows(connection: sa.Connection, table: sa.Table) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def _pair(
    connection: sa.Connection,
    *values: sa.ColumnElement[int],
    source: sa.Table,
    where: sa.ColumnElement[bool] | None = None,
) -> tuple[int, int]:
    query = sa.select(*values).select_from(source)
    row = connection.execute(query if where is None else query.where(where)).one()
    return int(row[0]), int(row[1] or 0)
