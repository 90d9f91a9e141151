"""One's own heartbeats: `GET /api/v1/my/heartbeats` and `…/most_recent` (semantics.md, section 5)."""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Query, Response

from query_api.access import KnownUser, Services, UsedServices
from query_api.errors import json_answer
from query_api.models import HeartbeatWindow, MostRecent
from query_api.one_state import in_one_state
from query_api.openapi import KEY, answers
from query_api.parameters import Count, Name, When, Window, limit_of, window_of
from query_api.ranges import measure_range, total_seconds
from query_api.streaming import stream_list
from query_api.wording import time_ago
from schemas.dimensions import Dimension, Value
from schemas.heartbeat import Heartbeat, answer, iso_utc
from schemas.instants import MAX_TIME_US, MIN_TIME_US
from schemas.segment import measure, whole_seconds
from storage.stats.reader import Span

router = APIRouter(tags=["my heartbeats"], default_response_class=Response, prefix="/api/v1/my")

_TEST_ENTRY: Final = "test_entry"
_ALWAYS: Final = Span(MIN_TIME_US, MAX_TIME_US)
_FIRST_LOOK: Final = 8
"""Heartbeats read at first: nearly always, the newest is what is asked for."""


class _Wanted(NamedTuple):
    """Which heartbeats a request asks for: a source type (None: all but test entries), an editor in any case."""

    source_type: str | None
    editor: str | None

    def matches(self, heartbeat: Heartbeat) -> bool:
        if self.editor is not None and (heartbeat.editor or "").lower() != self.editor.lower():
            return False
        if self.source_type is None:
            return heartbeat.source_type != _TEST_ENTRY
        return heartbeat.source_type == self.source_type

    def may_be_in(self, dimension: Dimension, value: Value) -> bool:
        if self.editor is None:
            return dimension == Dimension.TOTAL
        return dimension == Dimension.EDITOR and isinstance(value, str) and value.lower() == self.editor.lower()


@router.get("/heartbeats", responses=answers(HeartbeatWindow, 401, 422), openapi_extra=KEY)
def my_heartbeats(
    services: UsedServices,
    user: KnownUser,
    start: Annotated[When, Query(description="Start, inclusive: date or time, UTC without a zone.")] = None,
    end: Annotated[When, Query(description="End, inclusive: date (its 00:00) or time.")] = None,
    start_time: Annotated[When, Query(description="Another name of `start`.")] = None,
    end_time: Annotated[When, Query(description="Another name of `end`.")] = None,
    limit: Annotated[
        Count,
        Query(
            description="The newest so many of the window, from 1; without a window the newest of all. Above 100: 100. "
            "Default: the whole window."
        ),
    ] = None,
) -> Response:
    """List your own heartbeats in a window, ascending by time.

    The window is the current UTC day by default. `total_seconds` is of the whole window, whatever `limit` lists.
    """
    listed = limit_of(limit)
    names = ("start" if start else "start_time", "end" if end else "end_time")
    window = window_of(start or start_time, end or end_time, names, services.clock())
    if listed is not None and not window.is_given:
        return json_answer(_newest_of_all(services, user.user_id, listed))

    def compute() -> Response:
        if listed is None:
            return _whole_window(services, user.user_id, window)
        return json_answer(_newest_of_window(services, user.user_id, window, listed))

    return in_one_state(services, user.user_id, compute)


@router.get("/heartbeats/most_recent", responses=answers(MostRecent, 401, 422), openapi_extra=KEY)
def my_most_recent(
    services: UsedServices,
    user: KnownUser,
    source_type: Annotated[
        Name, Query(description="`direct_entry`, `test_entry` or `wakapi_import`. Default: all but test entries.")
    ] = None,
    editor: Annotated[Name, Query(description="Of this editor alone, in any case.")] = None,
) -> Response:
    """Show your newest heartbeat by time."""
    newest = _newest(services, user.user_id, _Wanted(source_type or None, editor or None))
    if newest is None:
        return json_answer(MostRecent(has_heartbeat=False, heartbeat=None, editor=None, time_ago=None))
    ago = time_ago(newest.time_us, services.clock())
    shown = answer(newest, user.user_id)
    return json_answer(MostRecent(has_heartbeat=True, heartbeat=shown, editor=newest.editor, time_ago=ago))


def _days_of(services: Services, user_id: int, span: Span) -> Callable[[], frozenset[int]]:
    """Give the days on which a user has heartbeats once they are asked for: ten years of them take some 10 ms."""
    return functools.cache(lambda: services.reader.days_of(user_id, span))


def _newest_of_all(services: Services, user_id: int, limit: int) -> HeartbeatWindow:
    heartbeats = services.history.newest(user_id, limit, None, _days_of(services, user_id, _ALWAYS))
    total = measure(heartbeat.time_us for heartbeat in heartbeats)
    return HeartbeatWindow(
        start_time=iso_utc(total.first_us) if total else None,
        end_time=iso_utc(total.last_us) if total else None,
        total_seconds=whole_seconds(total.duration_us) if total else 0,
        heartbeats=[answer(heartbeat, user_id) for heartbeat in heartbeats],
    )


def _newest_of_window(services: Services, user_id: int, window: Window, limit: int) -> HeartbeatWindow:
    days = _days_of(services, user_id, Span(window.from_us, window.to_us + 1))
    heartbeats = services.history.newest(user_id, limit, window.to_us + 1, days)
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
    days = services.reader.days_of(user_id, Span(window.from_us, window.to_us + 1))
    chunks = services.history.stream(user_id, window.from_us, window.to_us + 1, days)
    return stream_list(head, ([answer(heartbeat, user_id) for heartbeat in chunk] for chunk in chunks))


def _total_of(services: Services, user_id: int, window: Window) -> int:
    span = Span(window.from_us, window.to_us + 1)
    return total_seconds(measure_range(services.reader, services.history, user_id, span, ()))


def _newest(services: Services, user_id: int, wanted: _Wanted) -> Heartbeat | None:
    """Find the newest wanted heartbeat: among the last few, or else month by month where segments show its group."""
    days = _days_of(services, user_id, _ALWAYS)
    last = services.history.newest(user_id, _FIRST_LOOK, None, days)
    found = _last_of(last, wanted)
    if found is not None or len(last) < _FIRST_LOOK:
        return found
    pieces = services.reader.read_range(user_id, _ALWAYS, (Dimension.EDITOR,)).pieces
    months = [month for group, months in pieces.items() if wanted.may_be_in(*group) for month in months]
    with services.scans.place() as scan:
        for month in sorted(months, key=lambda month: month.last_us, reverse=True):
            if found is None or month.last_us > found.time_us:
                for chunk in services.history.stream(user_id, month.first_us, month.last_us + 1, days()):
                    scan.check()
                    found = _later(found, _last_of(chunk, wanted))
    return found


def _last_of(heartbeats: Sequence[Heartbeat], wanted: _Wanted) -> Heartbeat | None:
    return next((heartbeat for heartbeat in reversed(heartbeats) if wanted.matches(heartbeat)), None)


def _later(one: Heartbeat | None, other: Heartbeat | None) -> Heartbeat | None:
    return max((h for h in (one, other) if h is not None), key=lambda h: (h.time_us, h.id), default=None)
