"""The four services, each wired from its parts and run until it is told to stop.

`ready` is called once a service answers (or follows the log). All raise `StorageError` when a place cannot be had.
"""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from prometheus_client import start_http_server

from heartline.places import FreeSpace
from heartline.settings import Settings
from storage.directory import Directory, KeyCache
from storage.errors import BusyError
from storage.stats import Database
from storage.stats.closing import is_closing
from storage.stats.sharding import refuse_other_number

if TYPE_CHECKING:  # each process loads what it runs, and nothing else
    from starlette.types import ASGIApp

    from aggregator.service import Aggregator, AggregatorConfig
    from ingest.app import IngestApp
    from storage.log import LogReader, Place
    from storage.log.sqlite import SqliteLogReader

logger = logging.getLogger(__name__)

_REFRESH_KEYS_S = 0.5  # changes in the directory take effect within 2 s
_CHECK_DISK_S = 1.0
_LOOK_AT_LOG_S = 0.5  # `heartline log close` waits 2 s for it
_DRAIN_WITHIN_S = 5.0  # the rest of a stop's 10 s is for the other processes
_LOOK_FOR_LOCK_S = 0.2
_LAST_LOOK_WITHIN_S = 1.0
_BEHIND_THE_FRONT = "*"  # the only peer of a private Unix socket is the front, which names the client

Ready = Callable[[], None]


def _now_us() -> int:
    return time.time_ns() // 1000


async def front(
    settings: Settings, listener: socket.socket, query_socket: str, stop: asyncio.Event, ready: Ready
) -> None:
    """Run the public port of `heartline up`: ingest and status bar here, all else behind `query_socket`."""
    from heartline.forward import Forwarder
    from heartline.front import Front, Guard
    from heartline.serving import serve
    from query_api.statusbar import StatusBarApp
    from storage.stats.reader import StatsReader

    space = FreeSpace(settings)
    async with _directory(settings) as (database, keys), _ingest(settings, database, keys, space) as ingest:
        with closing(StatsReader(database)) as reader:
            status_bar = StatusBarApp(reader, keys, settings.statusbar_text, _now_us)
            async with aclosing(Forwarder(query_socket)) as forwarder:
                app = _limited(Front(ingest, status_bar, forwarder), settings)
                guarded = Guard(app, "front", access_log=settings.access_log)
                await serve(guarded, listener, stop, ready, trusted_proxies=settings.trusted_proxies)


async def ingest(settings: Settings, listener: socket.socket, stop: asyncio.Event, ready: Ready) -> None:
    """Run ingest alone, with `/up`."""
    from heartline.front import Guard, IngestAlone
    from heartline.metrics import Metrics
    from heartline.serving import serve

    space = FreeSpace(settings)
    async with _directory(settings) as (database, keys), _ingest(settings, database, keys, space) as app:
        limited = _limited(Metrics(IngestAlone(app, space.reason)), settings)
        guarded = Guard(limited, "ingest", access_log=settings.access_log)
        await serve(guarded, listener, stop, ready, trusted_proxies=settings.trusted_proxies)


async def query(
    settings: Settings, listener: socket.socket, stop: asyncio.Event, ready: Ready, *, behind_front: bool = False
) -> None:
    """Run the read API, at a port of its own or behind the front."""
    from heartline.front import Guard, QueryAlone
    from heartline.metrics import Metrics
    from heartline.serving import serve
    from query_api.app import create_app
    from query_api.config import QueryConfig
    from storage.history import History
    from storage.lake.opening import open_lake

    operator = settings.stats_api_key
    config = QueryConfig(
        stats_api_key=operator.get_secret_value() if operator else None,
        lookups=settings.lookups,
        statusbar_text=settings.statusbar_text,
    )
    async with _directory(settings) as (database, keys):
        app = create_app(config, database, keys, History(database, open_lake(settings.lake_url)))
        proxies = _BEHIND_THE_FRONT if behind_front else settings.trusted_proxies
        alone = Metrics(QueryAlone(app.state.services.statusbar, app), database)
        limited = alone if behind_front else _limited(alone, settings)  # the front has counted them
        guarded = Guard(limited, "query", access_log=settings.access_log and not behind_front)
        await serve(guarded, listener, stop, ready, trusted_proxies=proxies)


def aggregate(settings: Settings, stop: threading.Event, ready: Ready) -> None:
    """Follow the log until `stop` is set, then count what is left and flush it."""
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.host)
    if settings.log_path is None:
        _aggregate_shards(settings, stop, ready)
        return
    with closing(_open_log(settings.log_path, stop)) as log, open_shard(settings, log) as aggregator:
        ready()
        aggregator.run(stop)


