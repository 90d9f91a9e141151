"""From one JSON value to a heartbeat as sent: the slow way, for bodies that are not typed as they should be."""

import json
import re
from collections.abc import Callable
from typing import Final

import msgspec

from schemas.heartbeat import Wire
from schemas.normalise import InvalidTimeError, RejectedError

_INTEGER: Final = re.compile(r"[+-]?\d{1,40}(?:\.0*)?", re.ASCII)
_TRUE: Final = frozenset({"true", "t", "1", "yes", "y", "on"})
_FALSE: Final = frozenset({"false", "f", "0", "no", "n", "off"})


def coerce(item: object) -> Wire:
    """Read one heartbeat (semantics.md, section 2: coercion, then rule 1: no NULs).

    Integers and booleans are read from texts, texts from numbers; what is no integer or boolean becomes null.
    Raises `RejectedError` for what is not an object, for objects and lists where a text belongs, and for broken
    Unicode.
    """
    if not isinstance(item, dict):
        raise RejectedError("a heartbeat must be a JSON object")
    fields = {name: read(name, item[name]) for name, read in _READERS.items() if item.get(name) is not None}
    return msgspec.convert(fields, Wire)


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise RejectedError(f"{name} must be a text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RejectedError(f"{name} must be valid Unicode") from error
    return value.replace("\0", "")


def _integer(_name: str, value: object) -> int | None:
    if isinstance(value, str):
        text = value.replace("\0", "").strip()
        return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, int) else None


def _boolean(_name: str, value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int):
        text = str(value).replace("\0", "").strip().lower()
        return True if text in _TRUE else False if text in _FALSE else None
    return None


def _time(name: str, value: object) -> int | float | str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(name, value)
    raise InvalidTimeError("time must be a number or a text")


def _dependencies(_name: str, value: object) -> list[str]:
    if isinstance(value, dict):
        raise RejectedError("dependencies must be a list of texts")
    values = value if isinstance(value, list) else [value]
    return [_text("each of dependencies", _as_json(v)) for v in values if v is not None]


def _as_json(value: object) -> object:
    return json.dumps(_without_nuls(value)) if isinstance(value, dict | list) else value


def _without_nuls(value: object) -> object:
    r"""Take NULs out before they become `\u0000`, which looks like any other text."""
    if isinstance(value, list):
        return [_without_nuls(inner) for inner in value]
    if isinstance(value, dict):
        return {_without_nuls(name): _without_nuls(inner) for name, inner in value.items()}
    return value.replace("\0", "") if isinstance(value, str) else value


def _reader(name: str, annotation: object) -> Callable[[str, object], object]:
    if name == "time":
        return _time
    if name == "dependencies":
        return _dependencies
    if annotation == int | None:
        return _integer
    return _boolean if annotation == bool | None else _text


_READERS: Final = {f.name: _reader(f.name, f.type) for f in msgspec.structs.fields(Wire)}
