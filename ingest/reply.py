"""What ingest answers, in bytes."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from starlette.types import Send

from ingest.errors import BodyTooLargeError, NotReadyError, RequestError, UnauthorizedError
from schemas.heartbeat import Heartbeat, answer
from schemas.normalise import RejectedError
from schemas.openapi import CHALLENGE

_encode: Final = msgspec.json.Encoder().encode
_COMMON: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"access-control-allow-origin", b"*"),
)


class Reply(NamedTuple):
    """An answer: its status, its JSON, and what its headers add to the common ones."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


_CUSTOMARY_HEADERS: Final = b"Authorization, Content-Type, X-Machine-Name, Timezone, User-Agent"

NOT_FOUND: Final = Reply(404, b'{"error":"Not found"}')
WRITE_ONLY: Final = Reply(405, b'{"error":"Method not allowed"}', ((b"allow", b"POST, OPTIONS"),))
READ_ELSEWHERE: Final = WRITE_ONLY._replace(headers=((b"allow", b"GET, HEAD, POST, OPTIONS"),))
"""For the paths whose GET, WakaTime's heartbeats of a day, the read API answers."""

Outcome = Heartbeat | RejectedError


def preflight_reply(asked_headers: bytes | None) -> Reply:
    """Let a page of any site send the headers that its browser asks for, as the read API does.

    A star would not do: it does not stand for Authorization.
    """
    return Reply(
        200,
        b"{}",
        (
            (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
            (b"access-control-allow-headers", asked_headers or _CUSTOMARY_HEADERS),
            (b"access-control-max-age", b"600"),
        ),
    )


def bulk_reply(outcomes: Sequence[Outcome], user_id: int) -> Reply:
    """Answer one pair for each heartbeat, in order.

    A rejected one has 400: wakatime-cli drops it then, and would send it for ever on any other status (clients.md).
    """
    pairs = [(_rejection(o), 400) if isinstance(o, RejectedError) else (answer(o, user_id), 201) for o in outcomes]
    return Reply(201, _encode({"responses": pairs}))


def single_reply(outcome: Outcome, user_id: int) -> Reply:
    """Answer the heartbeat as stored, or why it was rejected."""
    if isinstance(outcome, RejectedError):
        return Reply(422, _encode(_rejection(outcome)))
    return Reply(202, _encode(answer(outcome, user_id)))


def error_reply(error: RequestError, retry_after_s: int) -> Reply:
    """Answer why nothing of the request was taken."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, UnauthorizedError):
        headers = ((b"www-authenticate", CHALLENGE.encode()),)
    elif isinstance(error, NotReadyError):
        headers = ((b"retry-after", b"%d" % retry_after_s),)
    elif isinstance(error, BodyTooLargeError):
        headers = ((b"connection", b"close"),)  # the rest of the body is not worth reading
    return Reply(error.status, _encode({"error": str(error)}), headers)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a reply over ASGI."""
    headers = [*_COMMON, (b"content-length", b"%d" % len(reply.body)), *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _rejection(rejected: RejectedError) -> dict[str, str]:
    return {"error": str(rejected), "type": rejected.kind}