def _aggregate_shards(settings: Settings, stop: threading.Event, ready: Ready) -> None:
    """Follow the shards that Kafka's group gives to this process."""
    from aggregator.shards import follow
    from heartline.adapters import topic_of
    from storage.log.kafka_group import KafkaGroup
    from storage.log.kafka_topics import check_topic
    from storage.stats.shard import refuse_other_logs

    topic = topic_of(settings)
    with closing(Database(settings.stats_url)) as database:
        facts = check_topic(topic)
        refuse_other_logs(database, facts.id)
        refuse_other_number(database, facts.id, facts.partitions)
    with closing(KafkaGroup(topic, instance=settings.instance)) as group:
        ready()
        follow(group, partial(open_shard, settings), stop)


@contextmanager
def open_shard(settings: Settings, log: "LogReader", shards: int = 1) -> "Iterator[Aggregator]":
    """Take a shard; each has connections of its own, so that none waits for another's."""
    from aggregator.service import Aggregator
    from storage.lake.opening import open_lake

    with closing(Database(settings.stats_url)) as database:
        config = _config(settings, shards)
        with closing(Aggregator(database, log, open_lake(settings.lake_url), config)) as aggregator:
            yield aggregator


def _open_log(path: Path, stop: threading.Event) -> "SqliteLogReader":
    """Take the aggregator's end of the log, once a command that has it is done; `BusyError` if stopped before."""
    from storage.log.sqlite import SqliteLogReader

    waits = False
    while True:
        try:
            return SqliteLogReader(path)
        except BusyError as error:
            if not waits:
                logger.warning("The aggregator waits for a command to end: %s", error)
            waits = True
            if stop.wait(_LOOK_FOR_LOCK_S):
                raise


def _config(settings: Settings, shards: int) -> "AggregatorConfig":
    """Give the aggregator of one of `shards` shards its part of the settings."""
    from aggregator.service import AggregatorConfig

    return AggregatorConfig(
        flush_rows=settings.flush_rows,
        flush_interval_s=settings.flush_interval,
        cache_rows=settings.cache_rows // shards,
        compact_files=settings.compact_files,
        log_keep_s=settings.log_keep,
        stop_within_s=_DRAIN_WITHIN_S,
    )


def run_async(main: Coroutine[None, None, None]) -> None:
    """Run a service's coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _limited(app: "ASGIApp", settings: Settings) -> "ASGIApp":
    from heartline.throttle import throttled

    return throttled(app, per_key=settings.limit_per_key, per_address=settings.limit_per_address)


@asynccontextmanager
async def _directory(settings: Settings) -> AsyncIterator[tuple[Database, KeyCache]]:
    with closing(Database(settings.stats_url)) as database:
        keys = KeyCache(Directory(database))
        async with _every(_REFRESH_KEYS_S, partial(asyncio.to_thread, keys.refresh), "The directory"):
            yield database, keys


@asynccontextmanager
async def _ingest(
    settings: Settings, database: Database, keys: KeyCache, space: FreeSpace
) -> "AsyncIterator[IngestApp]":
    """Give the ingest application; at the end, what it queued is made durable."""
    from heartline.adapters import checked_ends, log_of
    from ingest.app import IngestApp, Limits

    log = log_of(settings)
    writer = await log.writer(settings.queue_bytes)
    try:
        gate = _Gate(database, await asyncio.to_thread(checked_ends, database, log))
        limits = Limits(max_body_bytes=settings.max_body_bytes, ready=lambda: space.reason() or gate.reason)
        async with (
            _every(_CHECK_DISK_S, partial(asyncio.to_thread, space.check), "The disk"),
            _every(_LOOK_AT_LOG_S, partial(asyncio.to_thread, gate.check), "The log"),
        ):
            yield IngestApp(writer, keys, limits, _now_us)
    finally:
        await writer.close()


class _Gate:
    """Shut once the log is being closed: what it would still take would never be counted.

    Raises `StorageError` where the log has other shards than its users were given.
    """

    def __init__(self, database: Database, shards: "list[Place]") -> None:
        self._database = database
        self._log = shards[0].log
        refuse_other_number(database, self._log, len(shards))
        self.reason: str | None = None
        self.check()

    def check(self) -> None:
        """Look into the database. Raises `UnavailableError`."""
        if is_closing(self._database, self._log):
            self.reason = "The log is closed: heartbeats go to the one that follows it."


@asynccontextmanager
async def _every(interval_s: float, action: Callable[[], Awaitable[None]], what: str) -> AsyncIterator[None]:
    """Do `action` every `interval_s` seconds meanwhile; a failure is logged when it begins, and tried again."""
    ending = asyncio.Event()

    async def repeat() -> None:
        failing = False
        while not await _is_set_within(ending, interval_s):
            try:
                await action()
                failing = False
            except Exception as error:  # noqa: BLE001 - whatever it is, this is to be done again
                if not failing:
                    logger.warning("%s cannot be checked: %s", what, error)
                failing = True

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        ending.set()
        await asyncio.wait([task], timeout=_LAST_LOOK_WITHIN_S)  # it may have a connection to give back
        task.cancel()


async def _is_set_within(event: asyncio.Event, timeout_s: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
    return event.is_set()
