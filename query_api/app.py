"""The query API: read-only HTTP over stats, tail and lake."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI

from query_api import (
    badge,
    heartbeats,
    home,
    last_7_days,
    projects,
    spans,
    stats,
    statusbar_route,
    summaries,
    summary,
    users,
    wakatime,
)
from query_api.access import Services
from query_api.config import QueryConfig
from query_api.errors import install_error_handlers
from query_api.headers import ApiHeaders
from query_api.openapi import TAGS, HeartlineApi
from query_api.scans import Scans
from query_api.statusbar import Keys, StatusBarApp
from storage.directory import Directory
from storage.history import History
from storage.stats import Database
from storage.stats.reader import StatsReader

_ROUTERS: Final = (
    statusbar_route.router,
    users.lookups,
    # Before the routes that end in a fixed word and take all before it for a username: a project may be named so.
    projects.router,
    badge.router,
    users.router,
    stats.router,
    last_7_days.router,
    summaries.router,
    spans.router,
    summary.router,
    wakatime.router,
    heartbeats.router,
    home.router,
)
"""In the order in which a request's path is compared with them."""

_DESCRIPTION: Final = """Takes the heartbeats of WakaTime-compatible plugins and answers how long you coded.

Send your API key as `Authorization: Bearer KEY`, as Basic, or as `?api_key=KEY`. A key that is given and wrong is
refused everywhere, also where none is needed.

Every error is JSON: `{"error": "…"}`. Unknown paths are 404. A method that a path does not have is 405, `Allow` names
those that it has; HEAD goes wherever GET does. 503 says with `Retry-After` when to try again, and so does 429, which
you only meet where the operator limits requests.

Durations are sums of the gaps between heartbeats, each counted for at most two minutes. Instants are UTC where
they name no zone. Dates and names that are empty count as not given.

Every answer under /api/ may be read by pages of any site (`Access-Control-Allow-Origin: *`) and is kept by no cache.
"""


def now_us() -> int:
    """Give the time, microseconds since the epoch."""
    return time.time_ns() // 1000


def create_app(
    config: QueryConfig,
    database: Database,
    keys: Keys,
    history: History,
    clock: Callable[[], int] = now_us,
) -> FastAPI:
    """Make the application. `clock` gives microseconds since the epoch. `database` stays the caller's to close."""
    reader = StatsReader(database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with closing(reader):
            yield

    app = HeartlineApi(
        title="Heartline",
        version=version("heartline"),
        summary="Coding time, counted exactly, answered at once.",
        description=_DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=list(TAGS),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.services = Services(
        config=config,
        reader=reader,
        directory=Directory(database),
        history=history,
        keys=keys,
        statusbar=StatusBarApp(reader, keys, config.statusbar_text, clock),
        scans=Scans(),
        clock=clock,
    )
    for router in _ROUTERS:
        app.include_router(router)
    app.add_middleware(ApiHeaders)
    install_error_handlers(app)
    return app
