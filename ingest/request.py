"""What ingest reads of an HTTP request: four headers, the sender's address, a bounded body."""

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from starlette.types import Receive, Scope

from ingest.errors import BodyTooLargeError

_MAX_UNESCAPES: Final = 16
_MAX_MACHINE_BYTES: Final = 16_384  # before unescaping; longer ones stay as they are and fail their bound
_ESCAPED_PERCENTS: Final = re.compile("%(?:25)+")  # any number of escapes of one percent sign


class DisconnectedError(Exception):
    """The client went away before its body was here: there is nobody to answer."""


class Headers(NamedTuple):
    """The headers that matter, as sent; None where absent."""

    authorization: bytes | None
    machine: bytes | None
    user_agent: bytes | None
    content_length: bytes | None


def headers_of(scope: Scope) -> Headers:
    """Pick the headers that matter; of a repeated one the first."""
    found = dict(reversed(scope["headers"]))
    return Headers(
        found.get(b"authorization"),
        found.get(b"x-machine-name"),
        found.get(b"user-agent"),
        found.get(b"content-length"),
    )


def address_of(scope: Scope) -> str | None:
    """Tell the sender's IP address, if the server knows it."""
    client = scope.get("client")
    return str(client[0]) if client else None


async def read_body(receive: Receive, content_length: bytes | None, max_body_bytes: int) -> bytes:
    """Read the body, at most `max_body_bytes`. Raises `BodyTooLargeError`, `DisconnectedError`."""
    if content_length is not None and content_length.isdigit() and int(content_length) > max_body_bytes:
        raise _too_large(max_body_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        body = message.get("body", b"")
        size += len(body)
        if size > max_body_bytes:
            raise _too_large(max_body_bytes)
        chunks.append(body)
        if not message.get("more_body", False):
            return b"".join(chunks)


def header_text(raw: bytes | None) -> str | None:
    """Read a header as text: UTF-8 where it is (the Python client's), else Latin-1; without NULs."""
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", "")


def machine_name(raw: bytes | None) -> str | None:
    """Undo percent and plus escapes until nothing changes (semantics.md, the first table, "machine name").

    wakatime-cli escapes the header once more for every request of one process, a hundred times in a long sync; one
    machine stays one machine.
    """
    if raw is None or len(raw) > _MAX_MACHINE_BYTES:
        return header_text(raw)
    return _unescaped(raw)


@lru_cache(maxsize=1024)
def _unescaped(raw: bytes) -> str | None:
    name = header_text(raw) or ""
    for _ in range(_MAX_UNESCAPES):
        shorter = unquote_plus(_ESCAPED_PERCENTS.sub("%", name))
        if shorter == name:
            break
        name = shorter
    return name.replace("\0", "")


def _too_large(max_body_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than {max_body_bytes} bytes")
