"""The parameters of the API: what they mean, how they are bounded and read (semantics.md, sections 4 and 5)."""

import datetime as dt
from typing import Annotated, Final, NamedTuple

from dateutil.relativedelta import relativedelta
from fastapi import Path
from pydantic import StringConstraints, WithJsonSchema
from starlette.convertors import PathConvertor, register_url_convertor

from query_api.errors import ApiError
from query_api.named_ranges import RANGE_NAMES
from schemas.calendars import DAY_US
from schemas.instants import FIRST_US, LAST_US, parse_when
from schemas.normalise import MAX_KEY_BYTES
from storage.stats.reader import Span

MAX_NAME: Final = 320
"""The longest email address; no name or id is longer."""

MAX_PROJECT: Final = MAX_KEY_BYTES
"""The longest name of a project that ingest takes; in characters, of which none is less than a byte."""

MAX_WHEN: Final = 100
"""Any way to write an instant fits, JavaScript's with the whole name of a zone included."""

MAX_LISTED: Final = 100
"""Heartbeats that `limit` may ask for; more gives these many."""

_MAX_DIGITS: Final = 64

_SECOND_US: Final = 1_000_000


class _Text(PathConvertor):
    """The rest of a path, line ends included, which the framework's own `path` does not take."""

    regex = "(?s:.*)"


register_url_convertor("text", _Text())

Username = Annotated[
    str,
    Path(
        max_length=MAX_NAME,
        description="A username, user id or Slack id; `current` or `my`: the key's owner.",
        examples=["current"],
    ),
]
AnyId = Annotated[
    str,
    Path(max_length=MAX_NAME, description="Anything, such as `current`: the key tells the user.", examples=["current"]),
]
# What a parameter is for is described, in the forms that everybody knows; more is understood (semantics.md, section 4).
_EMPTY: Final = {"const": "", "description": "As if it were not given."}
_WHEN: Final = {
    "anyOf": [
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
        {"type": "number", "minimum": FIRST_US // _SECOND_US, "maximum": LAST_US // _SECOND_US},
        _EMPTY,
    ],
    "examples": ["2026-01-31", "2026-01-31T12:00:00Z", 1769860800],
}
_DAY: Final = {
    "anyOf": [{"type": "string", "format": "date"}, {"enum": ["today", "yesterday"]}],
    "examples": ["2026-01-31", "today"],
}

_RANGES: Final = ({"enum": [*RANGE_NAMES]}, {"type": "string", "pattern": r"^(19|2\d)\d{2}(-(0[1-9]|1[0-2]))?$"})
_RANGE_EXAMPLES: Final = ["last_7_days", "2025", "2025-06"]

When = Annotated[str, StringConstraints(max_length=MAX_WHEN), WithJsonSchema(_WHEN)] | None
Day = Annotated[str, StringConstraints(max_length=MAX_WHEN), WithJsonSchema(_DAY)] | None
Flag = Annotated[str, StringConstraints(max_length=16), WithJsonSchema({"type": "boolean", "default": False})] | None
RangeName = Annotated[
    str,
    StringConstraints(max_length=MAX_NAME),
    WithJsonSchema({"anyOf": [*_RANGES], "examples": _RANGE_EXAMPLES}),
]
RangeAsked = (
    Annotated[
        str,
        StringConstraints(max_length=MAX_NAME),
        WithJsonSchema({"anyOf": [*_RANGES, _EMPTY], "examples": _RANGE_EXAMPLES}),
    ]
    | None
)
Count = (
    Annotated[
        str,
        StringConstraints(max_length=_MAX_DIGITS),
        WithJsonSchema({"type": "integer", "minimum": 1, "examples": [MAX_LISTED]}),
    ]
    | None
)
ListLimit = (
    Annotated[
        str,
        StringConstraints(max_length=_MAX_DIGITS),
        WithJsonSchema({"type": "integer", "minimum": 0, "default": 0}),
    ]
    | None
)
Name = Annotated[str, StringConstraints(max_length=MAX_NAME)] | None
ProjectName = Annotated[str, StringConstraints(max_length=MAX_PROJECT)] | None
Names = Annotated[str, StringConstraints(max_length=2048)] | None


class Window(NamedTuple):
    """An inclusive window of instants, and whether the request named any end of it."""

    from_us: int
    to_us: int
    is_given: bool


def stats_span(start_date: str | None, end_date: str | None, now_us: int) -> Span:
    """Read a stats range [start, end): the last ten years until 23:59:59 UTC today by default. Raises 422."""
    start_us = _ten_years_before(now_us) if not start_date else _instant(start_date, "start_date")
    end_us = _day_start(now_us) + DAY_US - _SECOND_US if not end_date else _instant(end_date, "end_date")
    return Span(start_us, end_us)


def in_whole_seconds(span: Span) -> Span:
    """Cut both ends to whole seconds."""
    return Span(span.from_us // _SECOND_US * _SECOND_US, span.to_us // _SECOND_US * _SECOND_US)


def whole_days(start_date: str | None, end_date: str | None, now_us: int) -> Span:
    """Read a range of whole UTC days, both included: the last ten years by default. Raises 422."""
    start_us = _ten_years_before(now_us) if not start_date else _instant(start_date, "start_date")
    end_us = now_us if not end_date else _instant(end_date, "end_date")
    return Span(_day_start(start_us), _day_start(end_us) + DAY_US)


def window_of(start: str | None, end: str | None, names: tuple[str, str], now_us: int) -> Window:
    """Read an inclusive window: the current UTC day by default; `names` are the parameters' own. Raises 422."""
    today_us = _day_start(now_us)
    from_us = _instant(start, names[0]) if start else today_us
    to_us = _instant(end, names[1]) if end else today_us + DAY_US - 1
    return Window(from_us, to_us, bool(start or end))


def limit_of(text: str | None) -> int | None:
    """Read how many heartbeats to list, at most `MAX_LISTED`; None for all. Raises 422 below 1 or for no number."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise ApiError(422, "limit must be a whole number from 1 to 100")
    return min(int(text), MAX_LISTED)


def names_of(text: str | None) -> frozenset[str] | None:
    """Read names separated by commas; None where there are none to filter by. Empty ones at the end are no names."""
    if not text or text.isspace():
        return None
    return frozenset(text.rstrip(",").split(",")) if text.strip(",") else frozenset()


def list_limit_of(text: str | None) -> int | None:
    """Read how many entries a list of stats may have; 0, nothing and no number: all (None). Raises 422 below 0."""
    try:
        limit = int(text or 0)
    except ValueError:
        return None
    if limit < 0:
        raise ApiError(422, "limit must not be negative")
    return limit or None


def _instant(text: str, name: str) -> int:
    try:
        return parse_when(text)
    except ValueError as error:
        raise ApiError(422, f"Invalid {name}") from error


def _day_start(time_us: int) -> int:
    return time_us // DAY_US * DAY_US


def _ten_years_before(now_us: int) -> int:
    seconds, rest_us = divmod(now_us, _SECOND_US)
    then = dt.datetime.fromtimestamp(seconds, dt.UTC) - relativedelta(years=10)
    return int(then.timestamp()) * _SECOND_US + rest_us
