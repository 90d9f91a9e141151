"""From a request's body to heartbeats as sent (semantics.md, section 2, the table of bodies)."""

import json
from typing import Final

import msgspec

from ingest.coerce import coerce
from ingest.errors import BodyError
from schemas.heartbeat import MAX_HEARTBEATS, Wire
from schemas.normalise import RejectedError

Item = Wire | RejectedError
"""A heartbeat as sent, or why it can never be taken."""

_NO_DATA: Final = "No data provided..."
_TOO_MANY: Final = f"Too many heartbeats in a single request (max {MAX_HEARTBEATS})"
_NUL_ESCAPE: Final = b"\\u0000"
_MAX_DIGITS: Final = 40  # of an integer; longer ones are beyond every bound and cost time to read

_decode_bulk: Final = msgspec.json.Decoder(list[Wire]).decode
_decode_single: Final = msgspec.json.Decoder(Wire).decode
# Wrong types, broken JSON or Unicode, deep nesting: each may be one bad item among good ones.
_NOT_TYPED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_bulk(body: bytes) -> list[Item]:
    """Read the heartbeats of a bulk: an array, or an object `hackatime`. Raises `BodyError`."""
    if _NUL_ESCAPE not in body:
        try:
            wires = _decode_bulk(body)
        except _NOT_TYPED:
            pass
        else:
            _check_count(wires)
            return list(wires)
    document = _load(body)
    items = document if isinstance(document, list) else _enveloped(document)
    _check_count(items)
    return [_coerced(item) for item in items]


def decode_single(body: bytes) -> Item:
    """Read one heartbeat: an object, an array's first element, or an object `hackatime`. Raises `BodyError`."""
    if _NUL_ESCAPE not in body:
        try:
            wire = _decode_single(body)
        except _NOT_TYPED:
            pass
        else:
            if wire.time is not None:
                return wire  # else it may be empty or an envelope
    document = _load(body)
    items = document if isinstance(document, list) else _single(document)
    _check_count(items)
    return _coerced(items[0])


def _check_count(items: list[Wire] | list[object]) -> None:
    if not items:
        raise BodyError(_NO_DATA)
    if len(items) > MAX_HEARTBEATS:
        raise BodyError(_TOO_MANY)


def _enveloped(document: object) -> list[object]:
    """Open `{"hackatime": {...}}` and `{"hackatime": {"heartbeats": [...]}}`; anything else holds nothing."""
    inner = document.get("hackatime") if isinstance(document, dict) else None
    if not inner or not isinstance(inner, dict):
        return []
    if "heartbeats" not in inner:
        return [inner]
    heartbeats = inner["heartbeats"]
    return heartbeats if isinstance(heartbeats, list) else []


def _single(document: object) -> list[object]:
    if isinstance(document, dict) and document and not isinstance(document.get("hackatime"), dict):
        return [document]
    return _enveloped(document)


def _load(body: bytes) -> object:
    """Read JSON of any shape. What is not UTF-8 becomes lone surrogates, so that it spoils its own item alone."""
    try:
        loaded: object = json.loads(body.decode("utf-8-sig", "surrogateescape"), parse_int=_integer)
    except RecursionError as error:
        raise BodyError("The body is nested too deeply") from error
    except ValueError as error:
        raise BodyError(f"The body is not JSON: {error}" if body.strip() else _NO_DATA) from error
    return loaded


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _coerced(item: object) -> Item:
    try:
        return coerce(item)
    except RejectedError as rejected:
        return rejected
    except RecursionError:
        return RejectedError("the heartbeat is nested too deeply")
