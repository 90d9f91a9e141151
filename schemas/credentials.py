"""API keys as clients send them (semantics.md, the first table, "where a key is accepted")."""

import base64
import binascii
from typing import Final, NamedTuple
from urllib.parse import parse_qs

MAX_HEADER_BYTES: Final = 1024
MAX_QUERY_BYTES: Final = 8192


class Credentials(NamedTuple):
    """What a request says about its sender.

    given: whether it tries to say anything. keys: what the key may be, to be tried in order; given without keys is
    unusable and must be refused, even where no key is needed.
    """

    given: bool
    keys: tuple[str, ...]


NONE_GIVEN: Final = Credentials(given=False, keys=())
UNUSABLE: Final = Credentials(given=True, keys=())


def api_keys_of(authorization: bytes | None, query_string: bytes) -> Credentials:
    """Read the API key from an Authorization header, else from `?api_key=`.

    `Bearer KEY`, `Bearer base64(KEY)`, `Basic base64(KEY)`, `Basic base64(KEY:)`, `Basic base64(USER:KEY)`; schemes in
    any case. A header decides alone: one that is unusable is not made good by the query.
    """
    if authorization is not None:
        return _of_header(authorization)
    if b"api_key" in query_string:
        return _of_query(query_string)
    return NONE_GIVEN


def _of_header(authorization: bytes) -> Credentials:
    text = _text(authorization) if len(authorization) <= MAX_HEADER_BYTES else None
    scheme, _, rest = (text or "").strip().partition(" ")
    value = rest.strip()
    if not value:
        return UNUSABLE
    match scheme.lower():
        case "bearer":
            return _candidates(value, *_of_base64(value))
        case "basic":
            return _candidates(*_of_base64(value))
    return UNUSABLE


def _of_query(query_string: bytes) -> Credentials:
    if len(query_string) > MAX_QUERY_BYTES:
        return UNUSABLE
    try:
        keys = parse_qs(query_string.decode(), errors="strict", max_num_fields=100).get("api_key")
    except ValueError:  # not UTF-8, or too many fields
        return UNUSABLE
    return Credentials(given=True, keys=(keys[0],)) if keys else NONE_GIVEN


def _of_base64(value: str) -> tuple[str, ...]:
    """Decode strictly: what a stricter reader would refuse must not be some user's key here."""
    try:
        text = _text(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return ()
    if text is None:
        return ()
    text = text.rstrip("\r\n")  # `echo KEY | base64`, as scripts for status bars have it, encodes a line end too
    user, colon, secret = text.partition(":")
    key = secret or user
    return (text, key) if colon and key else (key,)


def _candidates(*keys: str) -> Credentials:
    return Credentials(given=True, keys=tuple(dict.fromkeys(key for key in keys if key)))


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
