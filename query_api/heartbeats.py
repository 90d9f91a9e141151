"""One's own heartbeats: `GET /api/v1/my/heartbeats` and `…/most_recent` (semantics.md, section 5)."""

import itertools
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from query_api.access import KnownUser, Services, UsedServices
from query_api.errors import json_answer
from query_api.models import HeartbeatWindow, MostRecent
from query_api.openapi import KEY, answers
from query_api.parameters import Flag, When, Window, limit_of, window_of
from query_api.ranges import measure_range, total_seconds
from query_api.wording import time_ago
from schemas.heartbeat import Heartbeat, answer, iso_utc
from schemas.segment import measure, whole_seconds
from storage.history import History
from storage.stats.reader import Span

router = APIRouter(tags=["my heartbeats"], default_response_class=Response, prefix="/api/v1/my")

_TEST_ENTRY: Final = "test_entry"
_FIRST_LOOK: Final = 8
"""Heartbeats read at first to find one that is no test entry; each further look reads eight times as many."""


@router.get("/heartbeats", responses=answers(HeartbeatWindow, 401, 422), openapi_extra=KEY)
def my_heartbeats(
    services: UsedServices,
    user: KnownUser,
    start: Annotated[When, Query(description="Start, inclusive: date or time, UTC without a zone.")] = None,
    end: Annotated[When, Query(description="End, inclusive: date (its 00:00) or time.")] = None,
    start_time: Annotated[When, Query(description="Another name of `start`.")] = None,
    end_time: Annotated[When, Query(description="Another name of `end`.")] = None,
    limit: Annotated[
        Flag, Query(description="The newest so many of the window, 1 to 100; without a window the newest of all.")
    ] = None,
) -> Response:
    """List your own heartbeats in a window, ascending by time.

    The window is the current UTC day by default. `total_seconds` is of the whole window, whatever `limit` lists.
    """
    listed = limit_of(limit)
    names = ("start" if start else "start_time", "end" if end else "end_time")
    window = window_of(start or start_time, end or end_time, names, services.clock())
    if listed is None:
        return _whole_window(services, user.user_id, window)
    if window.is_given:
        return json_answer(_newest_of_window(services, user.user_id, window, listed))
    return json_answer(_newest_of_all(services.history, user.user_id, listed))


@router.get("/heartbeats/most_recent", responses=answers(MostRecent, 401), openapi_extra=KEY)
def my_most_recent(services: UsedServices, user: KnownUser) -> Response:
    """Show your newest heartbeat by time, test entries left out."""
    newest = _newest_real(services.history, user.user_id)
    if newest is None:
        return json_answer(MostRecent(has_heartbeat=False, heartbeat=None, editor=None, time_ago=None))
    ago = time_ago(newest.time_us, services.clock())
    shown = answer(newest, user.user_id)
    return json_answer(MostRecent(has_heartbeat=True, heartbeat=shown, editor=newest.editor, time_ago=ago))


def _newest_of_all(history: History, user_id: int, limit: int) -> HeartbeatWindow:
    heartbeats = history.newest(user_id, limit)
    total = measure(heartbeat.time_us for heartbeat in heartbeats)
    return HeartbeatWindow(
        start_time=iso_utc(total.first_us) if total else None,
        end_time=iso_utc(total.last_us) if total else None,
        total_seconds=whole_seconds(total.duration_us) if total else 0,
        heartbeats=[answer(heartbeat, user_id) for heartbeat in heartbeats],
    )


def _newest_of_window(services: Services, user_id: int, window: Window, limit: int) -> HeartbeatWindow:
    heartbeats = services.history.newest(user_id, limit, window.to_us + 1)
    return HeartbeatWindow(
        start_time=iso_utc(window.from_us),
        end_time=iso_utc(window.to_us),
        total_seconds=_total_of(services, user_id, window),
        heartbeats=[answer(heartbeat, user_id) for heartbeat in heartbeats if heartbeat.time_us >= window.from_us],
    )


def _whole_window(services: Services, user_id: int, window: Window) -> Response:
    head = HeartbeatWindow(
        start_time=iso_utc(window.from_us),
        end_time=iso_utc(window.to_us),
        total_seconds=_total_of(services, user_id, window),
        heartbeats=[],
    )
    chunks = services.history.stream(user_id, window.from_us, window.to_us + 1)
    # What can go wrong goes wrong with the first chunk, while there is still a status to choose.
    first = list(itertools.islice(chunks, 1))
    body = _streamed(head, itertools.chain(first, chunks), user_id)
    return StreamingResponse(body, media_type="application/json")


def _streamed(head: HeartbeatWindow, chunks: Iterator[list[Heartbeat]], user_id: int) -> Iterator[bytes]:
    """Write `head` with the chunks' heartbeats in its list, the last field, without holding more than a chunk."""
    yield msgspec.json.encode(head).removesuffix(b"]}")
    separator = b""
    for chunk in chunks:
        if chunk:
            rows = msgspec.json.encode([answer(heartbeat, user_id) for heartbeat in chunk])
            yield separator + rows[1:-1]
            separator = b","
    yield b"]}"


def _total_of(services: Services, user_id: int, window: Window) -> int:
    span = Span(window.from_us, window.to_us + 1)
    return total_seconds(measure_range(services.reader, services.history, user_id, span, ()))


def _newest_real(history: History, user_id: int) -> Heartbeat | None:
    limit = _FIRST_LOOK
    while True:
        heartbeats = history.newest(user_id, limit)
        for heartbeat in reversed(heartbeats):
            if heartbeat.source_type != _TEST_ENTRY:
                return heartbeat
        if len(heartbeats) < limit:
            return None
        limit *= 8
