"""The status bar: asked by every editor all the time, so it runs without any framework (semantics.md, section 3)."""

import asyncio
import re
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from starlette.types import Receive, Scope, Send

from query_api import wording
from query_api.config import PLUGINS_PREFIX, PREFIXES, RETRY_AFTER_S, TextStyle
from query_api.models import DayRange, FullData, FullStatusBar
from query_api.parameters import MAX_NAME
from query_api.totals import full_total
from schemas.calendars import date_of
from schemas.credentials import api_keys_of
from schemas.openapi import CHALLENGE
from schemas.segment import whole_seconds
from schemas.users import User
from storage.errors import UnavailableError
from storage.stats.reader import StatsReader
from storage.stats.today import Today

_PREFIXES: Final = "|".join(map(re.escape, (*PREFIXES, PLUGINS_PREFIX)))
_PATH: Final = re.compile(f"({_PREFIXES})/users/[^/]{{1,{MAX_NAME}}}/statusbar/today")
_HACKATIME: Final = PREFIXES[0]

_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"access-control-allow-origin", b"*"),
]
_HEADERS_OF: Final = {
    401: ((b"www-authenticate", CHALLENGE.encode()),),
    503: ((b"retry-after", b"%d" % RETRY_AFTER_S),),
}
_INVALID_KEY: Final = b'{"error":"Invalid API key"}'
_UNAVAILABLE: Final = b'{"error":"The database is unavailable, try again soon"}'


def headers_of(status: int, body: bytes) -> list[tuple[bytes, bytes]]:
    """Give the headers of an answer."""
    return [*_HEADERS, (b"content-length", b"%d" % len(body)), *_HEADERS_OF.get(status, ())]


class Keys(Protocol):
    """Knows whose key is whose."""

    def owner(self, key: str) -> User | None:
        """Return the key's owner, None for an unknown key. Raises `UnavailableError`."""

    async def find(self, key: str) -> User | None:
        """Do the same within an event loop."""


class StatusBarApp:
    """Answers `GET …/users/{anything}/statusbar/today`: the key alone tells the user. A bare ASGI application."""

    def __init__(self, reader: StatsReader, keys: Keys, text_style: TextStyle, clock: Callable[[], int]) -> None:
        """`clock` gives microseconds since the epoch. `words` of the made one says seconds in `text_style`."""
        self._reader = reader
        self._keys = keys
        self.words = wording.status_text if text_style == "long" else wording.status_text_short
        self._clock = clock

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is for this application."""
        return method == "GET" and path.endswith("/statusbar/today") and _PATH.fullmatch(path) is not None

    def answer(self, path: str, authorization: bytes | None, query: bytes) -> tuple[int, bytes]:
        """Give the status and body for a request's path, Authorization header and query string."""
        try:
            today = self._read(authorization, query)
        except UnavailableError:
            return 503, _UNAVAILABLE
        if today is None:
            return 401, _INVALID_KEY
        seconds = whole_seconds(today.duration_us)
        text = self.words(seconds)
        if path.startswith(_HACKATIME):
            return 200, b'{"data":{"grand_total":{"total_seconds":%d.0,"text":"%s"}}}' % (seconds, text.encode())
        return 200, msgspec.json.encode(_full_answer(today, seconds, text, self._clock()))

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Serve a request for which `matches` holds."""
        authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        request = scope["path"], authorization, scope["query_string"]
        if self._reader.is_remote:
            status, body = await asyncio.to_thread(self.answer, *request)
        else:
            status, body = self.answer(*request)
        await send({"type": "http.response.start", "status": status, "headers": headers_of(status, body)})
        await send({"type": "http.response.body", "body": body})

    def _read(self, authorization: bytes | None, query: bytes) -> Today | None:
        for key in api_keys_of(authorization, query).keys:
            user = self._keys.owner(key)
            if user is not None:
                return self._reader.today(user.user_id, user.timezone, self._clock())
        return None


def _full_answer(today: Today, seconds: int, text: str, now_us: int) -> FullStatusBar:
    day = DayRange(
        date=date_of(today.day.day).isoformat(),
        start=wording.whole_second(today.day.start_us),
        end=wording.whole_second(today.day.end_us - 1),
        text="Today",
        timezone=today.timezone,
    )
    return FullStatusBar(FullData(full_total(seconds, text), day), wording.whole_second(now_us))
